from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.compose import VERBS
from one_embedder.files.location import PROJECT_ROOT

HELP_SECONDS = 4.0  # of a processor; 2 s are promised on an idle machine, tests share theirs
HEAVY = ("torch", "transformers", "pytorch_lightning", "mteb", "datasets", "wandb", "sentence_transformers")

# A verb whose work is over at once, run through the real entry point in a process of its own.
JOB = """
import os
import signal
import time

from one_embedder.config.entry import run_verb
from one_embedder.errors import DataError

def work(cfg):
    if cfg.seed == 7:
        raise DataError("row 3 is empty")
    if cfg.seed == 8:
        raise KeyboardInterrupt
    if cfg.seed == 9:
        raise OSError(28, "No space left on device", "metrics.csv")
    if cfg.seed == 10:
        raise RuntimeError("a bug")
    if cfg.seed == 11:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    if cfg.seed == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    if cfg.seed in (13, 14, 15):
        print("waits", cfg.seed, flush=True)
        time.sleep(60)
    if cfg.seed == 16:
        time.sleep(0.5)
    print("stdout", cfg.seed, cfg.with_instructions, flush=True)
    return cfg.seed

if __name__ == "__main__":
    run_verb("train", work)
"""


# The same for the children of an ablation.
CHILD = """
from one_embedder.config.entry import run_verb
from one_embedder.errors import DataError

def work(cfg):
    if cfg.ablation.child == "released-s0":
        raise DataError("released-s0 went wrong")
    print("ran", cfg.ablation.child)

if __name__ == "__main__":
    run_verb("reproduce", work)
"""


# The same, telling what a run record would hold as its command.
COMMAND = """
from one_embedder.config.entry import run_verb

def work(cfg):
    import os
    from one_embedder.tracking.machine import command
    os.write(1, (" ".join(command()) + "\\n").encode())  # at once: two jobs share the output

if __name__ == "__main__":
    run_verb("train", work)
"""


# The same, telling what libraries will read of the hub.
OFFLINE = """
import os
from one_embedder.config.entry import run_verb

def work(cfg):
    print(os.environ.get("HF_HUB_OFFLINE"))

if __name__ == "__main__":
    run_verb("evaluate", work)
"""


def run(*arguments: str, cwd: Path = PROJECT_ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text(JOB)
    return path


def run_job(job: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run(str(job), *overrides, f"paths.experiments={job.parent / 'experiments'}", cwd=job.parent)


@pytest.mark.parametrize("verb", VERBS)
def test_help_answers_at_once(verb: str, children_seconds: Callable[[], float]) -> None:
    began = children_seconds()
    done = run("-m", f"one_embedder.{verb}", "--help")
    assert children_seconds() - began < HELP_SECONDS
    assert done.returncode == 0, done.stderr
    assert f"python -m one_embedder.{verb}" in done.stdout
    assert "profile: documentation, local, mixture, own, paper, released, super_ni" in done.stdout
    assert "  paths.experiments=experiments " in done.stdout


def test_a_mistake_that_needs_no_composition_is_one_message(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flag = run_job(job, "--max_steps", "3")
    assert (flag.returncode, flag.stderr) == (
        2,
        "error: --max_steps: settings have no dashes; type trainer.max_steps=3\n",
    )
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    typed = run_job(job, "tracking.group=hf_abcdefgh")
    assert typed.returncode == 2 and "tracking.group holds the value of HF_TOKEN" in typed.stderr
    assert not (job.parent / "experiments").exists()


def test_a_secret_of_the_environment_gets_into_no_file(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefgh")
    done = run_job(job, "tracking.group='${oc.env:HF_TOKEN}'")
    assert done.returncode == 2 and "error: tracking.group holds the value of HF_TOKEN" in done.stderr
    written = [path.read_text() for path in job.parent.rglob("*") if path.is_file()]
    assert len(written) > 1 and "hf_abcdefgh" not in "".join([*written, done.stdout, done.stderr])


def test_entry_points_import_nothing_heavy() -> None:
    modules = ", ".join(f"one_embedder.{verb}" for verb in VERBS)
    done = run("-c", f"import sys, {modules}; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_a_run_gives_its_result_on_stdout_and_hydras_files_under_experiments(job: Path) -> None:
    done = run_job(job, "with_instructions=false")
    assert (done.returncode, done.stdout) == (0, "stdout 0 False\n"), done.stderr
    assert {path.name for path in job.parent.iterdir()} == {"job.py", "experiments"}
    assert len(list((job.parent / "experiments" / "hydra" / "train").glob("*/.hydra/config.yaml"))) == 1


@pytest.mark.parametrize(
    ("override", "code", "message"),
    [
        ("seed=3", 3, ""),
        ("seed=7", 2, "error: row 3 is empty\n"),
        ("seed=8", 130, "interrupted: run the same command again, finished parts are kept\n"),
        ("seed=11", 143, "terminated: run the same command again, finished parts are kept\n"),
        ("seedd=1", 2, "error: unknown key 'seedd': did you mean 'seed'?\n"),
        (
            "views=null",
            2,
            "error: views=null names no file: leave views out, or choose one of documentation, none, public\n",
        ),
    ],
)
def test_an_expected_end_is_one_message_and_an_exit_code(job: Path, override: str, code: int, message: str) -> None:
    done = run_job(job, override)
    assert (done.returncode, done.stderr) == (code, message)


def test_a_full_disk_is_told_with_the_file_and_without_a_traceback(job: Path) -> None:
    done = run_job(job, "seed=9")
    assert done.returncode == 2
    assert "error: metrics.csv: No space left on device: free some space and run the same command" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_keeps_its_traceback(job: Path) -> None:
    done = run_job(job, "seed=10")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "RuntimeError: a bug" in done.stderr


@pytest.mark.slow
def test_a_sweep_over_an_ablation_shows_its_plan_and_runs_every_child_though_one_fails(job: Path) -> None:
    job.write_text(CHILD)
    done = run_job(job, "--multirun", "ablation=loss_spelling", "ablation.seeds=[0]")
    plan, *ran = [line for line in done.stdout.splitlines() if not line.startswith("  ")]
    assert plan.startswith("Ablation loss_spelling, profile documentation:"), done.stderr
    assert ran == ["ran backbone", "ran paper-s0"], done.stderr
    assert done.returncode == 2 and "error: released-s0 went wrong\n" in done.stderr


@pytest.mark.parametrize("mode", [["--multirun"], ["ablation.child=with+200-s0"]], ids=["sweep", "child"])
def test_a_setting_that_no_child_would_keep_is_refused_before_the_first(job: Path, mode: list[str]) -> None:
    job.write_text(CHILD)
    done = run_job(job, *mode, "ablation=steps", "trainer.max_steps=9")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: trainer.max_steps=9 would change nothing: ablation=steps sets trainer.max_steps in" in done.stderr


@pytest.mark.slow
def test_a_sweep_without_an_ablation_is_an_ordinary_one(job: Path) -> None:
    job.write_text(CHILD)
    done = run_job(job, "--multirun", "seed=0,1")
    assert (done.returncode, done.stdout) == (0, "ran None\nran None\n"), done.stderr


@pytest.mark.parametrize("mode", [[], ["--multirun"]], ids=["run", "sweep"])
def test_a_setting_that_the_verb_does_not_read_is_refused_before_its_work(job: Path, mode: list[str]) -> None:
    done = run_job(job, *mode, "table.seeds=[1]")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: table.seeds=[1] would change nothing: train does not read table, reproduce would" in done.stderr


def test_a_run_is_recorded_with_what_was_typed(job: Path) -> None:
    job.write_text(COMMAND)
    done = run_job(job, "seed=4")
    assert f"{job} seed=4 paths.experiments=" in done.stdout, done.stderr


def test_a_job_of_a_sweep_is_recorded_with_the_command_that_runs_it_alone(job: Path) -> None:
    job.write_text(COMMAND)
    done = run_job(job, "--multirun", "seed=4,5", "launcher=joblib")
    told = sorted(done.stdout.splitlines())
    experiments = f"paths.experiments={job.parent / 'experiments'}"
    jobs = [f"python -m one_embedder.train seed={seed} launcher=joblib {experiments}" for seed in (4, 5)]
    assert told == jobs, done.stderr


LAUNCHERS = ["basic", *(pytest.param(name, marks=pytest.mark.slow) for name in ("joblib", "submitit_local"))]


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_exit_code_of_a_sweep_is_the_worst_of_its_jobs_and_a_line_tells_each_that_failed(
    job: Path, launcher: str
) -> None:
    done = run_job(job, "--multirun", "seed=0,3,7,10", f"launcher={launcher}")
    assert done.returncode == 3
    told = done.stderr.splitlines()
    assert told[told.index("3 of 4 jobs did not end well:") :] == [
        "3 of 4 jobs did not end well:",
        "  job 1 (seed=3): exit code 3",
        "  job 2 (seed=7): exit code 2, row 3 is empty",
        "  job 3 (seed=10): exit code 1, RuntimeError: a bug",
    ]
    assert launcher != "basic" or "Traceback" in done.stderr


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_whose_jobs_all_end_well_ends_well(job: Path, launcher: str) -> None:
    done = run_job(job, "--multirun", "seed=0", "with_instructions=true,false", f"launcher={launcher}")
    assert done.returncode == 0 and "did not end well" not in done.stderr, done.stderr


def test_an_earlier_sweep_in_the_same_folder_has_no_say(job: Path) -> None:
    folder = f"hydra.sweep.dir={job.parent / 'sweep'}"
    assert run_job(job, "--multirun", "seed=3,4", folder).returncode == 4
    assert run_job(job, "--multirun", "seed=0,1", folder).returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_killed_job_of_a_sweep_is_told_and_fails_the_command(job: Path, launcher: str) -> None:
    done = run_job(job, "--multirun", "seed=0,12", f"launcher={launcher}")
    assert done.returncode == 1
    assert "  job 1 (seed=12): exit code 1, no word from it: killed, or not at its end" in done.stderr


def test_sigterm_ends_a_sweep_at_the_job_that_runs(job: Path) -> None:
    done = run_job(job, "--multirun", "seed=0,11,1")
    assert (done.returncode, done.stdout) == (143, "stdout 0 True\n")
    assert done.stderr.endswith("terminated: run the same command again, finished parts are kept\n")


@pytest.mark.slow
def test_sigterm_is_handed_on_to_the_workers_of_a_sweep_which_begin_no_other_job(job: Path) -> None:
    command = [sys.executable, str(job), "--multirun", "seed=13,14,15,0", "launcher=joblib"]
    command.append(f"paths.experiments={job.parent / 'experiments'}")
    with subprocess.Popen(
        command, cwd=job.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as sweep:
        assert sweep.stdout is not None
        said = ""
        while said.count("waits") < 2:
            said += sweep.stdout.readline()
        sweep.terminate()
        said += sweep.communicate(timeout=30)[0]
    assert sweep.returncode == 143, said
    assert said.endswith("terminated: run the same command again, finished parts are kept\n")
    assert "stdout 0" not in said and "TerminatedWorkerError" not in said
    (endings,) = job.parent.glob("experiments/hydra/train/*/endings")
    assert [json.loads(file.read_text())["code"] for file in endings.iterdir()] == [143] * 4


def test_a_closed_pipe_is_no_success(job: Path) -> None:
    command = f"{sys.executable} {job} seed=16 paths.experiments={job.parent / 'experiments'} | true"
    ends = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(ends, cwd=job.parent, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 141 and "Traceback" not in done.stderr


@pytest.mark.parametrize("asked", [None, "0", "1"])
def test_whether_the_hub_may_be_asked_is_the_users_to_say(
    job: Path, asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write_text(OFFLINE)
    monkeypatch.delenv("HF_HUB_OFFLINE") if asked is None else monkeypatch.setenv("HF_HUB_OFFLINE", asked)
    done = run_job(job, "prompt_retrieval.learner=model", "encoder.name_or_path=minilm")
    assert (done.returncode, done.stdout) == (0, f"{asked}\n"), done.stderr
