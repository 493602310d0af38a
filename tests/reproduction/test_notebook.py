"""The notebook runs from top to bottom, with results and without, and is stored without outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from one_embedder.config.schema import Config
from one_embedder.reproduction.run import reproduce
from tests.reproduction.fakes import FakeWork


@pytest.fixture
def notebook(project_root: Path) -> nbformat.NotebookNode:
    return nbformat.read(project_root / "notebooks" / "01_table1.ipynb", as_version=4)


def execute(notebook: nbformat.NotebookNode, experiments: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run it on a folder of results; the text of every output."""
    monkeypatch.setenv("ONE_EMBEDDER_EXPERIMENTS", str(experiments))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [str(output.get("data", output.get("text", ""))) for output in outputs]


def test_it_is_stored_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_without_results_it_says_how_to_make_them(
    notebook: nbformat.NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = execute(notebook, tmp_path, monkeypatch)
    assert len(outputs) == 1
    assert "No results yet" in outputs[0] and "make reproduce-table1" in outputs[0]


def test_with_results_it_shows_the_table_the_figures_and_the_claims(
    notebook: nbformat.NotebookNode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configure: Callable[..., Config],
    work: FakeWork,
) -> None:
    reproduce(configure(), work.stages)
    run = tmp_path / "experiments" / "runs" / "with-s0"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("step,loss\n0,3.0\n1,2.0\n1,1.9\n")
    outputs = execute(notebook, tmp_path / "experiments", monkeypatch)
    assert sum("image/png" in output for output in outputs) == 4
    assert any("INSTRUCTOR (finetuned with instructions)" in output for output in outputs)
    assert any("supported" in output for output in outputs)
