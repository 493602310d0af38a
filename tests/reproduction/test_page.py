"""The report page: complete, self-contained, honest about what was not run, and usable in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from one_embedder.errors import DataError
from one_embedder.reproduction.show import page
from one_embedder.reproduction.show.page import sections, write_page
from one_embedder.reproduction.show.page_answer import answer_section
from one_embedder.reproduction.show.page_sections import _expected_against_obtained
from one_embedder.reproduction.steps.places import YOURS
from one_embedder.tracking.run_index import run_index
from tests.reproduction.ablations import write_small_record

ABLATIONS = ["temperature", "wording"]
QUESTION = "Does finetuning with instructions pay?"


class Reader(HTMLParser):
    """Collects what a page refers to, its ids and its table rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "xlink:href") and tag == "a":
                self.references.append(value or "")
            elif name in ("src", "href", "xlink:href", "srcset", "data") and not (value or "").startswith("#"):
                self.loaded.append(value or "")


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The committed records but those of ablations, and a small one of an ablation, of which one run is missing."""
    folder = tmp_path_factory.mktemp("page") / "experiments"
    for kept in ("table1", "folder"):
        shutil.copytree(project_root / "experiments" / kept, folder / kept)
    write_small_record(folder, missing=("with-s2",))
    write_small_record(folder / "own")
    return folder


@pytest.fixture(scope="module")
def text(experiments: Path) -> str:
    return write_page(experiments).read_text(encoding="utf-8")


def test_nothing_is_loaded_and_every_link_leads_somewhere(experiments: Path, text: str) -> None:
    reader = Reader(text)
    assert reader.loaded == ["data:,"]  # the icon, which browsers ask for otherwise
    assert "url(" not in text.replace("url(#", "") and "@import" not in text
    anchors = [reference for reference in reader.references if reference.startswith("#")]
    files = [reference for reference in reader.references if not reference.startswith("#")]
    assert len(anchors) >= 4 and {anchor[1:] for anchor in anchors} <= set(reader.ids)
    kept = {path.relative_to(experiments).as_posix() for path in (experiments / "table1" / "runs").glob("*.yaml")}
    assert kept and set(files) <= kept and len(set(files)) >= 12


def test_the_numbers_are_those_of_the_records_with_run_commit_and_data(experiments: Path, text: str) -> None:
    record = json.loads((experiments / "table1" / "documentation.json").read_text())
    (instructor,) = (row for row in record["rows"] if row["id"] == "instructor")
    low, high = instructor["intervals"]["average"]
    points = f"{100 * instructor['scores']['average']:.1f}"
    assert f"{points}\n<small>[{100 * low:.1f}, {100 * high:.1f}]</small>" in text
    assert record["code"]["commit"] in text and record["data"]["medi"] in text
    runs = [Path(folder).parent.name for folder in instructor["results"]]
    assert len(runs) == len(instructor["seeds"]) and all(run in text for run in runs)
    assert "+10.0\n<small>[+7.0, +13.0]</small>" in text  # the ablation's first claim


def test_what_is_missing_is_said_with_the_command(experiments: Path) -> None:
    said = [sentence for section in sections(experiments, ABLATIONS) for sentence in section.missing]
    assert said == [
        "1 of its runs are not there (with-s2): make ablation-wording",
        "The ablation temperature was not run on the profile documentation: make ablation-temperature",
    ]


def test_ones_own_results_stand_beside_the_recorded_ones_and_are_told_apart(experiments: Path) -> None:
    titles = [section.title for section in sections(experiments, ABLATIONS)]
    assert titles[:3] == [QUESTION, "What it rests on", "Table 1, profile documentation: recorded"]
    place = titles.index("Ablation: wording, profile documentation: recorded")
    assert titles[place + 1] == "Ablation: wording, profile documentation: your run"
    assert sum(title.endswith(": your run") for title in titles) == 1, "nothing is said of what was not run"


def test_an_empty_folder_gives_a_page_that_says_what_to_run(tmp_path: Path) -> None:
    text = write_page(tmp_path).read_text(encoding="utf-8")
    for command in ("make reproduce-table1", "make ablation-with_without_instructions"):
        assert command in text
    assert QUESTION not in text


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        ("supported", "Yes. "),
        ("not supported", "No. "),
        ("undecided", "Undecided. "),
        ("one seed", "One seed cannot say. "),
    ],
)
def test_it_begins_with_an_answer_and_a_figure_of_the_four_models_before_any_link(
    project_root: Path, verdict: str, answer: str
) -> None:
    record = json.loads((project_root / "experiments/table1/documentation.json").read_text())
    record["claims"][-1]["verdict"] = verdict
    first = answer_section(record)
    assert first.paragraphs[0].startswith(answer)
    assert f"{100 * record['claims'][-1]['difference']['estimate']:+.1f} [" in first.paragraphs[0]
    text = page.render([first])
    assert text.index(answer) < text.index("<svg") and "<a " not in text
    assert all(row["label"].split()[0] in first.drawings[0].svg for row in record["rows"])


def test_what_a_stranger_need_not_see_at_once_is_folded_and_verdicts_are_words(text: str) -> None:
    kinds = re.findall(r'<section id="([^"]*)" class="([a-z]+)">\n<(details|h2)>', text)
    assert {kind for _, kind, _ in kinds} == {"answer", "basis", "result", "detail", "paper", "todo"}
    assert all((kind == "detail") == (opens == "details") for _, kind, opens in kinds)
    assert len(kinds) == text.count("<section ") and text.count("<details>") == text.count("</details>")
    assert '<nav aria-label="Sections"><details>' in text
    counted = _expected_against_obtained({"cells": [{"verdict": "ok"}] * 40, "note": "", "warning": ""}, YOURS)
    assert counted.endswith("of 40 numbers 40 are the same, up to what a repetition may change.")
    assert "This is the record: what you run is compared with it." in text


@pytest.mark.parametrize("name", ["table1/documentation.json", "table1/runs/a.yaml", "ablations/x/documentation.json"])
def test_a_damaged_record_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match=re.escape(name)):
        sections(tmp_path, ABLATIONS)


def test_a_training_is_found_by_its_own_record_or_by_that_of_an_ablations_child(tmp_path: Path) -> None:
    def write(place: str, name: str, run_id: str, metrics: dict[str, Any]) -> str:
        manifest = {"name": name, "status": "completed", "run_id": run_id, "code": {"commit": "c", "dirty": False}}
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(json.dumps({**manifest, "data": [], "outcome": {"metrics": metrics}}))
        return place

    alone = write("ablations/temperature/documentation/a/manifest.yaml", "ablation", "temperature-a", {"run": "t1"})
    write("ablations/temperature/documentation/b/manifest.yaml", "ablation", "temperature-b", {"run": "t2"})
    own = write("table1/runs/t2.yaml", "train", "t2", {"loss": 1.0})
    runs = run_index(tmp_path)
    assert (runs["t1"].target, runs["t2"].target) == (alone, own)
    assert {run.id for run in runs.values()} == {"t2", "temperature-a", "temperature-b"}


def test_the_same_records_give_the_same_page(experiments: Path, text: str) -> None:
    assert write_page(experiments).read_text(encoding="utf-8") == text


def test_texts_of_records_cannot_become_markup(tmp_path: Path) -> None:
    path = write_small_record(tmp_path)
    path.write_text(path.read_text().replace("Does the wording", "<script>alert(1)</script> Does"))
    assert "<script>alert" not in page.render(sections(tmp_path, []))


def browse(chromium: str, harness: Path) -> tuple[list[dict[str, Any]], str]:
    """What the harness found in each width, and what the browser complained about."""
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    arguments += [f"--user-data-dir={harness.parent / 'profile'}", "--enable-logging=stderr"]
    arguments += ["--window-size=1400,1700", "--virtual-time-budget=5000", "--dump-dom", harness.as_uri()]
    done = subprocess.run([chromium, *arguments], capture_output=True, text=True, timeout=280, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None and found[1], done.stdout[:500]
    return json.loads(html.unescape(found[1])), done.stderr


@pytest.mark.slow
def test_a_browser_without_network_shows_it_on_a_phone_and_on_a_desk(text: str, tmp_path: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium here")
    harness = tmp_path / "harness.html"
    frames = (Path(__file__).parent / "page_harness.html").read_text(encoding="utf-8")
    harness.write_text(frames.replace("PAGE", json.dumps(text).replace("</", "<\\/"), 1), encoding="utf-8")
    looks, complaints = browse(chromium, harness)
    assert "CONSOLE" not in complaints, complaints
    assert [look["width"] for look in looks] == [390, 1280]
    for look in looks:
        assert look["problems"] == []
        assert look["needed"] <= look["width"], "the page scrolls sideways"
        assert look["height"] < 20_000, "what few need is not folded"
        assert len(look["drawn"]) >= 4 and all(width > 250 and height > 80 for width, height in look["drawn"])
        assert look["small"] == 0, "text in figures is too small to read"
        assert look["said"] == "descending"
        assert look["falling"] == sorted(look["rising"], reverse=True) != look["rising"] == sorted(look["rising"])


def test_what_instructions_do_to_one_text_stands_on_the_page(project_root: Path) -> None:
    shown = page.render(sections(project_root / "experiments", []))
    record = json.loads((project_root / "experiments/views/mixture.json").read_text())
    assert "One text, many purposes, profile mixture, sets never trained on: recorded" in shown
    for claim in record["claims"]:
        assert claim["text"] in shown and f"{100 * claim['difference']['estimate']:+.1f}" in shown
