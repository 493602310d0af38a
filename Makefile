# `make help` lists the targets. Settings, as in `make test VENV=/fast/disk/venv`:
#   VENV         the environment, made on first use
#   PYTHON       the Python to make it with (3.11 to 3.13)
#   TORCH_INDEX  extra index for torch; https://download.pytorch.org/whl/cpu avoids the CUDA build on Linux
#   MINUTES      of a borrowed machine, for grid
#   WHEELHOUSE   a folder of packages: `make wheelhouse` fills it, `make setup` installs from it and asks no index
#   SYSTEM_TORCH=1  take torch, and its CUDA, from PYTHON instead of installing it
#   PROFILE      documentation | local | mixture | own | paper | released | super_ni (docs/training.md)
#   TEST_PROCESSES  that share the tests; 0 runs them in one
#   BENCHMARK    a folder of tasks, for verify-harness
#   ARGS         further overrides, such as ARGS="seed=1 loss.temperature=0.05"; ARGS="table.record=true" writes what git tracks
#   DRY_RUN=1    print the commands only
# What reproduce's exit codes mean stands in docs/results.md; make itself ends with 2 whatever a command's own was.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV ?= .venv
PROFILE ?= documentation
ARGS ?=
BENCHMARK ?=
TORCH_INDEX ?=
WHEELHOUSE ?=
MINUTES ?= 25
SYSTEM_TORCH ?=
TEST_PROCESSES ?= 2

IS_SUPPORTED := import sys; sys.stdout.write(sys.version.split()[0]); sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first that works; recursive, so that only a setup looks for it.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	"$$python" -c '$(IS_SUPPORTED)' >/dev/null 2>&1 && { echo "$$python"; break; }; done)

# VENV may hold spaces: quoted for the shell, escaped for make.
SPACE := $(subst ,, )
BIN := "$(VENV)/bin"
READY := $(subst $(SPACE),\ ,$(VENV))/.complete
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

ifdef DRY_RUN
MAKEFLAGS += --just-print
endif
# glibc gives large blocks back after every training step and asks for them again; keeping them saves system time (1 to 15 % of a step, by machine).
export MALLOC_TRIM_THRESHOLD_ ?= 1073741824
export MALLOC_MMAP_THRESHOLD_ ?= 33554432

##@ Reproduce
.PHONY: reproduce-table1
reproduce-table1: $(READY) ## Fill and check Table 1, in experiments/own/; PROFILE=documentation (CPU, minutes) | local | released | paper
	$(BIN)/python -m one_embedder.reproduce profile=$(PROFILE) $(ARGS)

.PHONY: reproduce-views
reproduce-views: $(READY) ## Measure how far instructions steer: one text, many purposes; PROFILE=mixture has real texts
	$(BIN)/python -m one_embedder.reproduce profile=$(PROFILE) table.name=views $(ARGS)

# The sweep may fail in some of its runs: the table is made of the others and the last command says what is missing.
ablation-%: $(READY) ## Run one of conf/ablation and tabulate it, in experiments/own/: ablation-temperature; ARGS="launcher=joblib"
	$(BIN)/python -m one_embedder.build_medi profile=$(PROFILE) ablation=$* $(ARGS)
	-$(BIN)/python -m one_embedder.reproduce --multirun profile=$(PROFILE) ablation=$* $(ARGS)
	$(BIN)/python -m one_embedder.reproduce profile=$(PROFILE) ablation=$* $(ARGS)

.PHONY: grid
grid: $(READY) ## Run the comparisons of scripts/grid.yaml for MINUTES=25, the most worth first; the same again goes on
	$(BIN)/python -m scripts.run_grid --minutes $(MINUTES) $(ARGS)

.PHONY: verify-harness
verify-harness: $(READY) ## Compare all-MiniLM-L6-v2 with its published scores; BENCHMARK=FOLDER holds MTEB's rows
	$(BIN)/python -m one_embedder.reproduction.compare.harness "$(BENCHMARK)" $(ARGS)

.PHONY: demo
demo: $(READY) ## Ten sentences and their nearest neighbours, by subject or by type, as the instruction says; MODEL=FOLDER
	$(BIN)/python -m one_embedder.demo $(MODEL)

.PHONY: notebooks
notebooks: $(READY) ## Run every notebook, without saving it, and write its texts and figures to experiments/own/notebooks/*.html
	$(BIN)/python -m scripts.run_notebooks experiments/own/notebooks $(NOTEBOOKS)

.PHONY: readme
readme: $(READY) ## Write the recorded tables into README.md
	$(BIN)/python -m one_embedder.reproduction.show.readme

.PHONY: verify
verify: $(READY) ## Check every generated number of the pages against the records, and the records against their hashes
	$(BIN)/python -m one_embedder.reproduction.show.verify

.PHONY: report
report: $(READY) ## Write experiments/report.html: the answer, what it rests on, and the recorded tables with your own beside them
	$(BIN)/python -m one_embedder.reproduction.show.page

##@ Develop
.PHONY: setup
setup: $(READY) ## Make the environment; every other target does this when needed

$(READY): requirements.lock pyproject.toml scripts/make_environment.py
	@python="$(PYTHON)"; \
	if [ -z "$$python" ] || ! command -v "$$python" >/dev/null; then \
		echo "setup: no Python 3.11, 3.12 or 3.13 found$${python:+ under the name $$python}; install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 2; fi; \
	version=$$("$$python" -c '$(IS_SUPPORTED)') || { \
		echo "setup: $$python is Python $${version:-nothing that runs}, this project needs 3.11, 3.12 or 3.13: make setup PYTHON=/path/to/python3.11" >&2; exit 2; }; \
	exec "$$python" scripts/make_environment.py "$(VENV)" --torch-index "$(TORCH_INDEX)" --wheelhouse "$(SETUP_FROM)" $(if $(SYSTEM_TORCH),--system-torch)

SETUP_FROM = $(WHEELHOUSE)
wheelhouse: SETUP_FROM = # an index: the folder is still to be filled

.PHONY: wheelhouse
wheelhouse: $(READY) ## Collect packages and PROFILE's models in WHEELHOUSE=FOLDER, for a machine without network
	$(BIN)/python -m scripts.make_wheelhouse "$(WHEELHOUSE)" --torch-index "$(TORCH_INDEX)" $(if $(SYSTEM_TORCH),--system-torch) profile=$(PROFILE) $(ARGS)

.PHONY: test
test: $(READY) ## The fast tests: CPU, no network, seven to thirteen minutes on two cores
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m "not slow and not gpu and not network" $(ARGS)

.PHONY: test-slow
test-slow: $(READY) ## The slow tests: whole commands, two processes, kills and resumptions; minutes
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m "slow and not gpu and not network" $(ARGS)

# An environment inside of VENV that sees all of VENV and adds the packages that nothing else here needs.
INTEGRATIONS = "$(VENV)/integrations"
.PHONY: test-integrations
test-integrations: $(READY) ## What works with LangChain, LlamaIndex and wandb-workspaces, with these packages; asks an index
	$(BIN)/python -m venv --clear --without-pip $(INTEGRATIONS)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> "$$($(INTEGRATIONS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/around.pth"
	$(INTEGRATIONS)/bin/python -m pip install --quiet -r tests/integrations.txt
	$(INTEGRATIONS)/bin/python -m pytest -p no:cacheprovider tests/test_migrate.py tests/test_wandb_view.py -k "langchain or llamaindex or view" $(ARGS)

.PHONY: torture
torture: $(READY) ## Damaged files of every kind, a hundred cases each, and every command killed forty times; resumes; ARGS="--cases 10"
	$(BIN)/python -m tests.torture $(ARGS)
	$(BIN)/python -m tests.torture.kills $(ARGS)

.PHONY: mutants
mutants: $(READY) ## Small faults in the code that decides our numbers, each for some test to notice; resumes; ARGS="--most 60"
	$(BIN)/python -m tests.torture.mutants $(ARGS)

.PHONY: test-all
test-all: test test-slow ## Both

.PHONY: lint
lint: $(READY) ## Style, as pre-commit checks it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: type
type: $(READY) ## Types, strictly
	$(BIN)/mypy

.PHONY: bench
bench: $(READY) ## Speed of encode and of a training step against peers, to experiments/own/bench/
	$(BIN)/python -m scripts.bench_encode $(ARGS)
	$(BIN)/python -m scripts.bench_train_step $(ARGS)

.PHONY: gpu-smoke
gpu-smoke: $(READY) ## Minutes: does this GPU compute what the CPU does, and how fast? ARGS="--shape large"
	$(BIN)/python -m scripts.gpu_smoke $(ARGS)

.PHONY: format
format: $(READY) ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove caches and logs; data, runs and the environment stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build experiments/hydra
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Help
.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":[^#]*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z0-9_%-]+:[^#]*## / {printf "  %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
