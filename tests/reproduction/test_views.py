"""The steering table: intervals around known numbers, claims that follow from them, and the whole command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from one_embedder.config.schema import Config
from one_embedder.errors import ConfigError, DataError, EvaluationError
from one_embedder.evaluation.views.cells import MEASURES, Cell, Labeling
from one_embedder.evaluation.views.results import ViewResult
from one_embedder.evaluation.views.steering import COLUMNS, NO_INSTRUCTION
from one_embedder.reproduction.statistics.layout import INSTRUCTOR, RowSpec
from one_embedder.reproduction.views.bootstrap import view_bootstrap
from one_embedder.reproduction.views.claims import decide_steering
from one_embedder.reproduction.views.record import read_steering, recorded_steering
from one_embedder.reproduction.views.report import ViewReport, write_view_report
from one_embedder.reproduction.views.rows import MEAN, PLAIN, UNTRAINED, ViewRow, cell
from one_embedder.reproduction.views.run import reproduce_views
from tests.composed import composed
from tests.medi.toy import view_rows, view_set, write_view_set
from tests.reproduction.fakes import FakeWork

TEXTS = 200
LABELINGS = ("thing", "mood")


def made(name: str, steered: float, seed: int = 0) -> ViewResult:
    """A set of two labelings; the right instruction lets so many more of the texts be told right."""
    rng = np.random.default_rng([seed, len(name)])
    labelings = {labeling: Labeling(np.arange(TEXTS), np.arange(TEXTS) % 4) for labeling in LABELINGS}
    cells = {
        given: {of: _cell(labelings[of], 0.5 + (steered if given == of else 0), rng) for of in LABELINGS}
        for given in (*LABELINGS, NO_INSTRUCTION)
    }
    identity = {"encoder_revision": f"{steered}", "data_sha256": name, "instructions": {}, "settings": {}}
    return ViewResult(name, tuple(f"{name}{i}" for i in range(TEXTS)), labelings, cells, identity)


def _cell(labeling: Labeling, share: float, rng: np.random.Generator) -> Cell:
    right = rng.random(TEXTS) < share
    clusters = np.where(right, labeling.gold, rng.integers(0, 4, TEXTS))
    return Cell(right.astype(np.int64), np.stack([clusters, clusters]))


def row(spec: RowSpec, *steered: float) -> ViewRow:
    """One run a number, on two sets."""
    runs = tuple(tuple(made(name, value, seed) for name in ("One", "Other")) for seed, value in enumerate(steered))
    return ViewRow(spec, tuple(range(len(steered))) if spec.is_trained else (), runs, ("results",) * len(steered))


LOOKED_AT = (("knn_accuracy", "steering"), ("v_measure", "steering"), ("knn_accuracy", "right"))


@pytest.fixture(scope="module")
def rows() -> list[ViewRow]:
    return [row(UNTRAINED, 0.0), row(PLAIN, 0.0, 0.0), row(INSTRUCTOR, 0.3, 0.3)]


def test_estimates_are_means_over_seeds_labelings_and_sets_and_lie_in_their_intervals(rows: list[ViewRow]) -> None:
    bootstrap = view_bootstrap(rows, resamples=100, confidence=0.95, seed=0)
    for measure in MEASURES:
        by_hand = []
        for run in rows[2].runs:
            for result in run:
                table = result.table(measure)
                by_hand += [table["thing"]["thing"] - table["mood"]["thing"]]
                by_hand += [table["mood"]["mood"] - table["thing"]["mood"]]
        name = cell(measure, MEAN, "steering")
        assert bootstrap.estimates["instructor"][name] == pytest.approx(np.mean(by_hand))
        for column in COLUMNS:
            interval = bootstrap.interval("instructor", cell(measure, MEAN, column))
            assert interval.low < interval.estimate < interval.high


def test_what_is_steered_is_told_from_what_is_not(rows: list[ViewRow]) -> None:
    bootstrap = view_bootstrap(rows, resamples=700, confidence=0.95, seed=0)
    claims = decide_steering(bootstrap, seeds=2)
    assert len(claims) == 14
    assert {claim.verdict for claim in claims} == {"supported"}
    assert {claim.verdict for claim in decide_steering(bootstrap, seeds=1)} == {"one seed"}
    unsteered = [row(UNTRAINED, 0.0), row(PLAIN, 0.0, 0.0), row(INSTRUCTOR, 0.0, 0.0)]
    claims = decide_steering(view_bootstrap(unsteered, resamples=400, confidence=0.95, seed=0), seeds=2)
    assert {claim.verdict for claim in claims} == {"undecided"}


def test_equal_models_differ_by_exactly_nothing_in_every_resample(rows: list[ViewRow]) -> None:
    twin = ViewRow(replace(INSTRUCTOR, id="twin"), rows[2].seeds, rows[2].runs, rows[2].folders)
    bootstrap = view_bootstrap([rows[2], twin], resamples=50, confidence=0.95, seed=0)
    difference = bootstrap.difference("twin", "instructor", cell("v_measure", "One", "steering"))
    assert (difference.low, difference.estimate, difference.high) == (0.0, 0.0, 0.0)


def test_rows_on_other_texts_are_not_compared(rows: list[ViewRow]) -> None:
    other = made("One", 0.0)
    moved = replace(other, ids=tuple(reversed(other.ids)))
    resized = replace(other, identity={**other.identity, "settings": {"neighbours": 3}})
    for changed, why in ((moved, "another choice of texts"), (resized, "another settings")):
        bad = replace(rows[0], runs=((changed, made("Other", 0.0)),))
        with pytest.raises(EvaluationError, match=f"view set One of row instructor and of row backbone: {why}"):
            view_bootstrap([rows[2], bad], resamples=10, confidence=0.95, seed=0)
    with pytest.raises(EvaluationError, match="row backbone was scored on other view sets"):
        view_bootstrap([rows[2], replace(rows[0], runs=((other,),))], resamples=10, confidence=0.95, seed=0)


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    write_view_set(tmp_path / "views", "One", view_rows())
    cfg = composed(
        "reproduce",
        ["table.name=views", "views=none", "debug=fast", f"paths.experiments={tmp_path / 'experiments'}"],
    )
    cfg.views.root, cfg.views.sets = str(tmp_path / "views"), {"One": view_set("test")}
    cfg.table.seeds, cfg.table.bootstrap_resamples = [0, 1], 700
    return cfg


def scored(cfg: Config) -> list[ViewResult]:
    """As steered as the name of the checkpoint's run says."""
    model = Path(cfg.encoder.name_or_path).parent.name
    return [made("One", 0.3 if model.startswith("with-") else 0.0, int(model[-1]) if model else 0)]


def test_the_command_trains_both_models_of_every_seed_and_writes_the_table(
    cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    work = FakeWork()
    assert reproduce_views(cfg, work.stages, scored) == 0
    trained = [(child.with_instructions, child.seed) for verb, child in work.calls if verb == "train"]
    assert trained == [(False, 0), (False, 1), (True, 0), (True, 1)]
    folder = Path(cfg.paths.experiments) / "own" / "views"
    record = json.loads((folder / "documentation.json").read_text())
    told = {claim["text"]: claim["verdict"] for claim in record["claims"]}
    assert told["INSTRUCTOR is steered by its instructions, by clusters"] == "supported"
    steered = record["rows"][2]["scores"][cell("knn_accuracy", MEAN, "steering")]
    assert f"{100 * steered:+.1f}" in (folder / "documentation.md").read_text()
    assert f"{100 * steered:+.1f}" in capsys.readouterr().out
    assert record == read_steering(folder / "documentation.json")
    assert [row["id"] for row in record["rows"]] == ["backbone", "finetuned_without_instructions", "instructor"]
    assert (folder / "documentation.csv").read_text().startswith("model,measure,set,column,points,low,high\n")


def test_each_model_is_measured_into_a_folder_of_its_own(cfg: Config) -> None:
    outputs: list[str] = []

    def score(child: Config) -> list[ViewResult]:
        outputs.append(str(child.output))
        return scored(child)

    reproduce_views(cfg, FakeWork().stages, score)
    assert len(set(outputs)) == 5
    assert Path(outputs[0]).parent.name == "minilm"
    assert {Path(output).name for output in outputs} == {"views_none_test"}


def test_a_number_of_the_record_changed_by_hand_is_refused(cfg: Config) -> None:
    reproduce_views(cfg, FakeWork().stages, scored)
    path = Path(cfg.paths.experiments) / "own" / "views" / "documentation.json"
    whole = json.loads(path.read_text())
    changes = [
        lambda record: record["rows"][2]["scores"].update({cell("v_measure", MEAN, "right"): 0.99}),
        lambda record: record["rows"][0]["scores"].update({cell("v_measure", "One", "steering"): 0.5}),
        lambda record: record["rows"][1]["intervals"].update({cell("v_measure", "One", "other"): [0.0, 0.01]}),
        lambda record: record["claims"][3]["difference"].update(estimate=0.2),
        lambda record: record.update(part="holdout"),
    ]
    for change in changes:
        record = json.loads(json.dumps(whole))
        change(record)
        path.write_text(json.dumps(record))
        with pytest.raises(DataError, match=r"documentation\.json"):
            read_steering(path)


def test_a_table_of_other_sets_has_a_name_of_its_own_and_says_what_they_are(cfg: Config, tmp_path: Path) -> None:
    cfg.views.part, cfg.views.sets = "train", {"One": view_set("train")}
    reproduce_views(cfg, FakeWork().stages, scored)
    folder = Path(cfg.paths.experiments) / "own" / "views"
    title = (folder / "documentation_train.md").read_text().splitlines()[0]
    assert "sets that were trained on, by texts that were not" in title
    assert "`documentation`, sets that were trained on, by texts that were not**: One." in recorded_steering(folder)


def test_less_is_never_recorded_over_more(cfg: Config) -> None:
    cfg.table.record = True
    reproduce_views(cfg, FakeWork().stages, scored)
    cfg.table.seeds = [0]
    work = FakeWork()
    with pytest.raises(DataError, match=r"documentation\.json: not recorded anew, because this run has 1 seeds"):
        reproduce_views(cfg, work.stages, scored)
    assert not work.calls


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda cfg: setattr(cfg.views, "chosen", ["Two"]), ConfigError, "no instructions for 'Two'"),
        (lambda cfg: cfg.views.sets.update(Two=view_set("test")), DataError, "no view set Two"),
        (lambda cfg: cfg.views.sets.update(mean=view_set("test")), ConfigError, "cannot be called mean"),
        (lambda cfg: setattr(cfg, "profile", "released"), ConfigError, "trains nothing .*evaluate_views"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_built(
    change: object, error: type[Exception], message: str, cfg: Config
) -> None:
    change(cfg)  # type: ignore[operator]
    work = FakeWork()
    with pytest.raises(error, match=message):
        reproduce_views(cfg, work.stages, scored)
    assert not work.calls


def test_data_from_before_there_were_view_sets_are_told_with_what_to_do(cfg: Config, tmp_path: Path) -> None:
    cfg.medi.folder, cfg.views.root = str(tmp_path / "old"), str(tmp_path / "old" / "views")
    with pytest.raises(DataError, match=r"no view sets.*delete .*old/build\.json and run the same again"):
        reproduce_views(cfg, FakeWork().stages, scored)


def test_the_report_is_written_from_the_rows_alone(rows: list[ViewRow], tmp_path: Path) -> None:
    bootstrap = view_bootstrap(rows, resamples=50, confidence=0.9, seed=0)
    report = ViewReport(
        "toy", "test", rows, bootstrap, decide_steering(bootstrap, 2), {"settings": {"trainer": {"max_steps": 5}}}
    )
    paths = write_view_report(report, tmp_path)
    assert [path.name for path in paths] == ["toy.md", "toy.csv", "toy.json"]
    text = paths[0].read_text()
    assert "| model | One | Other | mean steering, 90 % interval |" in text
    assert "| One, thing |" in text and "seeds 0, 1" in text


def test_the_table_of_exploratory_runs_is_what_their_record_gives(project_root: Path) -> None:
    folder = project_root / "experiments" / "views"
    shown = {}
    for line in (folder / "looked_at.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| run", "| :--")):
            what, _, *cells = line.strip("| ").split(" | ")
            shown[what] = cells
    columns = [(kind, *of) for kind in ("seen", "dev") for of in LOOKED_AT]
    for run in json.loads((folder / "looked_at.json").read_text(encoding="utf-8"))["runs"]:
        cells = shown.pop(run["what"])
        for (kind, measure, column), cell_shown in zip(columns, cells, strict=True):
            sets = run["scores"][kind]["sets"].values()
            mean = 100 * np.mean([scores[measure][column] for scores in sets])
            assert cell_shown == f"{mean:{'+' if column == 'steering' else ''}.1f}"
    assert not shown
