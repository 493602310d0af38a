"""What README.md, docs/ and data/README.md say of a file is what the file has."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from one_embedder.config.schema import Config
from one_embedder.encode import parser
from one_embedder.encode import work as encode
from one_embedder.evaluation.benchmarks import CATEGORIES, TaskScore
from one_embedder.evaluation.resampling import Interval
from one_embedder.evaluation.results import content_sha256
from one_embedder.medi.build import build
from one_embedder.medi.row import to_released
from one_embedder.medi.store import load_medi
from one_embedder.reproduction.compare.side_by_side_record import read_side_by_side
from one_embedder.reproduction.show.page import write_page
from one_embedder.reproduction.statistics.layout import COLUMNS
from one_embedder.reproduction.table1.record import read_table1
from one_embedder.reproduction.table1.run import reproduce
from one_embedder.reproduction.table1.tables import format_interval
from one_embedder.training.run import train
from tests.evaluation.conftest import HashEncoder, evaluated, tiny_files
from tests.medi.toy import toy_rows
from tests.reproduction.fakes import FakeWork, make_scores
from tests.training.conftest import encoder_folder, workplace
from tests.training.tiny import tiny_config

__all__ = ["encoder_folder", "evaluated", "workplace"]


@pytest.fixture(scope="module")
def said(project_root: Path) -> Callable[[str], None]:
    """Fails unless the README or a page of docs/ says this, so that a sentence and its test change together."""
    pages = [project_root / "README.md", *sorted((project_root / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)

    def check(sentence: str) -> None:
        assert sentence in text, f"no page says {sentence!r} any longer; say here what they say now"

    return check


def test_a_result_file_has_its_main_score_where_the_readme_says(
    said: Callable[[str], None], evaluated: tuple[Config, list[TaskScore], HashEncoder]
) -> None:
    said("Each task leaves `OUT/results/<Task>.json` in mteb's format, with what is ours under `one_embedder`")
    said("its `main_score`, from 0 to 1 (correlations from -1), and a hash of the content")
    said("the items in `OUT/items/<Task>.json`")
    cfg, scores, _ = evaluated
    assert len(scores) == len(CATEGORIES)
    for score in scores:
        content = json.loads((Path(str(cfg.output)) / f"results/{score.task}.json").read_text())
        ours = content["one_embedder"]
        assert "main_score" not in content and ours["main_score"] == score.main_score
        assert content["scores"]["test"][0]["main_score"] == score.main_score, "mteb's place"
        assert -1 <= score.main_score <= 1 and ours["content_sha256"] == content_sha256(content)
        items = json.loads((Path(str(cfg.output)) / f"items/{score.task}.json").read_text())
        assert all(len(column) == len(score.items) for column in items["columns"].values())


def test_the_tables_of_a_reproduction_have_the_columns_that_the_readme_names(
    said: Callable[[str], None], configure: Callable[..., Config], work: FakeWork
) -> None:
    said("`experiments/own/table1/documentation.{csv,md,tex,json}`")
    said("(CSV: one row a model, one column a category plus `average`; `documentation_tasks.csv`: every task)")
    cfg = configure("table.seeds=[0,1]")
    reproduce(cfg, work.stages)
    folder = Path(cfg.paths.experiments) / "own" / "table1"
    assert {path.name for path in folder.iterdir() if path.is_file()} >= {
        f"documentation{ending}" for ending in (".csv", ".md", ".tex", ".json", "_tasks.csv")
    }
    header, *rows = csv.reader((folder / "documentation.csv").read_text().splitlines())
    assert header == ["model", *COLUMNS, "average"]
    record = read_table1(folder / "documentation.json")
    assert [row[0] for row in rows] == [row["label"] for row in record["rows"]]
    tasks = {row["task"] for row in csv.DictReader((folder / "documentation_tasks.csv").read_text().splitlines())}
    assert tasks == {score.task for score in make_scores(0.5)}


def test_every_interval_stands_where_the_readme_says(said: Callable[[str], None], project_root: Path) -> None:
    said("Every interval stands in [`experiments/table1/documentation.md`]")
    said("single tasks in `documentation_tasks.csv`, the trainings' records in `experiments/table1/runs/`")
    folder = project_root / "experiments/table1"
    record, text = read_table1(folder / "documentation.json"), (folder / "documentation.md").read_text()
    for row in record["rows"]:
        for column, (low, high) in row["intervals"].items():
            assert format_interval(Interval(row["scores"][column], low, high)) in text
    runs = {Path(place).parent.name for row in record["rows"] if row["seeds"] for place in row["results"]}
    assert len(runs) == 6
    for run in runs:
        assert yaml.safe_load((folder / f"runs/{run}.yaml").read_text())["run_id"] == run


def test_the_evaluations_side_by_side_have_every_task_with_its_interval(
    said: Callable[[str], None], project_root: Path
) -> None:
    said("Every task with its interval, and the differences by category: [`experiments/folder/minilm_instructions.md`]")
    path = project_root / "experiments/folder/minilm_instructions.json"
    models, text = len(read_side_by_side(path)["rows"]), path.with_suffix(".md").read_text()
    interval = r"-?\d+\.\d \[-?\d+\.\d, -?\d+\.\d\]"
    with path.with_suffix(".csv").open(newline="") as file:
        tasks = {row["task"] for row in csv.DictReader(file)}
    assert len(tasks) == 29
    for task in tasks:
        (line,) = re.findall(rf"^\| {re.escape(task)} \|.*$", text, re.MULTILINE)
        assert len(re.findall(interval, line)) == models
    differences = text.split("## Difference from")[1].split("##")[0]
    assert all(f"| {column} |" in differences for column in COLUMNS)


def test_the_page_has_the_data_of_what_it_shows(
    said: Callable[[str], None], project_root: Path, tmp_path: Path
) -> None:
    said("writes the recorded tables and ablations, with their runs, commit and data, into one page")
    for part in ("table1", "folder"):
        shutil.copytree(project_root / "experiments" / part, tmp_path / part)
    text = write_page(tmp_path).read_text()
    record = read_side_by_side(tmp_path / "folder/minilm_instructions.json")
    evaluation = record["rows"][0]["evaluations"][0]
    assert len(evaluation["data"]) == 29 and all(data["sha256"][:12] in text for data in evaluation["data"])
    assert evaluation["code"]["commit"][:8] in text and evaluation["run_id"] in text


TEXTS = ["first one", "second one"]


def write_texts(path: Path) -> Path:
    if path.suffix == ".parquet":
        pd.DataFrame({"text": TEXTS}).to_parquet(path)
    elif path.suffix in (".csv", ".tsv"):
        pd.DataFrame({"text": TEXTS}).to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    else:
        lines = [json.dumps({"text": text}) if path.suffix == ".jsonl" else text for text in TEXTS]
        path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_encode_reads_and_writes_the_named_formats_and_records_what_it_did(
    said: Callable[[str], None], encoder_folder: Path, tmp_path: Path
) -> None:
    said("embeds a file of any size (`.jsonl`, `.txt`, `.csv`, `.tsv`, `.parquet` to `.npy` or `.parquet`)")
    said("`embeddings.npy.json` records settings, encoder and counts")
    for suffix in (".jsonl", ".txt", ".csv", ".tsv", ".parquet"):
        source = write_texts(tmp_path / f"texts{suffix}")
        for output in (tmp_path / f"{suffix[1:]}.npy", tmp_path / f"{suffix[1:]}.parquet"):
            encode(parser().parse_args([str(source), str(output), "--encoder", str(encoder_folder)]))
            record = json.loads(output.with_name(f"{output.name}.json").read_text())
            assert record["rows"] == len(TEXTS) and record["width"] == 32
            assert record["settings"]["encoder_revision"] and record["settings"]["precision"] == "float32"
        array = np.load(tmp_path / f"{suffix[1:]}.npy")
        table = pd.read_parquet(tmp_path / f"{suffix[1:]}.parquet")
        assert array.shape == (2, 32) and list(table.columns) == ["row", "embedding"]
        np.testing.assert_array_equal(np.stack(list(table["embedding"])), array)


def test_a_build_leaves_rows_manifest_report_figures_and_quarantine(
    said: Callable[[str], None], project_root: Path, tmp_path: Path
) -> None:
    said("memory-mapped rows `{query, pos, neg}` of (instruction, text), a manifest with a hash of the content")
    said("`report.md` with sizes, lengths, instructions, licences and figures")
    said("Rows that cannot be used go to `quarantine.jsonl` with their number and the reason")
    rows = [to_released(row) for row in toy_rows({1: 300})]
    rows[4]["pos"] = ["only an instruction"]
    source = tmp_path / "medi-data.json"
    source.write_text(json.dumps(rows))
    cfg = Config(output=str(tmp_path / "data"))
    cfg.medi.source, cfg.medi.path = "file", str(source)
    medi = load_medi(build(cfg) / "medi")
    report = (tmp_path / "data/report.md").read_text()
    for heading in ("Sizes", "Lengths", "Instructions", "Licences", "Leakage", "Tasks"):
        assert f"## {heading}" in report
    for figure in re.findall(r"!\[[^]]*\]\(([^)]*)\)", report):
        assert (tmp_path / "data" / figure).is_file()
    manifest = json.loads((tmp_path / "data/medi/manifest.json").read_text())
    assert medi.sha256 in report and manifest["sha256"] == medi.sha256
    (rejected,) = map(json.loads, (tmp_path / "data/quarantine.jsonl").read_text().splitlines())
    assert rejected["row"] == 5 and "pos" in rejected["reason"]
    written = (project_root / "data/README.md").read_text()
    assert "`task_id, task_name, {query,pos,neg}_{instruction,text}`" in written
    for column in medi.dataset.column_names:
        short = re.sub(r"(query|pos|neg)_(instruction|text)$", "", column)
        assert column in written or short in ("", "further_"), f"data/README.md does not name the column {column}"


def test_a_run_folder_has_the_files_that_the_readme_names(
    said: Callable[[str], None], workplace: Path, encoder_folder: Path
) -> None:
    said("Training begins with a table of tasks, batches and rows left out (`tasks.csv` in the run folder)")
    said("Each holds a model card, written from its run record, with snippets for sentence-transformers, LangChain")
    said("the versions in the run's `manifest.yaml`")
    folder = train(tiny_config(workplace, encoder_folder))
    (first, *_) = csv.DictReader((folder / "tasks.csv").read_text().splitlines())
    assert {"task_name", "rows", "batches_per_epoch", "left_out_per_pass"} <= set(first)
    assert "loss" in (folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"torch", "transformers"} <= set(yaml.safe_load((folder / "manifest.yaml").read_text())["environment"])
    card = (folder / "checkpoint/README.md").read_text()
    assert all(
        f"from {name} import" in card for name in ("sentence_transformers", "langchain_huggingface", "transformers")
    )


def test_the_layout_of_task_folders_stands_on_the_page_of_evaluation(project_root: Path) -> None:
    layout = (project_root / "docs/evaluation.md").read_text().splitlines()
    for name, rows in tiny_files().items():
        *place, _, file = name.split("/")
        folder = "/".join([*place, "<Task>/"])
        (described,) = (line for line in layout if line.startswith(f"| `{folder}`"))
        assert file in described, f"{file} of {place}"
        unread = {"id", "label_text"} if "Reranking" not in place else set()
        assert all(re.search(rf"\b{field}\b", described) for field in set(rows[0]) - unread), f"fields of {name}"


def test_the_documentation_benchmark_has_the_tasks_of_the_readmes_table(project_root: Path) -> None:
    text = (project_root / "docs/data.md").read_text()
    table = text.split("| category | tasks | what is measured")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")] for line in table]
    told = {cells[1].replace(" ", "").lower(): cells[2].split(", ") for cells in rows}
    with (project_root / "experiments/table1/documentation_tasks.csv").open(newline="") as file:
        found: dict[str, set[str]] = {}
        for row in csv.DictReader(file):
            found.setdefault(row["category"].lower(), set()).add(row["task"])
    assert told.keys() == found.keys()
    for category, names in told.items():
        assert len(names) == len(found[category])
        assert all(any(task.startswith(name) for task in found[category]) for name in names), category


def test_the_sweep_calls_train_and_chooses_by_the_dev_score(said: Callable[[str], None], project_root: Path) -> None:
    said("which calls `train` and chooses by the dev score")
    sweep = yaml.safe_load((project_root / "experiments/wandb_sweep.yaml").read_text())
    assert sweep["program"] == "one_embedder.train"
    assert sweep["metric"] == {"name": "dev_score", "goal": "maximize"}
