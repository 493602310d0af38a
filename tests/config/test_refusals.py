from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from one_embedder import evaluate, evaluate_views
from one_embedder.config import compose
from one_embedder.config.checks import check
from one_embedder.config.compose import load_config
from one_embedder.config.messages import refuse_flags
from one_embedder.config.relations import _unread_by_source, require_buildable, require_reproducible, require_trainable
from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError
from one_embedder.files.location import CONF
from one_embedder.reproduction.table1.run import reproduce
from one_embedder.reproduction.views.run import reproduce_views
from one_embedder.training.run import train
from tests.composed import composed


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("seedd=1", "seed"),
        ("loss.temprature=0.1", "loss.temperature"),
        ("+loss.temprature=0.1", "loss.temperature"),
        ("++trainer.max_step=1", "trainer.max_steps"),
        ("los=paper", "loss"),
        ("experimnt=x", "experiment"),
        ("evaluation.batch_sise=2", "evaluation.batch_size"),
        ("optimiser=adamw", "optimizer"),
    ],
)
def test_a_mistyped_key_is_named_with_the_nearest_valid_key(override: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("train", [override])
    assert repr(override.lstrip("+").partition("=")[0]) in str(caught.value)
    assert f"did you mean {nearest!r}?" in str(caught.value)


def test_every_key_of_the_same_name_is_offered() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'sampler\.temperature' or 'loss\.temperature'\?"):
        load_config("train", ["temperature=0.1"])


def test_a_key_like_no_other_is_answered_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"'loss\.qqqq': valid keys here: .*loss\.spelling, .*loss\.temperature"):
        load_config("train", ["loss.qqqq=1"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "defaults: [released]\ntemprature: 0.1\n",
            r"conf/loss/mine\.yaml: unknown key .*: did you mean 'loss\.temperature'",
        ),
        ("# @package _global_\noptimizer: {weight_deca: 2}\n", r"conf/loss/mine\.yaml: unknown key 'optimizer\."),
        ("defaults: [released]\ntemperature: warm\n", r"conf/loss/mine\.yaml: loss\.temperature: Value 'warm'"),
        ("temperature: [\n", r"mine\.yaml"),
        ("- temperature\n", r"loss names no class: begin its file with defaults: \[released\]"),
        ("temperature: 0.1\n", r"loss names no class"),
    ],
)
def test_a_mistake_inside_a_yaml_file_is_named_with_its_file(
    content: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied_conf(tmp_path, monkeypatch)
    (copy / "loss" / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=expected):
        load_config("train", ["loss=mine"])


def copied_conf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import shutil

    copy = folder / "conf"
    shutil.copytree(CONF, copy)
    monkeypatch.setattr(compose, "CONF", copy)
    return copy


def test_local_choices_are_read_last_when_they_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = copied_conf(tmp_path, monkeypatch)
    (copy / "local").mkdir(exist_ok=True)
    (copy / "local" / "default.yaml").write_text("# @package _global_\npaths: {data: /fast}\n")
    assert load_config("train").medi.folder == "/fast/documentation"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("profile=documentatio", r"unknown profile 'documentatio': one of .*super_ni; did you mean 'documentation'\?"),
        ("profile=qq", r"unknown profile 'qq': one of documentation, local, mixture, own, paper, released, super_ni$"),
        ("encoder=gtr_t5_bas", r"did you mean 'gtr_t5_base'"),
        ("encoder=/models/e5", r"unknown encoder '/models/e5': .* given with encoder\.name_or_path=/models/e5$"),
        ("encoder=hkunlp/instructor-xl", r"given with encoder\.name_or_path=hkunlp/instructor-xl$"),
        ("benchmark=./tasks", r"given with benchmark=folder benchmark\.root=\./tasks$"),
        ("seed=one", r"seed: Value 'one' of type 'str' could not be converted to Integer"),
        ("seed=1.5", r"seed: Value '1\.5'"),
        ("loss.temperature=1,2", r"--multirun"),
        ("seed=[1", r"\[1"),
    ],
)
def test_a_wrong_choice_or_type_says_what_would_be_right(override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_config("train", [override])


@pytest.mark.parametrize("override", ["experiment=null", "+debug=null", "ablation=NULL", "views@views=null"])
def test_a_group_that_is_given_no_file_is_named_with_its_files(override: str) -> None:
    with pytest.raises(ConfigError, match=r"names no file: leave \w+ out, or choose one of "):
        load_config("train", [override])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--max_steps", "3"], "--max_steps: settings have no dashes; type trainer.max_steps=3"),
        (["--max-steps=3"], "--max-steps: settings have no dashes; type trainer.max_steps=3"),
        (["--seed"], "--seed: settings have no dashes; type seed=VALUE"),
        (["--temperature", "2"], "type sampler.temperature=2 or loss.temperature=2"),
        (["--sed=1"], "--sed: settings have no dashes; did you mean 'seed'?"),
    ],
)
def test_a_setting_with_dashes_is_told_as_it_has_to_be_typed(words: list[str], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_flags(words)
    assert told in str(caught.value)


def test_hydras_own_flags_are_no_settings() -> None:
    own = ["--multirun", "--cfg", "job", "--config-dir=my_conf", "--multi", "seed=1", "-m"]
    refuse_flags(own)
    with pytest.raises(ConfigError, match=r"^--seed: "):
        refuse_flags([*own, "--seed=2"])


def test_a_secret_is_named_by_key_and_variable_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "documentation")
    with pytest.raises(ConfigError, match=r"tracking\.tags holds the value of WANDB_API_KEY") as caught:
        load_config("train", ["tracking.tags=['by ${oc.env:WANDB_API_KEY}']"])
    assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "loss.temperature=0",
        "loss.temperature=-1",
        "loss.temperature=nan",
        "loss.spelling=rleased",
        "loss.mask_margin=3",
        "instruction_detail=short",
        "encoder.layers=0",
        "sampler.tasks=[]",
        "evaluation.instructions=left",
        "loss.hard_negatives=false",  # with the released spelling
        "trainer.mini_batch_size=0",
        "trainer.accumulate_grad_batches=0",
        "encoder.joining=glue",
        "encoder.max_length=1",
        "encoder.name_or_path=''",
        "sampler.global_batch_size=1",
        "seed=-1",
        "table.seeds=[]",
        "table.seeds=[1,1]",
        "table.confidence=1",
        "schedule.warmup_ratio=1.5",
        "trainer.max_steps=0",
        "trainer.precision=half",
        "trainer.strategy=deepspeed",
        "tracking.wandb=maybe",
        "benchmark.split=train",
        "benchmark.tasks=[]",
        "paths.data=' '",
    ],
)
def test_a_value_that_cannot_work_is_refused_before_any_work(override: str) -> None:
    values = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.from_dotlist([override]))
    with pytest.raises(ConfigError, match=override.partition("=")[0]):
        check(OmegaConf.to_object(values))


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        composed("train", ["loss.temperature=0", "seed=-1"])
    assert "loss.temperature" in str(caught.value) and "seed" in str(caught.value)


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match="is a file"):
        composed("train", [f"output={tmp_path / 'taken'}"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sampler.strategy=unifrom"], "'uniform'"),
        (["sampler.strategy=null"], "sampler.strategy=null names none"),
        (["trainer.early_stopping.patience=2"], "nothing is scored without trainer.early_stopping.every_n_steps"),
        (["sampler=temperature", "sampler.temperature=null"], "temperature needs sampler.temperature"),
        (["sampler.cap=100"], "has an effect with sampler.strategy=capped only"),
        (["devices=fsdp", "loss.learn_temperature=true"], "a single number cannot be sharded"),
        (["devices=fsdp", "trainer.early_stopping.every_n_steps=5"], "early_stopping needs every weight on one device"),
        (["benchmark.shares=2", "benchmark.share=2"], "benchmark.share=2 must be below benchmark.shares=2"),
        (["trainer.early_stopping.every_n_steps=0"], "every_n_steps=0 must be at least 1"),
        (["sampler=capped", "sampler.cap=16", "sampler.global_batch_size=32"], "at least sampler.global_batch_size=32"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        check(composed("train", overrides))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["encoder.layers=1", "optimizer.frozen_layers=3"],
            r"encoder\.layers=1 .* optimizer\.frozen_layers=3 .*: add optimizer\.frozen_layers=0",
        ),
        (["encoder.max_length=32"], r"trainer\.max_length=48 .* encoder\.max_length=32 .*: add trainer\.max_length=32"),
        (["trainer.devices=7"], r"global_batch_size=24 .* trainer\.devices=7 .*: add sampler\.global_batch_size=21"),
        (["sampler.global_batch_size=2", "trainer.devices=4"], r"add sampler\.global_batch_size=4"),
    ],
)
def test_settings_that_contradict_each_other_are_told_with_the_remedy_before_a_training_reads_anything(
    overrides: list[str], told: str, tmp_path: Path
) -> None:
    cfg = composed("train", ["profile=documentation", f"paths.experiments={tmp_path}", *overrides])
    cfg.medi.folder = str(tmp_path / "nothing")
    with pytest.raises(ConfigError, match=told) as caught:
        train(cfg)
    remedy = str(caught.value).rpartition(": add ")[2]
    require_trainable(composed("train", ["profile=documentation", *overrides, remedy]))
    assert not list(tmp_path.iterdir())


def test_an_encoder_cut_to_fewer_layers_than_the_profile_freezes_can_be_evaluated() -> None:
    assert composed("evaluate", ["optimizer=few_steps", "encoder.layers=1"]).encoder.layers == 1


def test_a_batch_larger_than_any_task_is_told_before_the_data_are_built() -> None:
    cfg = composed("reproduce", ["profile=documentation", "medi.rows_per_task=20", "medi.min_rows_per_task=1"])
    require_trainable(cfg)  # the data on disk may be others
    with pytest.raises(ConfigError, match=r"add medi\.rows_per_task=24"):
        require_reproducible(cfg)
    cfg.sampler.strategy = "mixed"
    require_reproducible(cfg)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (
            ["medi.path=faq.jsonl"],
            r"medi\.path='faq\.jsonl' has no effect on data of .*documentation: choose medi=own or",
        ),
        (["medi.held_back=0.3"], r"medi\.held_back=0\.3 .*: choose medi=own, or leave it out"),
        (["medi.leakage=tasks"], r"medi\.leakage='tasks' has no effect"),
        (["medi=file", "medi.path=x", "medi.rows_per_task=32"], r"medi\.rows_per_task=32 has no effect"),
        (
            ["medi=file", "medi.path=x", "medi.tasks=[a]"],
            r"medi\.tasks=\['a'\] .*: choose medi=super_ni or medi=mixture",
        ),
        (["medi=file", "medi.leakage=tasks"], r"medi\.leakage='tasks' .* data that are built already: name the file"),
        (["profile=own", "medi.path=x", "medi.root=folder"], r"medi\.root='folder' has no effect"),
    ],
)
def test_a_setting_that_the_source_of_the_data_does_not_read_is_refused(overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        require_buildable(composed("build_medi", overrides))


@pytest.mark.parametrize("source", sorted(path.stem for path in (CONF / "medi").glob("*.yaml")))
def test_each_source_reads_what_its_own_file_sets(source: str) -> None:
    assert _unread_by_source(composed("build_medi", [f"medi={source}"]).medi) == []


def test_cached_gradients_are_refused_where_no_device_holds_all_weights() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.mini_batch_size .* use trainer\.strategy=ddp"):
        composed("train", ["devices=fsdp", "trainer.mini_batch_size=8"])
    assert composed("train", ["devices=ddp", "trainer.mini_batch_size=8"]).trainer.mini_batch_size == 8


def test_what_instructions_do_is_not_measured_without_them() -> None:
    cfg = load_config("evaluate_views", ["with_instructions=false"])
    for measure in (evaluate_views.work, reproduce, reproduce_views):
        with pytest.raises(ConfigError, match="with_instructions=false would change nothing"):
            measure(cfg)


@pytest.mark.parametrize("given", ["wrong", "shuffled"])
def test_other_instructions_are_refused_where_each_text_gets_every_instruction(given: str) -> None:
    cfg = composed("evaluate_views", [f"evaluation.instructions={given}"])
    for measure in (evaluate_views.work, reproduce_views):
        with pytest.raises(ConfigError, match=f"evaluation.instructions={given} would change nothing"):
            measure(cfg)


@pytest.mark.parametrize(
    ("bare", "why"),
    [("instructions=none", "instructions=none has none"), ("with_instructions=false", "with_instructions=false gives")],
)
def test_other_instructions_are_refused_where_there_are_none(bare: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"evaluation.instructions=wrong would change nothing: {why}"):
        evaluate.work(composed("evaluate", ["evaluation.instructions=wrong", bare]))
