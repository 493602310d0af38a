"""``one-embedder demo`` shows what is so: its neighbours are those of the embeddings, and its sentence counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from one_embedder import demo
from one_embedder.demo import INSTRUCTIONS, SENTENCES, nearest, report
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encoder.checkpoint import save_encoder
from tests.encoder.conftest import tiny_encoder


def test_every_subject_meets_every_type() -> None:
    pairs = {(sentence.subject, sentence.type) for sentence in SENTENCES}
    assert len(pairs) == len({pair[0] for pair in pairs}) * len({pair[1] for pair in pairs}) == 9


def test_the_nearest_of_each_sentence_is_another_one_and_the_most_similar(tmp_path: Path) -> None:
    save_encoder(tiny_encoder(), tmp_path / "model")
    embedder = InstructionEmbedder(tmp_path / "model", max_length=256)
    for name, found in nearest(embedder).items():
        embeddings = embedder.encode([sentence.text for sentence in SENTENCES], INSTRUCTIONS[name])
        similarity = embeddings @ embeddings.T - 3 * np.eye(len(SENTENCES))
        assert found == similarity.argmax(axis=1).tolist()


def test_the_report_counts_what_is_shared() -> None:
    of_subject = [1, 0, 0, 4, 3, 3, 7, 6, 6, 0]  # only the last one's type is shared
    of_type = [3, 4, 5, 0, 1, 2, 0, 1, 2, 3]
    text = report({"nothing": of_subject, "subject": of_subject, "type": of_type})
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert lines["1"][-3:] == ["2", "2", "4"]
    assert lines["subject"] == ["10", "10", "0"] and lines["type"] == ["1", "1", "10"]


@pytest.mark.parametrize("trained", [True, False])
def test_the_model_is_the_trained_one_if_there_is_one_and_the_output_says_which(
    trained: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_encoder(tiny_encoder(), tmp_path / "model")
    (tmp_path / "experiments" / "runs").mkdir(parents=True)
    monkeypatch.setattr(demo, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(demo, "_BACKBONE", str(tmp_path / "model"))
    found = tmp_path / "model" if trained else None
    monkeypatch.setattr("one_embedder.results.trained_encoder", lambda *_: found)
    demo.work(demo.parser().parse_args([]))
    said = capsys.readouterr().out
    assert ("trained here" in said) is trained and ("has not learned to read instructions" in said) is not trained
    assert "of the ten nearest, so many have the same" in said
