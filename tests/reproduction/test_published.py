"""The paper's table: complete, consistent with itself, and refused when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from one_embedder.errors import DataError
from one_embedder.evaluation.benchmarks import CATEGORIES
from one_embedder.reproduction.statistics.layout import COLUMNS
from one_embedder.reproduction.table1.published import load_published


@pytest.fixture
def path(project_root: Path) -> Path:
    return project_root / "experiments" / "expected" / "paper_table2.yaml"


def test_the_columns_of_the_table_are_the_categories_of_the_benchmark() -> None:
    assert COLUMNS == CATEGORIES


def test_the_paper_s_table_has_ten_models_and_seventy_tasks(path: Path) -> None:
    table = load_published(path)
    assert len(table.rows) == 10
    assert sum(table.task_counts[column] for column in COLUMNS) == 70
    assert "2212.09741" in table.source
    assert "Table 2" in table.source


@pytest.mark.parametrize(("model", "average"), [("INSTRUCTOR", 58.4), ("GTR-Large", 55.1), ("INSTRUCTOR-XL", 58.8)])
def test_averages_are_computed_and_agree_with_the_printed_ones(path: Path, model: str, average: float) -> None:
    assert load_published(path).row(model).average == pytest.approx(average, abs=0.1)


PRINTED_GAINS = {
    "INSTRUCTOR": (0.4, 4.5, 8.9, 0.7, 10.1, 6.4, 7.8, 5.7, 18.3, 5.9),
    "INSTRUCTOR-XL": (2.7, 2.3, 7.7, 0.6, 9.1, 6.9, 6.0, 13.6, 6.6, 5.9),
}
"""Per cent over the backbone, in the order of the columns, and of the average."""


def test_the_printed_gains_follow_from_the_numbers_with_the_exceptions_that_the_file_names(path: Path) -> None:
    table = load_published(path)
    others = set()
    for model, printed in PRINTED_GAINS.items():
        computed = table.relative_gains(model)
        for column, gain in zip((*COLUMNS, "average"), printed, strict=True):
            if round(computed[column], 1) != gain:
                others.add((model, column, round(computed[column], 1)))
    assert others == {
        ("INSTRUCTOR", "Reranking", 3.8),
        ("INSTRUCTOR-XL", "STS", 6.8),
        ("INSTRUCTOR", "average", 6.0),
        ("INSTRUCTOR-XL", "average", 6.0),
    }


def test_every_published_number_is_the_one_in_the_collected_facts(path: Path, shared: Path) -> None:
    lines = (shared / "facts" / "headline_table.csv").read_text().splitlines()
    table = load_published(path)
    assert len(lines) - 1 == len(table.rows)
    for line in lines[1:]:
        model, size, *numbers = line.split(",")
        row = table.row(model)
        order = [*numbers[:7], *numbers[8:10]]  # without the mean over MTEB's 56 tasks
        assert [row.scores[column] for column in COLUMNS] == [float(number) for number in order]
        assert row.parameters == size


def test_a_number_copied_wrongly_is_found_by_its_row_s_average(path: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    content["rows"][4]["scores"]["STS"] += 2
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match=r"wrong\.yaml: row INSTRUCTOR: the nine columns average"):
        load_published(wrong)


def test_a_missing_column_is_named(path: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    del content["rows"][0]["scores"]["Reranking"]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match="row SimCSE: missing or unknown columns: Reranking"):
        load_published(wrong)


@pytest.mark.parametrize("content", ["rows: [", "[]", "schema: 1"])
def test_a_damaged_file_names_itself_and_the_remedy(tmp_path: Path, content: str) -> None:
    damaged = tmp_path / "damaged.yaml"
    damaged.write_text(content)
    with pytest.raises(DataError, match=r"damaged\.yaml.*git checkout"):
        load_published(damaged)
