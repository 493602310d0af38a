"""The notebooks run from top to bottom, with results and without, and are stored without outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from one_embedder.config.schema import Config
from one_embedder.files.location import PROJECT_ROOT
from one_embedder.reproduction.show.notebook import DATA, EXPERIMENTS, data_folder, experiments_folder, trained_encoder
from one_embedder.reproduction.table1.run import reproduce
from tests.reproduction.ablations import write_small_record
from tests.reproduction.fakes import FakeWork

NOTEBOOKS = sorted((PROJECT_ROOT / "notebooks").glob("*.ipynb"))
REPRODUCE, ABLATION = "make reproduce-table1", "make ablation-with_without_instructions"


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Run a notebook on ``<tmp>/experiments`` and ``<tmp>/data``; the text of every output."""
    monkeypatch.setenv(EXPERIMENTS, str(tmp_path / "experiments"))
    monkeypatch.setenv(DATA, str(tmp_path / "data"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")

    def run(name: str) -> list[str]:
        (path,) = (path for path in NOTEBOOKS if path.stem.endswith(name))
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
        outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        return [str(output.get("data", output.get("text", ""))) for output in outputs]

    return run


def test_there_are_five() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs_and_tells_before_it_shows(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert notebook.cells[0].source.startswith("# ")
    assert len(notebook.cells) - len(code) >= 5, "an essay has text before its figures"


@pytest.mark.parametrize(("name", "command"), [("table1", REPRODUCE), ("ablations", ABLATION), ("errors", REPRODUCE)])
def test_without_results_it_says_in_one_sentence_how_to_make_them(
    name: str, command: str, execute: Callable[[str], list[str]]
) -> None:
    (only,) = execute(name)
    assert "No results yet" in only and f"Run `{command}`" in only


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images"), [("instructions_at_work", 1), ("medi_explored", 2)])
def test_without_results_or_data_it_says_so_and_shows_what_needs_neither(
    name: str, images: int, execute: Callable[[str], list[str]]
) -> None:
    outputs = execute(name)
    (said,) = (output for output in outputs if "No results yet" in output)
    assert f"Run `{REPRODUCE}`" in said
    assert sum("image/png" in output for output in outputs) == images


def test_table1_shows_the_table_the_figures_and_the_claims(
    execute: Callable[[str], list[str]], tmp_path: Path, configure: Callable[..., Config], work: FakeWork
) -> None:
    reproduce(configure("table.bootstrap_resamples=199"), work.stages)
    reproduce(configure("table.seeds=[0,1]", "table.bootstrap_resamples=199", "table.record=true"), work.stages)
    run = tmp_path / "experiments" / "runs" / "with-s0"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("step,loss\n0,3.0\n1,2.0\n1,1.9\n")
    outputs = execute("table1")
    assert sum("image/png" in output for output in outputs) == 2 * 6
    assert any("INSTRUCTOR (finetuned with instructions)" in output for output in outputs)
    assert any("one seed (800 steps)" in output for output in outputs)
    assert any("supported (2 seeds, 800 steps)" in output for output in outputs)
    whose = [output for output in outputs if "**Recorded**" in output or "**Your run**" in output]
    assert len(whose) == 2 * 6 and "**Recorded**" in whose[0] and "**Your run**" in whose[1]


def test_ablations_shows_each_record_with_its_figures_and_verdicts(
    execute: Callable[[str], list[str]], tmp_path: Path
) -> None:
    write_small_record(tmp_path / "experiments", missing=("with-s2",))
    outputs = execute("ablations")
    assert sum("image/png" in output for output in outputs) == 2
    assert any("+10.0 [+7.0, +13.0]" in output and "supported (3 seeds" in output for output in outputs)
    assert any("missing: with-s2" in output for output in outputs)


def test_errors_names_the_losers_of_the_recorded_run(
    execute: Callable[[str], list[str]], tmp_path: Path, configure: Callable[..., Config], work: FakeWork
) -> None:
    reproduce(configure("table.seeds=[0,1]"), work.stages)
    write_small_record(tmp_path / "experiments")
    outputs = execute("errors")
    assert sum("image/png" in output for output in outputs) == 2
    assert any("every seed" in output for output in outputs)
    assert any("ablations that lose" in output for output in outputs)


def test_records_and_data_are_the_projects_own_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EXPERIMENTS, raising=False)
    monkeypatch.delenv(DATA, raising=False)
    assert (experiments_folder(), data_folder()) == (PROJECT_ROOT / "experiments", PROJECT_ROOT / "data")


def test_the_trained_encoder_is_the_first_whole_checkpoint_of_the_table(
    tmp_path: Path, configure: Callable[..., Config], work: FakeWork
) -> None:
    assert trained_encoder(tmp_path, "documentation") is None
    cfg = configure("table.seeds=[0,1]")
    reproduce(cfg, work.stages)
    experiments = Path(cfg.paths.experiments)
    assert trained_encoder(experiments, cfg.profile) is None
    folders = [experiments / "runs" / run / "checkpoint" for run in ("an_ablations-s0", "with-s0", "with-s1")]
    for folder in folders:
        folder.mkdir(parents=True)
    for folder in (folders[0], folders[2]):
        (folder / "modules.json").touch()
    assert trained_encoder(experiments, cfg.profile) == folders[2]
