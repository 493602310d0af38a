"""The verb as a user meets it: what it runs, prints, writes and returns. Only the four stages are fakes."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config, TaskFolderConfig
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.benchmarks import TaskScore
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.files.lock import LockedError
from one_embedder.reproduction.show.page_sections import table1_section
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS, ROWS
from one_embedder.reproduction.steps.circumstances import circumstances, data_identity
from one_embedder.reproduction.table1.expected import read_expected
from one_embedder.reproduction.table1.run import reproduce
from tests.evaluation.conftest import write_benchmark
from tests.locked import held
from tests.reproduction.fakes import FakeWork

Configure = Callable[..., Config]


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What went to standard output, without its line breaks."""
    return " ".join(capsys.readouterr().out.split())


def manifest_of(run: str, seconds: float) -> str:
    """The record of a completed run, as text."""
    return f"schema: 1\nstatus: completed\nrun_id: {run}\ncost: {{wall_s: {seconds}}}\n"


def test_every_row_is_trained_and_evaluated_as_its_name_says(configure: Configure, work: FakeWork) -> None:
    assert reproduce(configure("table.seeds=[0,3]"), work.stages) == 0
    trainings = [(cfg.with_instructions, cfg.seed, cfg.output) for name, cfg in work.calls if name == "train"]
    assert trainings == [(False, 0, None), (False, 3, None), (True, 0, None), (True, 3, None)]
    evaluations = [cfg for name, cfg in work.calls if name == "evaluate"]
    assert [(Path(c.encoder.name_or_path).parent.name, bool(c.instructions.table)) for c in evaluations] == [
        ("", False),
        ("", True),
        ("without-s0", False),
        ("without-s3", False),
        ("with-s0", True),
        ("with-s3", True),
    ]
    assert len({cfg.output for cfg in evaluations}) == 6, "two models would overwrite each other's results"
    assert {cfg.seed for cfg in evaluations} == {0}, "evaluation must draw alike for every row"


def test_the_plan_comes_first_and_the_table_is_printed_with_paper_profiles_cost_and_files(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce(configure(), work.stages)
    told = printed(capsys)
    place = 0
    for landmark in (
        "Reproducing Table 1, profile documentation",
        "estimate",
        "hardware",
        "The other profiles",
        "PROFILE=released",
        "not measured",
        "The paper's rows",
        "INSTRUCTOR (335M)",
        "cannot be compared with the paper's",
        "Table 1, profile documentation",
        "relative gain over backbone, %",
        "Claims",
        "No expected values",
        "Time and memory",
        "peak memory",
        "Your own table; table.record=true records it:",
    ):
        place = told.find(landmark, place)
        assert place >= 0, landmark
    for row in ROWS:
        assert row.label in told


def test_the_csv_has_one_row_a_model_one_column_a_category_and_their_mean(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    reproduce(configure(), work.stages)
    with (tmp_path / "experiments" / "own" / "table1" / "documentation.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["model"] for line in lines] == [row.label for row in ROWS]
    assert list(lines[0]) == ["model", *COLUMNS, AVERAGE]
    for line in lines:
        mean = sum(float(line[column]) for column in COLUMNS) / 9
        assert float(line[AVERAGE]) == pytest.approx(mean, abs=2e-4)
        assert 1 < float(line[AVERAGE]) <= 100, "points, not shares"


def test_markdown_latex_and_the_record_carry_the_same_average(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    reproduce(configure(f"output={tmp_path}/here"), work.stages)
    folder = tmp_path / "here"
    record = json.loads((folder / "documentation.json").read_text())
    instructor = next(row for row in record["rows"] if row["id"] == "instructor")
    low, high = instructor["intervals"][AVERAGE]
    assert low < instructor["scores"][AVERAGE] < high < 1, "stored 0-1"
    points = f"{100 * instructor['scores'][AVERAGE]:.1f}"
    assert f"| {points} | [" in (folder / "documentation.md").read_text()
    latex = (folder / "documentation.tex").read_text()
    assert f"& {points} & [" in latex
    assert r"\toprule" in latex and r"gain over backbone, \%" in latex
    assert record["data"] == work.data
    assert not (tmp_path / "experiments" / "own").exists(), "output= moves the table"


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ("[0]", "over test items; one seed: another may turn a difference"),
        ("[0,1]", "over test items, seeds redrawn too"),
    ],
)
def test_the_verdicts_come_with_what_their_intervals_hold(
    configure: Configure, work: FakeWork, tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: str, told: str
) -> None:
    reproduce(configure(f"table.seeds={seeds}"), work.stages)
    assert f"Claims (paired bootstrap {told}" in capsys.readouterr().out
    assert f"Intervals: paired bootstrap {told}" in (tmp_path / "experiments/own/table1/documentation.md").read_text()


def test_a_verdict_tells_seeds_and_steps_and_with_one_seed_no_more_than_that(
    configure: Configure, work: FakeWork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seeds, verdict, trained in (("[0]", "one seed", "600 steps"), ("[0,1]", "supported", "2 seeds, 600 steps")):
        reproduce(configure(f"table.seeds={seeds}", "table.bootstrap_resamples=199"), work.stages)
        folder = tmp_path / "experiments" / "own" / "table1"
        assert capsys.readouterr().out.count(f": {verdict} ({trained}); +") == 3
        assert (folder / "documentation.md").read_text().count(f": {verdict} ({trained}); +") == 3
        claims = json.loads((folder / "documentation.json").read_text())["claims"]
        assert {claim["verdict"] for claim in claims} == {verdict}
        (table,) = (
            table
            for table in table1_section(folder / "documentation.json", "your run", {}).tables
            if table.caption.startswith("Claims")
        )
        assert [row[1] for row in table.grid.rows] == [f"{verdict} ({trained})"] * 3


def test_the_appendix_has_every_task_of_every_run(configure: Configure, work: FakeWork, tmp_path: Path) -> None:
    reproduce(configure("table.seeds=[0,1]"), work.stages)
    with (tmp_path / "experiments" / "own" / "table1" / "documentation_tasks.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == (1 + 1 + 2 + 2) * 18
    assert {line["seed"] for line in lines} == {"", "0", "1"}


def test_a_recorded_run_judges_itself_ok_and_a_worse_one_off(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce(configure("table.seeds=[0,1]", "table.record=true"), work.stages) == 0
    assert reproduce(configure("table.seeds=[0,1]"), work.stages) == 0
    assert "120 ok. Judged by the same seed on the same kind of machine: 120." in printed(capsys)
    work.quality[True, True] -= 0.1
    assert reproduce(configure("table.seeds=[0,1]"), work.stages) == 1
    assert "40 ok, 80 off" in printed(capsys), "INSTRUCTOR's two runs, and their differences from three rows"


@pytest.mark.parametrize("place", ["recorded", "other kind", "other seed", "nothing recorded"])
def test_instructors_numbers_in_the_row_without_instructions_are_off(
    configure: Configure,
    work: FakeWork,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    work.quality[False, False] = work.quality[True, True] - 0.002  # a difference of a few tenths of a point
    if place != "nothing recorded":
        reproduce(configure("table.seeds=[0,2]", "table.record=true"), work.stages)
    if place == "other kind":
        monkeypatch.setattr("one_embedder.reproduction.steps.machine.arithmetic", lambda: "another machine")
    seeds = "table.seeds=[1]" if place == "other seed" else "table.seeds=[0]"
    assert reproduce(configure(seeds, "table.accept_near=true"), work.stages) == 0
    work.quality[False, False] = work.quality[True, True]
    capsys.readouterr()
    assert reproduce(configure(seeds), work.stages) == 1
    assert "instructor and finetuned_without_instructions have the same numbers" in printed(capsys)


def test_a_row_that_moved_is_seen_in_its_difference_where_the_row_alone_is_ok(
    configure: Configure, work: FakeWork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for machine, better in (("one machine", 0.0), ("another", 0.03)):  # kinds move all trained rows alike
        monkeypatch.setattr("one_embedder.reproduction.steps.machine.arithmetic", lambda name=machine: name)
        for side in ((False, False), (True, True)):
            work.quality[side] += better
        assert reproduce(configure("table.record=true"), work.stages) == 0
    monkeypatch.setattr("one_embedder.reproduction.steps.machine.arithmetic", lambda: "a third")
    assert reproduce(configure(), work.stages) == 0
    work.quality[False, False] += 0.01
    capsys.readouterr()
    assert reproduce(configure(), work.stages) == 1
    told = printed(capsys)
    assert "INSTRUCTOR (finetuned with instructions) minus finetuned without instructions, seed 0: average" in told
    assert "finetuned without instructions, seed 0: average" not in told.replace("minus finetuned without", "")


def test_a_run_on_another_kind_of_machine_stands_beside_the_recorded_one(
    configure: Configure, work: FakeWork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = configure("table.seeds=[0,1]", "table.record=true")
    reproduce(cfg, work.stages)
    monkeypatch.setattr("one_embedder.reproduction.steps.machine.arithmetic", lambda: "another machine")
    work.quality[True, True] += 0.004
    capsys.readouterr()
    assert reproduce(configure("table.seeds=[0,1]"), work.stages) == 0
    assert "only one kind of machine is recorded and this is another: 120" in printed(capsys)
    reproduce(cfg, work.stages)
    expected = read_expected(Path(cfg.table.expected))
    assert expected is not None
    assert len(expected.kinds) == 2 and expected.shown.kind == "another machine"
    monkeypatch.setattr("one_embedder.reproduction.steps.machine.arithmetic", lambda: "a third")
    assert reproduce(configure("table.seeds=[0,1]"), work.stages) == 0
    assert "the same seed on other kinds of machine and how far those differ: 120" in printed(capsys)


def test_near_ends_with_a_code_of_its_own_unless_it_is_accepted(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce(configure("table.record=true"), work.stages)

    def moved(cfg: Config) -> list[TaskScore]:
        """One task of two of a category, by 0.3 points: the category by 0.15, in every row alike."""
        scores = work.evaluate(cfg)
        return [replace(scores[0], main_score=scores[0].main_score + 0.003), *scores[1:]]

    stages = replace(work.stages, evaluate=moved)
    assert reproduce(configure(), stages) == 3
    told = printed(capsys)
    assert "66 ok" in told and "4 near" in told and "table.accept_near=true accepts them" in told
    assert reproduce(configure("table.accept_near=true"), stages) == 0


def test_the_kind_of_machine_is_that_of_the_runs_and_not_of_whoever_tabulates(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    kinds = {"with-s0": "AVX2", "without-s0": "AVX2"}

    def write() -> None:
        for name, kind in kinds.items():
            run = tmp_path / "experiments" / "runs" / name
            run.mkdir(parents=True, exist_ok=True)
            manifest = {"hardware": {"arithmetic": kind}, "batch": {"precision": "bf16-mixed"}}
            (run / "manifest.yaml").write_text(manifest_of(name, 1.0) + yaml.safe_dump(manifest))
        for name in ("minilm-plain", "minilm-with_instructions", *kinds):
            run = tmp_path / "experiments" / "results" / name / "documentation_test"
            run.mkdir(parents=True, exist_ok=True)
            (run / "manifest.yaml").write_text(manifest_of(name, 1.0) + "hardware: {arithmetic: AVX2}\n")

    cfg = configure("table.record=true")
    write()
    reproduce(cfg, work.stages)
    expected = read_expected(Path(cfg.table.expected))
    assert expected is not None and expected.shown.kind == "AVX2, trained in bf16-mixed"
    kinds["with-s0"] = "AVX512"
    write()
    with pytest.raises(DataError, match=r"several kinds of machine \(AVX2, trained in .*; AVX512, trained in"):
        reproduce(cfg, work.stages)
    for name in ("minilm-plain", "minilm-with_instructions"):
        evaluated = tmp_path / "experiments" / "results" / name / "documentation_test"
        (evaluated / "manifest.yaml").unlink()  # it then counts as made here
    work.calls.clear()
    with pytest.raises(DataError, match="several kinds of machine"):
        reproduce(cfg, work.stages)
    assert [name for name, _ in work.calls].count("train") == 1, "the second training would be in vain"
    write()
    assert reproduce(configure("table.accept_near=true"), work.stages) == 0, "a mixture is a kind that is not recorded"


def test_the_steps_told_are_those_that_were_trained(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = configure("table.bootstrap_resamples=199")
    for side, steps in (("with", 90), ("without", 800)):  # one of the two was stopped early
        run = Path(cfg.paths.experiments) / "runs" / f"{side}-s0"
        run.mkdir(parents=True)
        (run / "manifest.yaml").write_text(f"schema: 1\nstatus: completed\ncost: {{steps: {steps}}}\n")
    reproduce(cfg, work.stages)
    assert "one seed (90 or 800 steps)" in printed(capsys)


def test_a_recorded_run_keeps_the_records_and_curves_of_its_trainings(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    names = ["with-s0", "with-s1", "without-s0", "without-s1"]
    for name in names:
        run = tmp_path / "experiments" / "runs" / name
        run.mkdir(parents=True)
        (run / "manifest.yaml").write_text(manifest_of(name, 700.0))
        (run / "metrics.csv").write_text(f"step\n{name}")
    reproduce(configure("table.seeds=[0,1]"), work.stages)
    kept = tmp_path / "experiments" / "table1" / "runs"
    assert not kept.exists()
    reproduce(configure("table.seeds=[0,1]", "table.record=true"), work.stages)
    assert sorted(path.name for path in kept.iterdir()) == sorted(
        f"{n}{end}" for n in names for end in (".csv", ".yaml")
    )
    assert (kept / "with-s1.yaml").read_text() == manifest_of("with-s1", 700.0)
    assert (kept / "without-s0.csv").read_text() == "step\nwithout-s0"


def test_the_recorded_cost_of_work_found_again_is_that_of_doing_it(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    cfg = configure("table.record=true")
    records = {
        "runs/with-s0": manifest_of("with-s0", 700.0),
        "results/with-s0/documentation_test": manifest_of("with-s0", 90.0),
        "runs/without-s0": "schema: 1\nstatus: started\n",  # killed before it could tell
    }
    for place, text in records.items():
        (tmp_path / "experiments" / place).mkdir(parents=True)
        (tmp_path / "experiments" / place / "manifest.yaml").write_text(text)
    reproduce(cfg, work.stages)
    expected = read_expected(Path(cfg.table.expected))
    assert expected is not None
    cost = expected.shown.recorded["cost"]
    assert cost["stages"]["train: INSTRUCTOR (finetuned with instructions), seed 0"] == 700.0
    assert cost["stages"]["evaluate: INSTRUCTOR (finetuned with instructions), seed 0"] == 90.0
    assert 790.0 <= cost["wall_s"] < 850.0


def test_a_better_number_than_expected_is_off_too(configure: Configure, work: FakeWork) -> None:
    reproduce(configure("table.record=true"), work.stages)
    work.quality[None, False] += 0.1
    assert reproduce(configure(), work.stages) == 1


def test_a_run_with_other_settings_is_stale_and_not_off(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce(configure("table.record=true"), work.stages)
    work.quality[True, True] -= 0.05
    assert reproduce(configure("trainer.max_steps=3"), work.stages) == 2
    assert "stale" in capsys.readouterr().out


@pytest.mark.parametrize(
    "override",
    [
        "table.seeds=[5]",
        "trainer.log_every_n_steps=3",
        "evaluation.batch_size=7",
        "prompt_retrieval.tasks.rte.token_budget=7",  # the benchmark does not hold this task
    ],
)
def test_settings_without_a_say_in_the_result_do_not_make_it_stale(configure: Configure, override: str) -> None:
    plain, changed = (circumstances(cfg, {}) for cfg in (configure(), configure(override)))
    assert plain == changed


@pytest.mark.parametrize(
    "override",
    [
        "loss.temperature=0.5",
        "evaluation.document_instructions=false",
        "prompt_retrieval.learner=vote",
        "prompt_retrieval.metric=rouge_l_unicode",
    ],
)
def test_settings_with_a_say_in_the_result_do(configure: Configure, override: str) -> None:
    assert circumstances(configure(), {}) != circumstances(configure(override), {})


def test_ignoring_identical_ids_as_every_task_once_did_leaves_earlier_records_valid(
    configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "tasks/eval/Retrieval/Own").mkdir(parents=True)

    def settings(ignore: bool | None) -> str:
        cfg = configure(f"benchmark.root={tmp_path}/tasks")
        cfg.benchmark.protocol = {"Own": TaskFolderConfig(ignore_identical_ids=ignore)}
        return circumstances(cfg, {}).settings

    assert settings(None) == settings(True) != settings(False)


def test_the_committed_record_was_made_with_the_default_settings() -> None:
    cfg = load_config("reproduce")
    expected = read_expected(PROJECT_ROOT / cfg.table.expected)
    assert expected is not None
    assert circumstances(cfg, {}).settings == expected.settings


def test_other_data_from_another_python_are_not_judged(
    configure: Configure, work: FakeWork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reproduce(configure("table.record=true"), work.stages)
    capsys.readouterr()
    work.data["medi"] = "c" * 64
    monkeypatch.setattr("platform.python_version", lambda: "3.13.99")
    assert reproduce(configure(), work.stages) == 0
    told = capsys.readouterr().out
    assert "another data hash (medi)" in told
    assert " ok" not in told.split("Claims")[1].split("Time and memory")[0]


def test_a_category_without_a_task_is_missing_and_never_averaged_away(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str]
) -> None:
    complete = work.stages
    part = replace(complete, evaluate=lambda cfg: [s for s in complete.evaluate(cfg) if s.category != "STS"])
    assert reproduce(configure(), part) == 2
    assert "interval" in capsys.readouterr().out


def test_an_evaluation_error_ends_the_run_and_leaves_no_table(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    def fail(cfg: Config) -> list[object]:
        raise EvaluationError("task STS0 could not be scored")

    with pytest.raises(EvaluationError, match="STS0"):
        reproduce(configure(), replace(work.stages, evaluate=fail))  # type: ignore[arg-type]
    assert {path.name for path in (tmp_path / "experiments" / "own" / "table1").iterdir()} == {".documentation.lock"}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ("encoder.layers=1 optimizer.frozen_layers=3", r"encoder\.layers=1 .*: add optimizer\.frozen_layers=0"),
        ("encoder.layers=9", r"minilm .*encoder\.layers=9: this encoder has 6 layers"),
        ("optimizer.frozen_layers=7", r"optimizer\.frozen_layers=7: this encoder has 6 layers"),
        ("encoder.max_length=600", r"encoder\.max_length=600: this encoder has positions for 512 tokens"),
        ("trainer.max_length=300", r"trainer\.max_length=300 is more than the encoder's 256 tokens"),
        ("sampler.global_batch_size=1000", r"add medi\.rows_per_task=1000"),
    ],
)
def test_settings_that_contradict_each_other_or_the_encoder_come_before_the_plan_and_any_work(
    configure: Configure, work: FakeWork, capsys: pytest.CaptureFixture[str], overrides: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=re.compile(told, re.DOTALL)):
        reproduce(configure(*overrides.split()), work.stages)
    assert not work.calls and capsys.readouterr().out == ""


def test_a_table_that_another_process_makes_is_refused_before_any_work_and_another_profile_s_is_not(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    with held(tmp_path / "experiments" / "own" / "table1", "documentation") as other:
        with pytest.raises(LockedError, match=rf"process {other.pid} on .* is writing .*table1"):
            reproduce(configure(), work.stages)
        assert not work.calls
    with held(tmp_path / "experiments" / "own" / "table1", "super_ni"):
        reproduce(configure(), work.stages)


def test_a_damaged_expected_file_is_found_before_anything_is_trained(configure: Configure, work: FakeWork) -> None:
    cfg = configure()
    Path(cfg.table.expected).write_text("rows: [")
    with pytest.raises(DataError, match=r"expected\.yaml"):
        reproduce(cfg, work.stages)
    assert work.calls == []


def test_a_benchmark_without_instructions_is_refused_before_anything_is_built(
    configure: Configure, work: FakeWork
) -> None:
    with pytest.raises(ConfigError, match="no instruction table for the benchmark 'unheard'"):
        reproduce(configure("instructions=none", "benchmark.name=unheard"), work.stages)
    assert work.calls == []


def test_the_benchmark_s_own_table_is_found_by_its_name(configure: Configure, work: FakeWork) -> None:
    reproduce(configure("instructions=none"), work.stages)
    tables = [cfg.instructions.name for name, cfg in work.calls if name == "evaluate"]
    assert tables == ["none", "documentation", "none", "documentation"]


def test_the_identity_of_the_data_follows_its_content(configure: Configure) -> None:
    cfg = configure()
    with pytest.raises(DataError, match=r"manifest\.json: there is no data here; build it with"):
        data_identity(cfg)
    manifest = Path(cfg.medi.folder) / "medi" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"sha256": "abc"}')
    task = Path(cfg.benchmark.root) / "eval" / "STS" / "Alike"
    task.mkdir(parents=True)
    with pytest.raises(DataError, match="test: there is no data here"):
        data_identity(cfg)
    (task / "test.jsonl").write_text('{"score": 1}\n')
    before = data_identity(cfg)
    assert before["medi"] == "abc"
    (task / "test.jsonl").write_text('{"score": 2}\n')
    assert data_identity(cfg)["benchmark"] != before["benchmark"]
    task.rename(elsewhere := Path(cfg.medi.folder) / "elsewhere")
    (elsewhere / "test.jsonl").write_text('{"score": 1}\n')
    task.symlink_to(elsewhere)
    assert data_identity(cfg) == before, "a link to a task's folder is one"


def test_a_recorded_table_is_not_replaced_by_one_of_fewer_seeds_steps_or_tasks(
    configure: Configure, work: FakeWork, tmp_path: Path
) -> None:
    reproduce(configure("table.record=true", "table.seeds=[0,1]"), work.stages)
    path = tmp_path / "experiments/table1/documentation.json"
    before, done = path.read_text(), len(work.calls)
    for less, told in (
        (["table.seeds=[0]"], "1 seeds where it has 2"),
        (["table.seeds=[0,1]", "trainer.max_steps=4"], "4 steps where it has 600"),
    ):
        with pytest.raises(DataError, match=rf"table1/documentation\.json: not recorded anew.*{told}.*delete this"):
            reproduce(configure("table.record=true", *less), work.stages)
    assert len(work.calls) == done, "told before any work"
    fewer = replace(work.stages, evaluate=lambda cfg: work.evaluate(cfg)[1:])
    with pytest.raises(DataError, match="17 tasks where it has 18"):
        reproduce(configure("table.record=true", "table.seeds=[0,1]"), fewer)
    assert path.read_text() == before
    assert reproduce(configure("table.seeds=[0]"), work.stages) == 0, "one's own may be smaller"


def test_tasks_that_leave_out_a_category_are_refused_before_the_first_training(
    configure: Configure, work: FakeWork
) -> None:
    cfg = configure("benchmark.tasks=[TinySTS,TinyPairs]")
    write_benchmark(Path(cfg.benchmark.root))
    with pytest.raises(ConfigError, match=r"benchmark\.tasks=.* leaves out Retrieval, .*no claim can be decided"):
        reproduce(cfg, work.stages)
    assert "train" not in [name for name, _ in work.calls]


def test_a_benchmark_without_a_category_is_told_and_its_other_columns_are_filled(
    configure: Configure, work: FakeWork, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = configure()
    shutil.rmtree(write_benchmark(Path(cfg.benchmark.root)) / "billboard")
    part = replace(work.stages, evaluate=lambda c: [s for s in work.evaluate(c) if s.category != "TextEvaluation"])
    assert reproduce(cfg, part) == 2
    assert "has no task of TextEvaluation: claims about the average will be missing" in caplog.text
