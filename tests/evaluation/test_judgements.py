"""Retrieval folders: whose ids are whose, graded gains, judgements that are odd, and BEIR's own layout."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
import pytrec_eval
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config, TaskFolderConfig
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.errors import DataError
from one_embedder.evaluation.encoder import CachingEncoder, MtebEncoder
from one_embedder.evaluation.run import evaluate
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.evaluation.tasks.folder import TaskFolder, settings_of
from one_embedder.evaluation.tasks.folder_mteb import FolderRetrieval
from one_embedder.evaluation.tasks.judgements import LARGEST, checked, relevance
from one_embedder.evaluation.tasks.search_rows import read_retrieval
from one_embedder.files.json_lines import JsonLines, content_sha256
from tests.encoder.conftest import tiny_encoder
from tests.evaluation.angles import angles, folder

DOCUMENTS = [{"_id": f"d{angle}", "title": "", "text": f"angle {angle}"} for angle in (10, 20, 30, 40)]
QUERIES = [{"_id": "q", "text": "angle 0"}]  # the nearest document first: d10, d20, d30, d40


def gained(**gains: Any) -> list[dict[str, Any]]:
    """Judgements of the one query."""
    return [{"query-id": "q", "corpus-id": name, "score": gain} for name, gain in gains.items()]


def ndcg(ranked: Sequence[float], judged: Sequence[float]) -> float:
    """By the definition: gains in the order found, over the same in the best order."""

    def cumulated(gains: Sequence[float]) -> float:
        return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains[:10]))

    return cumulated(ranked) / cumulated(sorted(judged, reverse=True))


def task(path: Path, qrels: list[dict[str, Any]], ignore: bool | None = None, **files: Any) -> FolderRetrieval:
    """A retrieval folder on disk, as a task."""
    made = folder(path, "Retrieval", **{"corpus": DOCUMENTS, "queries": QUERIES, "qrels_test": qrels, **files})
    return FolderRetrieval(TaskFolder("Task", "Retrieval", made.path, TaskFolderConfig(ignore_identical_ids=ignore)))


def scored(opened: FolderRetrieval, encoder: CachingEncoder | None = None) -> list[float]:
    """nDCG@10 of each query."""
    model = MtebEncoder(encoder or angles(), TaskInstructions(), name="tests/angles")
    _, items = opened.run(model, {"batch_size": 8, "show_progress_bar": False})
    return items.columns["value"].tolist()


NUMBERED: dict[str, Any] = {
    "corpus": [{"_id": str(n), "text": f"angle {10 * n}"} for n in range(1, 6)],
    "queries": [{"_id": n, "text": f"angle {10 * n + 1}"} for n in range(1, 6)],
    "qrels": [{"query-id": n, "corpus-id": n, "score": 1} for n in range(1, 6)],
}


def test_queries_and_documents_that_are_numbered_alike_are_two_name_spaces(tmp_path: Path) -> None:
    files = {name: NUMBERED[name] for name in ("corpus", "queries")}
    assert scored(task(tmp_path, NUMBERED["qrels"], **files)) == [1.0] * 5
    assert scored(task(tmp_path, NUMBERED["qrels"], ignore=True, **files)) == [0.0] * 5


def test_queries_that_stand_in_the_corpus_are_told_until_the_task_says_what_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = [*DOCUMENTS, {"_id": "q", "text": "angle 0"}]
    second = 1 / np.log2(3)
    for ignore, score, told in ((None, second, True), (False, second, False), (True, 1.0, False)):
        caplog.clear()
        assert scored(task(tmp_path, gained(d10=1), ignore, corpus=corpus)) == pytest.approx([score])
        assert ("1 queries stand in the corpus" in caplog.text) == told
    assert "set benchmark.protocol.Task.ignore_identical_ids=true" not in caplog.text


@pytest.mark.slow
def test_identical_ids_are_ignored_in_the_tasks_in_which_mteb_ignores_them() -> None:
    protocol = load_config("evaluate", ["benchmark=folder"]).benchmark.protocol
    tasks = [part for whole in mteb.get_benchmark("MTEB(eng, v1)").tasks for part in getattr(whole, "tasks", [whole])]
    registered = {part.metadata.name: part for part in tasks if part.metadata.type == "Retrieval"}
    assert len(registered) >= 26
    for name, part in registered.items():
        ours = bool(settings_of(name, "Retrieval", protocol).ignore_identical_ids)
        assert ours == part.ignore_identical_ids, name
    assert settings_of("ArguAna", "Retrieval", protocol).ignore_identical_ids
    assert settings_of("FEVER", "PairClassification", protocol) == TaskFolderConfig()  # of another category's data


def test_the_documentation_benchmark_says_where_a_query_is_a_document() -> None:
    protocol = load_config("evaluate").benchmark.protocol
    assert {name for name, task in protocol.items() if task.ignore_identical_ids} == {"RelatedRetrieval"}


@pytest.mark.parametrize("gains", [(0.9, 0.1, 0.5), (3, 1, 2), (0, 2, 0.25), (0.1, 0.2, 0.3), (1, 1, 1)])
def test_graded_gains_count_as_what_they_are(tmp_path: Path, gains: tuple[float, ...]) -> None:
    d40, d10, d30 = gains
    expected = ndcg([d10, 0, d30, d40], gains)
    assert scored(task(tmp_path, gained(d40=d40, d10=d10, d30=d30))) == pytest.approx([expected], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 99)), min_size=2, max_size=15), st.integers(0, 2))
def test_whatever_the_unit_of_gains_pytrec_eval_gives_the_ndcg_of_the_gains(
    rows: list[tuple[int, int]], decimals: int
) -> None:
    assume(any(gain for gain, _ in rows))  # without any, the file is refused
    assume(any(gain for _, gain in rows))
    gains = [gain / 10**decimals for gain, _ in rows]
    similar = {f"d{number}": place + number / 100 for number, (_, place) in enumerate(rows)}
    judged = [{"query-id": "q", "corpus-id": f"d{number}", "score": gain} for number, gain in enumerate(gains)]
    relevant = relevance(JsonLines(Path("qrels"), judged), {"q": ""}, dict.fromkeys(similar, ""))
    found = pytrec_eval.RelevanceEvaluator(relevant, {"ndcg_cut.10"}).evaluate({"q": similar})["q"]["ndcg_cut_10"]
    ranked = sorted(range(len(rows)), key=lambda number: -similar[f"d{number}"])
    expected = ndcg([gains[number] for number in ranked], gains)
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_judgement_below_zero_is_not_relevant_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert scored(task(tmp_path, gained(d20=1, d10=-1))) == pytest.approx([1 / np.log2(3)])
    assert "Task: 1 judgements are below 0 and count as 0" in caplog.text
    assert scored(task(tmp_path, gained(d10=-2.5, d20=0.5))) == pytest.approx([1 / np.log2(3)])


def test_no_judgement_reaches_pytrec_eval_that_ends_the_process() -> None:
    assert checked({"q": {"a": -1, "b": 0, "c": LARGEST}}, "T") == {"q": {"a": 0, "b": 0, "c": LARGEST}}
    for relevant, message in (
        ({"q": {"a": LARGEST + 1}}, "T: query 'q' has a gain of 1000001"),
        ({"q": {"a": 0.5}}, "gain of 0.5"),
        ({"q": {"a": None}}, "gain of None"),
        ({"q\ud800": {"a": 1}}, "an identifier in the judgements holds half a character"),
        ({"q": {"\udc00": 1}}, "an identifier in the judgements holds half a character"),
    ):
        with pytest.raises(DataError, match=message):
            checked(relevant, "T")  # type: ignore[arg-type]


BAD: list[tuple[list[dict[str, Any]], str]] = [
    ([*gained(d10=1), *gained(d10=0)], r"qrels_test\.jsonl, row 2: query-id 'q', corpus-id 'd10' was judged otherwise"),
    (gained(d10=1, d20=1 / 3), r"row 2: field 'score' is 0\.333\d*: too fine a gain, round it"),
    (gained(d10=1, d20=10**7), r"row 2: field 'score' is 10000000\.0: more than 1,000,000 times"),
    (gained(d10=0.5, d20=10**6), r"row 2: field 'score' is 1000000\.0: more than 1,000,000 times the step.*0\.5"),
    (gained(d10=float("nan")), r"row 1: field 'score' must be a finite number, got nan"),
    (gained(d10=True), r"row 1: field 'score' must be a finite number, got True \(bool\)"),
    (gained(d10=10**400), r"row 1: field 'score' must be a finite number, got a?.*\(int\)"),
    (gained(d10=None), r"row 1: field 'score' is null"),
    (gained(d10=0, d20=-1), r"qrels_test\.jsonl: no score is above 0, so nothing is relevant"),
    (gained(d11=1, d12=2), r"qrels_test\.jsonl: no relevant corpus-id is in the corpus file"),
    ([{"query-id": "q", "corpus-id": 1.5, "score": 1}], r"row 1: field 'corpus-id' must be text or an integer, got 1"),
    ([{"query-id": True, "corpus-id": "d10", "score": 1}], r"row 1: field 'query-id' must be text or an integer"),
    ([{"query-id": "q\ud800", "corpus-id": "d10", "score": 1}], r"row 1: field 'query-id' holds half a character"),
    ([{"query-id": "q", "corpus-id": "d10\0", "score": 1}], r"row 1: field 'corpus-id' is 'd10\\x00'"),
    ([{"query-id": "p", "corpus-id": "d10", "score": 1}], r"row 1: query-id 'p' is not in the queries file"),
]


@pytest.mark.parametrize(("qrels", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_judgement_that_cannot_be_scored_is_named(tmp_path: Path, qrels: list[dict], message: str) -> None:
    with pytest.raises(DataError, match=message):
        task(tmp_path, qrels).load_data()


def test_queries_without_an_answer_count_as_in_mteb_and_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    queries = [{"_id": name, "text": "angle 0"} for name in ("q", "zero", "bare")]
    qrels = [*gained(d10=1), {"query-id": "zero", "corpus-id": "d10", "score": 0}]
    assert scored(task(tmp_path, qrels, queries=queries)) == [1.0, 0.0]
    assert "1 queries have no judgement above 0" in caplog.text
    assert "1 of 3 queries have no judgement and are left out" in caplog.text


def test_the_same_judgement_twice_is_one(tmp_path: Path) -> None:
    assert scored(task(tmp_path, [*gained(d10=0.5, d20=1), *gained(d10=0.5)])) == scored(
        task(tmp_path, gained(d10=0.5, d20=1))
    )


def test_a_relevant_document_that_is_not_there_is_told_and_never_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert scored(task(tmp_path, gained(gone=2, d10=1, lost=0))) == pytest.approx([ndcg([1], [2, 1])])
    assert "2 of 3 judgements are of documents that are not in the corpus" in caplog.text


@pytest.mark.parametrize("instruction", ["", "represent the document: "])
def test_a_document_without_text_is_ranked(tmp_path: Path, instruction: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    corpus = [{"_id": "empty", "title": "", "text": ""}, {"_id": "cat", "text": "the cats"}]
    opened = task(tmp_path, gained(empty=1), corpus=corpus, queries=[{"_id": "q", "text": "the dogs"}])
    encoder = CachingEncoder(InstructionEmbedder(tiny_encoder()), batch_size=8)
    model = MtebEncoder(encoder, TaskInstructions("", instruction), name="tests/tiny")
    _, items = opened.run(model, {"batch_size": 8, "show_progress_bar": False})
    assert items.columns["value"][0] in (pytest.approx(1.0), pytest.approx(1 / np.log2(3)))
    assert "1 of 2 documents have neither title nor text" in caplog.text


def write_table(path: Path, content: str) -> None:
    (path / "qrels").mkdir(exist_ok=True)
    (path / "qrels/test.tsv").write_bytes(content.encode())


TABLE = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\r\n"])
def test_beirs_own_layout_scores_as_ours(tmp_path: Path, ending: str) -> None:
    opened = task(tmp_path, gained(d20=2, d30=1))
    expected = scored(opened)
    (tmp_path / "qrels_test.jsonl").unlink()
    write_table(tmp_path, f"\ufeff{TABLE}q\td20\t2\nq\td30\t1{ending}")
    assert scored(task_again(opened)) == expected == [pytest.approx(ndcg([0, 2, 1], [2, 1]))]


def task_again(opened: FolderRetrieval) -> FolderRetrieval:
    return FolderRetrieval(opened.folder)


def test_the_hash_of_a_folder_covers_beirs_judgements(tmp_path: Path) -> None:
    task(tmp_path, gained(d10=1))
    before = content_sha256(tmp_path)
    (tmp_path / "qrels_test.jsonl").unlink()
    write_table(tmp_path, TABLE + "q\td10\t1\n")
    first = content_sha256(tmp_path)
    write_table(tmp_path, TABLE + "q\td20\t1\n")
    assert len({before, first, content_sha256(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q\td10\t1\n", r"test\.tsv: its first line must name the columns query-id, corpus-id, score"),
        ("", r"test\.tsv: its first line must name"),
        (TABLE, r"test\.tsv: the file has no judgements"),
        (TABLE + "q\td10\t1\nq d20 1\n", r"test\.tsv, row 3: 1 cells instead of 3"),
        (TABLE + "q\td10\thigh\n", r"test\.tsv, row 2: field 'score' must be a finite number, got 'high'"),
        (TABLE + "q\td10\t1\nq\td10\t2\n", r"test\.tsv, row 3: query-id 'q', corpus-id 'd10' was judged otherwise"),
        (TABLE + "p\td10\t1\n", r"test\.tsv, row 2: query-id 'p' is not in the queries file"),
    ],
)
def test_a_table_of_judgements_that_cannot_be_read_is_named(tmp_path: Path, content: str, message: str) -> None:
    opened = task(tmp_path, gained(d10=1))
    (tmp_path / "qrels_test.jsonl").unlink()
    write_table(tmp_path, content)
    with pytest.raises(DataError, match=message):
        opened.load_data()


def test_two_files_of_judgements_are_refused(tmp_path: Path) -> None:
    opened = task(tmp_path, gained(d10=1))
    write_table(tmp_path, TABLE + "q\td20\t1\n")
    with pytest.raises(DataError, match=r"holds both qrels_test\.jsonl and qrels/test\.tsv"):
        opened.load_data()


def test_an_older_result_of_a_retrieval_folder_is_scored_again(cfg: Config, task_folder: Any, encoder: Any) -> None:
    """Results from when identical ids were ignored everywhere do not say that they were."""
    task_folder("TinyRetrieval")
    evaluate(cfg, encoder)
    path = Path(str(cfg.output)) / "results/TinyRetrieval.json"
    content = json.loads(path.read_text())
    assert content["one_embedder"]["identity"].pop("reading") == 2
    path.write_text(json.dumps(content))
    encoder.calls.clear()
    evaluate(cfg, encoder)
    assert encoder.calls
    encoder.calls.clear()
    evaluate(cfg, encoder)
    assert not encoder.calls


class CountingEncoder:
    """Words counted in 256 places: embeddings of thousands of real texts in a second."""

    revision = "counts"

    def encode(self, sentences: Sequence[str], instruction: str, **_: Any) -> np.ndarray:
        counts = np.full((len(sentences), 256), 1e-3, dtype=np.float32)
        for row, text in enumerate(sentences):
            np.add.at(counts[row], [zlib.crc32(word.encode()) % 256 for word in text.lower().split()], 1)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.mark.slow
def test_scores_on_real_data_are_those_of_pytrec_eval(shared: Path) -> None:
    path = shared / "data/eval/Retrieval/ClimateFEVER-evidence"
    if not path.is_dir():
        pytest.skip(f"no {path}")
    rows = read_retrieval(path, "test")
    encoder = CountingEncoder()
    documents = encoder.encode(list(rows.documents.values()), "")
    similar = encoder.encode([rows.queries[query] for query in rows.relevant], "") @ documents.T
    results = {
        query: dict(zip(rows.documents, map(float, row), strict=True))
        for query, row in zip(rows.relevant, similar, strict=True)
    }
    expected = pytrec_eval.RelevanceEvaluator(rows.relevant, {"ndcg_cut.10"}).evaluate(results)
    obtained = scored(FolderRetrieval(TaskFolder("Climate", "Retrieval", path)), CachingEncoder(encoder, batch_size=64))
    assert np.mean(obtained) == pytest.approx(np.mean([value["ndcg_cut_10"] for value in expected.values()]), abs=1e-4)
    assert 0.02 < np.mean(obtained) < 0.9
