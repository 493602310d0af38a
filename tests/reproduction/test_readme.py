"""The generated parts of README and docs are what its sources say, and its sources are under version control."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.evaluation.resampling import Interval
from one_embedder.reproduction.ablation.record import Axis
from one_embedder.reproduction.compare.side_by_side_record import read_side_by_side
from one_embedder.reproduction.show.readme import (
    NEGATIVES,
    PAGES,
    fill,
    generated_parts,
    main,
    recorded_ablations,
    recorded_averages,
    recorded_growth,
    recorded_negatives,
    recorded_table,
)
from one_embedder.reproduction.statistics.layout import ROWS
from one_embedder.reproduction.table1.expected import ExpectedTable, read_expected
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.table1.run import reproduce
from one_embedder.reproduction.table1.tables import format_difference
from tests.reproduction.ablations import small_record
from tests.reproduction.fakes import FakeWork


@pytest.mark.parametrize("page", sorted(PAGES))
def test_no_page_is_stale(project_root: Path, page: str) -> None:
    path = project_root / page
    text, parts = path.read_text(encoding="utf-8"), generated_parts()
    assert fill(text, {name: parts[name] for name in PAGES[page]}, path) == text, f"{page} is stale: run `make readme`"


def test_every_generated_part_has_one_place() -> None:
    assert sorted(name for held in PAGES.values() for name in held) == sorted(generated_parts())


def test_links_between_the_pages_lead_somewhere(project_root: Path) -> None:
    for page in [project_root / "README.md", *(project_root / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
            to = (page.parent / target) if target else page
            assert to.exists(), f"{page.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.*)$", to.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
                assert anchor in slugs, f"{page.name}: {target}#{anchor}"


def test_filling_replaces_the_parts_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    text = "before\n<!-- table1:begin -->\nold\n<!-- table1:end -->\nafter\n"
    filled = fill(text, {"table1": "new \\1"}, path)
    assert filled == "before\n<!-- table1:begin -->\n\nnew \\1\n\n<!-- table1:end -->\nafter\n"
    assert fill(filled, {"table1": "new \\1"}, path) == filled


def test_a_readme_without_its_markers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"README\.md: needs the lines <!-- table1:begin -->"):
        fill("no markers", {"table1": "new"}, tmp_path / "README.md")


def test_the_command_fills_every_page_in_place(tmp_path: Path, project_root: Path) -> None:
    for part in ("conf", "experiments", "docs"):
        shutil.copytree(project_root / part, tmp_path / part, ignore=shutil.ignore_patterns("runs", "results"))
    text = (project_root / "docs/results.md").read_text()
    (tmp_path / "README.md").write_text((project_root / "README.md").read_text())
    (tmp_path / "docs/results.md").write_text(text.replace("INSTRUCTOR (335M)", "changed by hand"))
    main(tmp_path)
    assert (tmp_path / "docs/results.md").read_text() == text


def test_without_a_recorded_run_every_cell_is_not_run() -> None:
    assert recorded_table(None).count("not run") == 10 * len(ROWS)
    assert recorded_averages(None).count("not run") == len(ROWS)


def recorded(cfg: Config) -> tuple[dict[str, Any], ExpectedTable]:
    expected = read_expected(Path(cfg.table.expected))
    assert expected is not None
    return read_table1(Path(cfg.paths.experiments) / "table1" / "documentation.json"), expected


def test_a_recorded_run_is_shown_with_intervals_seeds_and_claims(
    configure: Callable[..., Config], work: FakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = configure("table.seeds=[0,1]", "table.record=true", "table.bootstrap_resamples=199")
    reproduce(cfg, work.stages)
    table = recorded_table(recorded(cfg))
    assert "seeds 0, 1" in table
    assert "95 % interval" in table
    assert table.count("supported (2 seeds, 600 steps); +") == table.count(", p 0.0") == 3
    assert "Kind of machine: torch " in table
    with monkeypatch.context() as patch:
        patch.setattr("one_embedder.reproduction.steps.machine.arithmetic", lambda: "another machine")
        work.quality[True, True] += 0.004
        reproduce(cfg, work.stages)
    table = recorded_table(recorded(cfg))
    assert re.search(r"last one shown: torch [^;]*; another machine\. Between them .* in the average and 0\.\d", table)


def test_a_recorded_claim_from_one_seed_says_so(configure: Callable[..., Config], work: FakeWork) -> None:
    cfg = configure("table.record=true", "table.bootstrap_resamples=199")
    reproduce(cfg, work.stages)
    assert recorded_table(recorded(cfg)).count(": one seed (600 steps); +") == 3


def test_an_ablations_claims_from_one_seed_say_so() -> None:
    claims = [replace(claim, verdict="one seed") for claim in small_record().claims]
    part = recorded_ablations([replace(small_record(), seeds=[0], claims=claims)], [])
    assert part.count("| one seed (400 steps) |") == 2


def test_the_ablations_are_shown_claim_by_claim_and_those_without_a_record_are_named() -> None:
    record = small_record()
    undecided = replace(record.claims[1], difference=None, p_adjusted=None, verdict="missing")
    part = recorded_ablations([replace(record, claims=[record.claims[0], undecided], missing=["a"])], ["a"])
    claim = "Finetuning with instructions is better than without."
    assert (
        f"| `wording`: {claim} | figure 3 | +10.0 [+7.0, +13.0] | 0.004 | 9 of 9 | supported (3 seeds, 400 steps) |"
        in part
    )
    assert "| ours | - | - | - | missing |" in part
    assert (
        "6 trainings" not in part and "3 trainings of 400 steps, seeds 0, 1, 2; 15 minutes. 1 runs are missing." in part
    )
    assert part.endswith("No record yet (`make ablation-NAME` makes it): `a`.")


def test_without_any_record_every_ablation_is_not_run() -> None:
    assert recorded_ablations([], ["b", "c"]) == "No record yet (`make ablation-NAME` makes it): `b`, `c`."


def test_growth_shows_the_figure_and_the_claims_of_ablations_over_steps_alone() -> None:
    record = small_record()
    assert recorded_growth([record]) == "not run"
    levels = {level: {"trainer.max_steps": 400} for level in record.axes[1].levels}
    over_steps = replace(record, name="steps", axes=[record.axes[0], Axis("wording", "steps", False, levels)])
    figure, claims = recorded_growth([record, over_steps]).split("\n\n")
    assert figure.endswith("(experiments/ablations/steps/documentation.svg)")
    assert claims.splitlines()[0] == (
        "- Finetuning with instructions is better than without: supported (3 seeds, 400 steps); "
        "+10.0 [+7.0, +13.0], p 0.004"
    )


def test_other_negatives_are_shown_a_line_for_each_kind_and_remedy(project_root: Path) -> None:
    paths = sorted((project_root / "experiments" / "folder").glob(f"{NEGATIVES}*.json"))
    lines = recorded_negatives(paths).splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [(kind, told_from) for kind, told_from, *_ in rows] == [
        (path.stem.removeprefix(NEGATIVES), row["label"])
        for path in paths
        for row in read_side_by_side(path)["rows"][1:]
    ]
    first = read_side_by_side(paths[0])["rows"][1]["minus_first"]
    assert rows[0][2:] == [format_difference(Interval(**first[column])) for column in first]
    assert recorded_negatives([]) == "not run"
