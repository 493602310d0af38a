"""Evaluations side by side: the rows that were asked for, with their means, intervals and learners."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from one_embedder.config.schema import PromptTaskConfig
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.benchmarks import category_means, load_scores, overall_mean
from one_embedder.evaluation.resampling import Interval
from one_embedder.evaluation.run import evaluate
from one_embedder.reproduction.compare.side_by_side import Evaluations, parser, work
from one_embedder.reproduction.compare.side_by_side_record import read_side_by_side
from one_embedder.reproduction.show.page_sections import side_by_side_section
from one_embedder.reproduction.statistics.layout import AVERAGE, COLUMNS
from one_embedder.reproduction.table1.tables import format_difference
from one_embedder.tracking.manifest import read_manifest
from tests.evaluation.conftest import HashEncoder, configured, rewrite, write_benchmark

__all__ = ["rewrite"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two encoders scored on the nine tiny tasks; not to be changed."""
    folder = tmp_path_factory.mktemp("side_by_side")
    root = write_benchmark(folder / "benchmark")
    for name, dimension in (("wide", 48), ("narrow", 4)):
        evaluate(configured(root, folder / name), HashEncoder(dimension))
    return {name: folder / name for name in ("wide", "narrow")}


def test_a_row_holds_category_means_their_mean_and_its_interval(outputs: dict[str, Path]) -> None:
    evaluations = Evaluations.read([f"{name}={path}" for name, path in outputs.items()], resamples=50)
    for line, path in zip(evaluations.main_grid().rows, outputs.values(), strict=True):
        scores = load_scores(path)
        means = [*category_means(scores).values(), overall_mean(scores)]
        assert list(line[1:11]) == [f"{100 * mean:.1f}" for mean in means]
        low, high = map(float, line[11].strip("[]").split(", "))
        assert low < 100 * overall_mean(scores) < high
    first, second = evaluations.main_grid().rows
    assert first[12] == "-"
    difference = 100 * (overall_mean(load_scores(outputs["narrow"])) - overall_mean(load_scores(outputs["wide"])))
    assert second[12].startswith(f"{difference:+.1f} [")


def test_the_learner_of_prompt_retrieval_is_always_told(outputs: dict[str, Path]) -> None:
    assert "Prompt retrieval: learner nearest." in Evaluations.read([f"a={outputs['wide']}"], resamples=5).markdown()


def test_several_trainings_of_a_model_are_one_row(outputs: dict[str, Path]) -> None:
    both = Evaluations.read([f"both={outputs['wide']},{outputs['narrow']}"], resamples=20)
    means = [overall_mean(load_scores(path)) for path in outputs.values()]
    assert both.main_grid().rows[0][10] == f"{50 * sum(means):.1f}"


def test_the_command_writes_a_table_and_every_task(outputs: dict[str, Path], tmp_path: Path, capsys) -> None:
    work(parser().parse_args([f"wide={outputs['wide']}", "--output", str(tmp_path / "x/table"), "--resamples", "5"]))
    assert "wide" in capsys.readouterr().out
    assert (tmp_path / "x/table.md").read_text().count("\n| Tiny") == 9
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x/table.csv").read_text())))
    assert {row["task"]: float(row["points"]) for row in rows} == {
        score.task: pytest.approx(100 * score.main_score, abs=1e-4) for score in load_scores(outputs["wide"])
    }


def test_the_record_holds_the_tables_numbers_and_the_run_behind_each_row(
    outputs: dict[str, Path], tmp_path: Path
) -> None:
    named = [f"{name}={path}" for name, path in outputs.items()]
    work(parser().parse_args([*named, "--output", str(tmp_path / "folder/sizes"), "--resamples", "20"]))
    record = read_side_by_side(tmp_path / "folder/sizes.json")
    evaluations = Evaluations.read(named, resamples=20)
    for row, line, path in zip(record["rows"], evaluations.main_grid().rows, outputs.values(), strict=True):
        assert [f"{100 * row['scores'][column]['estimate']:.1f}" for column in (*COLUMNS, AVERAGE)] == list(line[1:11])
        assert row["evaluations"][0]["run_id"] == read_manifest(path)["run_id"]
        assert "/" not in json.dumps([row["evaluations"][0][key] for key in ("code", "data", "hardware")])
    first, second = record["rows"]
    assert set(first["minus_first"][AVERAGE].values()) == {0.0}
    assert evaluations.main_grid().rows[1][12] == format_difference(Interval(**second["minus_first"][AVERAGE]))
    section = side_by_side_section(tmp_path / "folder/sizes.json")
    assert section.tables[0].grid == evaluations.main_grid()
    assert [len(table.grid.headers) for table in section.tables[1:]] == [3, 2], "both with intervals; one difference"
    assert first["above_first"] is None
    assert (
        second["above_first"]["p_adjusted"]
        == second["above_first"]["p_value"]
        == evaluations.bootstrap.p_value("narrow", "wide")
    )
    assert "instructions none" in section.facts["wide"]


def test_labels_that_look_like_a_number_or_nothing_are_names(outputs: dict[str, Path], tmp_path: Path) -> None:
    named = [f"800={outputs['wide']}", f"None={outputs['narrow']}"]
    work(parser().parse_args([*named, "--output", str(tmp_path / "steps"), "--resamples", "5"]))
    assert [row["label"] for row in read_side_by_side(tmp_path / "steps.json")["rows"]] == ["800", "None"]


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "sizes.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"sizes\.json: not a record of evaluations side by side"):
        side_by_side_section(path)


def test_the_rows_beside_the_first_are_decided_together(outputs: dict[str, Path]) -> None:
    narrow = [f"{name}={outputs['narrow']}" for name in "abc"]
    evaluations = Evaluations.read([f"first={outputs['wide']}", *narrow], resamples=199)
    alone = evaluations.bootstrap.p_value("a", "first")
    for line in evaluations.main_grid().rows[1:]:
        assert line[13] == f"{min(1.0, 3 * alone):.3f}"
        assert line[14].partition(" (")[0].removesuffix(" by p") in ("supported", "not supported", "undecided")
    assert "corrected for the number of rows (Holm)" in evaluations.markdown()


def test_evaluations_of_other_tasks_are_not_put_side_by_side(outputs: dict[str, Path], tmp_path: Path) -> None:
    cfg = configured(tmp_path / "benchmark", tmp_path / "fewer")
    write_benchmark(tmp_path / "benchmark")
    cfg.benchmark.tasks = ["TinySTS", "TinyPairs"]
    evaluate(cfg, HashEncoder())
    with pytest.raises(EvaluationError, match="scored on other tasks"):
        Evaluations.read([f"a={outputs['wide']}", f"b={tmp_path}/fewer"], resamples=5)


def test_as_many_items_of_other_data_are_not_put_side_by_side(
    outputs: dict[str, Path], tmp_path: Path, rewrite: Callable[..., None]
) -> None:
    """One grade of one pair differs: every count is the same."""
    root = write_benchmark(tmp_path / "benchmark")
    rewrite(root / "eval/STS/TinySTS", "test", 0, score=2.5)
    evaluate(configured(root, tmp_path / "other"), HashEncoder())
    with pytest.raises(
        EvaluationError, match="task TinySTS of row a and of row b were scored on different data: data_sha256 is"
    ):
        Evaluations.read([f"a={outputs['wide']}", f"b={tmp_path}/other"], resamples=5)


def test_as_many_inputs_drawn_otherwise_are_not_put_side_by_side(tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "benchmark")
    for seed in (0, 1):
        cfg = configured(root, tmp_path / f"drawn{seed}")
        cfg.prompt_retrieval.tasks = {"TinyPrompts": PromptTaskConfig(eval_size=6, max_demonstrations=2, seed=seed)}
        evaluate(cfg, HashEncoder())
    with pytest.raises(EvaluationError, match=r"task TinyPrompts of row a and of row b .*: item 1 is another"):
        Evaluations.read([f"a={tmp_path}/drawn0", f"b={tmp_path}/drawn1"], resamples=5)


def test_a_task_whose_folder_is_gone_is_not_counted(outputs: dict[str, Path], tmp_path: Path) -> None:
    root = write_benchmark(tmp_path / "benchmark")
    shutil.copytree(outputs["wide"], tmp_path / "again")
    shutil.rmtree(root / "billboard/TinyBillboard")
    evaluate(configured(root, tmp_path / "again"), HashEncoder())
    with pytest.raises(DataError, match=r"has results of TinyBillboard, which the evaluation did not score"):
        Evaluations.read([f"a={tmp_path}/again"], resamples=5)


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        (["folder"], ConfigError, "'folder' must be LABEL=FOLDER"),
        (["a="], ConfigError, "'a=' must be LABEL=FOLDER"),
        (["a=/nowhere"], DataError, "/nowhere: no result files"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(named: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Evaluations.read(named)


def test_one_folder_is_no_two_trainings(outputs: dict[str, Path]) -> None:
    wide = outputs["wide"]
    with pytest.raises(ConfigError, match="a has a folder twice"):
        Evaluations.read([f"a={wide},{wide.parent / '.' / wide.name}"])


@pytest.mark.parametrize("resamples", [0, -3])
def test_no_interval_without_resamples(outputs: dict[str, Path], resamples: int) -> None:
    with pytest.raises(ConfigError, match=f"--resamples={resamples} must be at least 1"):
        Evaluations.read([f"a={outputs['wide']}"], resamples=resamples)


def test_several_trainings_are_told_beside_the_verdict_and_more_of_them_would_help(outputs: dict[str, Path]) -> None:
    both, turned = (",".join(map(str, paths)) for paths in (outputs.values(), reversed(outputs.values())))
    (line,) = Evaluations.read([f"first={both}", f"second={turned}"], resamples=199).main_grid().rows[1:]
    assert line[14].startswith("undecided (2 trainings; needs") and line[14].endswith("times the seeds and texts)")


def test_two_rows_of_one_label_are_refused(outputs: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="two rows have the same label"):
        Evaluations.read([f"a={path}" for path in outputs.values()])
