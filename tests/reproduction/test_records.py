"""A record with a number that the others contradict is shown to nobody: not in the README, not on the page."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from one_embedder.errors import DataError
from one_embedder.reproduction.ablation.record import read_record
from one_embedder.reproduction.ablation.tables import runs_csv, to_markdown
from one_embedder.reproduction.compare.harness import read_published
from one_embedder.reproduction.compare.harness import read_record as read_harness
from one_embedder.reproduction.compare.side_by_side_record import read_side_by_side
from one_embedder.reproduction.show.hash_list import FOLDERS
from one_embedder.reproduction.show.page import sections
from one_embedder.reproduction.show.readme import PAGES, generated_parts, main
from one_embedder.reproduction.table1.expected import read_expected
from one_embedder.reproduction.table1.published import load_published
from one_embedder.reproduction.table1.published_models import load_published_models
from one_embedder.reproduction.table1.record import read_table1

Edit = Callable[[Any], None]

TABLE1, FOLDER = "table1/documentation", "folder/minilm_instructions"
EXPECTED, HARNESS = "expected/table1_documentation.yaml", "harness/minilm.json"
ABLATION = "ablations/temperature/documentation"


@pytest.fixture
def root(tmp_path: Path, project_root: Path) -> Path:
    """A copy of the committed records, which the test may change."""
    for part in ("table1", "folder", "harness", "expected", "ablations", "views", "torture"):
        shutil.copytree(project_root / "experiments" / part, tmp_path / "experiments" / part)
    return tmp_path


def change(root: Path, name: str, edit: Edit) -> Path:
    """Edit a JSON or YAML record."""
    path = root / "experiments" / name
    content = yaml.safe_load(path.read_text())
    edit(content)
    dump = json.dumps if path.suffix == ".json" else yaml.safe_dump
    path.write_text(dump(content))
    return path


def replace_in(root: Path, name: str, old: str, new: str) -> None:
    path = root / "experiments" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def of_row(number: int, key: str, column: str, value: Any) -> Edit:
    return lambda record: record["rows"][number][key].update({column: value})


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (of_row(3, "scores", "average", 0.9), "row instructor, average: 0.9 is stated, and the other numbers give 0.6"),
        (of_row(3, "scores", "STS", "0.8"), "row instructor, STS: '0.8' is not a number"),
        (of_row(3, "scores", "Retrieval", 9.0), "row instructor, Retrieval: 9.0 is not between 0 and 1"),
        (of_row(3, "scores", "Retrieval", float("nan")), "row instructor, Retrieval: nan is not a number"),
        (of_row(3, "intervals", "average", [0.1, 0.2]), "row instructor, average: .* does not lie in its own interval"),
        (
            lambda r: r["differences"]["backbone"]["average"].update(estimate=0.03),
            "instructor minus backbone, average: 0.03 is stated",
        ),
        (lambda r: r["claims"][0]["difference"].update(estimate=0.03), "claim .* is the difference of no two averages"),
    ],
)
def test_a_table_whose_numbers_contradict_each_other_is_refused_by_name(root: Path, edit: Edit, told: str) -> None:
    path = change(root, f"{TABLE1}.json", edit)
    with pytest.raises(DataError, match=rf"table1/documentation\.json, {told}"):
        read_table1(path)
    with pytest.raises(DataError, match="table1/documentation"):
        generated_parts(root)
    with pytest.raises(DataError, match="table1/documentation"):
        sections(root / "experiments", [])


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (f"{TABLE1}.csv", "62.0209", "66.0209"),
        (f"{TABLE1}.csv", "62.0209", "n/a"),
        (f"{TABLE1}_tasks.csv", "76.7621", "86.7621"),
        (f"{TABLE1}_tasks.csv", "76.7621", "much"),
        (f"{TABLE1}.md", "| 62.0 |", "| 66.0 |"),
        (f"{TABLE1}.md", "| average | +", "| average | +9"),
        (f"{TABLE1}.tex", "62.0", "66.0"),
        (f"{FOLDER}.csv", "64.5082", "74.5082"),
        (f"{FOLDER}.md", "| 50.7 |", "| 55.7 |"),
    ],
)
def test_a_file_beside_a_record_that_says_something_else_is_refused_by_name(
    root: Path, name: str, old: str, new: str
) -> None:
    replace_in(root, name, old, new)
    with pytest.raises(DataError, match=Path(name).name.replace(".", r"\.")):
        generated_parts(root)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda r: r["rows"][1]["scores"]["STS"].update(estimate=0.9), "row generic, average: .* the other numbers"),
        (lambda r: r["rows"][1]["scores"]["average"].update(low=0.6), "row generic, average: .* own interval"),
        (lambda r: r["rows"][1]["minus_first"]["STS"].update(estimate=-0.021), "row generic, STS minus the first"),
    ],
)
def test_evaluations_side_by_side_that_contradict_each_other_are_refused(root: Path, edit: Edit, told: str) -> None:
    path = change(root, f"{FOLDER}.json", edit)
    with pytest.raises(DataError, match=rf"minilm_instructions\.json, {told}"):
        read_side_by_side(path)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda r: r["cells"][1]["scores"].update(STS=0.9), "cell .*, average: .* the other numbers give"),
        (lambda r: r["cells"][1]["columns"][0].update(average=0.7), "run 1, average: 0.7 is stated"),
        (lambda r: next(iter(r["cells"][1]["tasks"].values())).__setitem__(0, 0.1), "run 1, [A-Za-z]+: .* is stated"),
        (lambda r: r["cells"][1]["deviations"].update(STS=0.0), "deviation of STS: 0.0 is stated"),
        (lambda r: r["cells"][1]["intervals"]["STS"].update(low=0.99), "STS: .* does not lie in its own interval"),
        (lambda r: r["claims"][0]["difference"].update(estimate=0.0, low=-0.1, high=0.1), "claim .*: 0.0 is stated"),
        (lambda r: r["claims"][0].update(p_adjusted=-0.1), "p: -0.1 is not between 0 and 1"),
    ],
)
def test_an_ablation_whose_numbers_contradict_each_other_is_refused(root: Path, edit: Edit, told: str) -> None:
    path = change(root, f"{ABLATION}.json", edit)
    with pytest.raises(DataError, match=rf"temperature/documentation\.json, .*{told}"):
        read_record(path)


def backbone(value: Any) -> Edit:
    """Change the backbone's first column in the recorded run that is shown."""
    return lambda content: content["kinds"][-1]["runs"][0]["points"].update(Retrieval=value)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (backbone("62.0"), "Retrieval: '62.0' is not a number"),
        (backbone(620.0), "Retrieval: 620.0 is not between 0 and 100"),
        (backbone(float("nan")), "Retrieval: nan is not a number"),
    ],
)
def test_expected_values_that_nothing_can_be_judged_by_are_refused(root: Path, edit: Edit, told: str) -> None:
    path = change(root, EXPECTED, edit)
    with pytest.raises(DataError, match=rf"table1_documentation\.yaml, .*{told}"):
        read_expected(path)


def test_expected_values_are_those_of_the_table_that_was_recorded_with_them(root: Path) -> None:
    """Two points more in one column."""
    change(root, EXPECTED, backbone(64.021))
    with pytest.raises(DataError, match=r"table1_documentation\.yaml, row backbone, Retrieval, beside .*: 64\.021 is"):
        generated_parts(root)


def test_ones_own_run_changes_nothing_of_the_pages(root: Path) -> None:
    before = generated_parts(root)
    for part in ("table1", "ablations"):
        shutil.copytree(root / "experiments" / part, root / "experiments/own" / part)
    for part, old, new in (
        ("table1/documentation.json", "supported", "off"),
        ("ablations/temperature/documentation.json", "0.", "1."),
    ):
        replace_in(root, f"own/{part}", old, new)
    assert generated_parts(root) == before


@pytest.mark.parametrize("value", ["0.7", 9.0, float("nan"), None])
def test_a_score_of_the_harness_that_is_none_is_named(root: Path, value: Any) -> None:
    path = change(root, HARNESS, lambda record: record["scores"].update(STS12=value))
    with pytest.raises(DataError, match=r"harness/minilm\.json, STS12"):
        read_harness(path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("minilm_published.yaml", "within: 0.1", "within: 1.0e+9"),
        ("minilm_published.yaml", "published: 64.508", "published: .nan"),
        ("published_models.yaml", "ok: 0.1", "ok: 1.0e+9"),
        ("paper_table2.yaml", "Retrieval: 47.4", "Retrieval: .nan"),
    ],
)
def test_published_numbers_are_numbers_and_their_tolerances_narrow(root: Path, name: str, old: str, new: str) -> None:
    replace_in(root, f"expected/{name}", old, new)
    folder = root / "experiments/expected"
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        read_published(folder / "minilm_published.yaml")
        load_published_models(folder / "published_models.yaml", load_published(folder / "paper_table2.yaml"))


def test_every_committed_table_of_an_ablation_is_what_its_record_gives(project_root: Path) -> None:
    paths = sorted((project_root / "experiments/ablations").glob("*/*.json"))
    assert len(paths) >= 14
    for path in paths:
        record = read_record(path)
        assert path.with_suffix(".md").read_text() == to_markdown(record), f"{path}: stale, run `make readme`"
        assert path.with_suffix(".csv").read_text() == runs_csv(record)


def test_filling_the_readme_writes_the_tables_of_ablations_anew(root: Path, project_root: Path) -> None:
    tables = [root / f"experiments/{ABLATION}{ending}" for ending in (".md", ".csv")]
    before = [table.read_text() for table in tables]
    for table in tables:
        table.write_text(table.read_text().replace("2.4", "9.9"))
    assert [table.read_text() for table in tables] != before
    shutil.copyfile(project_root / "README.md", root / "README.md")
    shutil.copytree(project_root / "docs", root / "docs")
    shutil.copytree(project_root / "experiments" / "bench", root / "experiments" / "bench", dirs_exist_ok=True)
    main(root)
    assert [table.read_text() for table in tables] == before
    assert all((root / page).read_text() == (project_root / page).read_text() for page in PAGES)


def test_no_record_says_where_on_a_machine_the_project_lay(project_root: Path) -> None:
    records = [path for ending in ("json", "yaml") for path in (project_root / "experiments").rglob(f"*.{ending}")]
    recorded = [path for path in records if path.relative_to(project_root / "experiments").parts[0] in FOLDERS]
    placed = [path.name for path in recorded if re.search(r"[\"' ]/[^\"' ]*/experiments/", path.read_text())]
    assert recorded and not placed
