"""The comparison with sentence-transformers runs, is recorded, and compares like with like."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.errors import DataError, OneEmbedderError
from scripts import bench_encode
from scripts.bench_encode import _PeerProcess, compared, mixed, peer
from tests.training.tiny import tiny_encoder


def test_the_command_records_both_speeds_for_three_kinds_of_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_encoder(tiny_encoder(), tmp_path / "model")
    texts = [json.dumps({"body": "q0_1 q0_2 d1_0 " * (number % 3)}) for number in range(60)]
    (tmp_path / "texts.jsonl").write_text("\n".join(texts))
    source, record = f"{tmp_path / 'texts.jsonl'}:body", tmp_path / "bench" / "encode"
    arguments = ["--encoder", tmp_path / "model", "--short", source, "--long", source, "--record", record]
    monkeypatch.setattr(
        "sys.argv",
        ["bench_encode.py", *map(str, arguments), "--texts", "32", "--rounds", "2", "--dtypes", "float32", "bfloat16"],
    )
    bench_encode.main()
    written = json.loads(record.with_suffix(".json").read_text())
    counts = [("short", 32), ("long", 4), ("mixed", 18)]
    assert [(row["texts"], row["count"]) for row in written["rows"]] == [*counts, *counts]
    assert [row["dtype"] for row in written["rows"]] == ["float32"] * 3 + ["bfloat16"] * 3
    assert all(row["ours_seconds"] > 0 and row["theirs_seconds"] > 0 for row in written["rows"])
    assert written["environment"]["torch"] and written["hardware"]["cores"] and written["sources"]["short"] != source
    assert record.with_suffix(".md").read_text() == capsys.readouterr().out
    assert "| short | 32 |" in record.with_suffix(".md").read_text()


def test_embeddings_that_differ_are_not_timed() -> None:
    with pytest.raises(OneEmbedderError, match="do not do the same work"):
        compared(["a"], lambda texts: np.zeros((1, 2)), lambda texts: np.ones((1, 2)), 1, lambda: 0.0)
    turned = np.array([[np.cos(0.11), np.sin(0.11)]])  # a cosine of 0.994
    with pytest.raises(OneEmbedderError, match="do not do the same work"):
        compared(["a"], lambda texts: turned, lambda texts: np.array([[1.0, 0.0]]), 1, lambda: 0.0, "bfloat16")


def test_the_ratio_is_taken_between_neighbours_in_time() -> None:
    now = iter([0.0, 1.0, 1.0, 3.0, 3.0, 23.0, 23.0, 33.0])  # ours 1, theirs 2; then theirs 20, ours 10: a busy moment

    def encode(texts: list[str]) -> np.ndarray:
        return np.full((len(texts), 2), np.sqrt(0.5))

    row = compared(["a", "b"], lambda texts: encode(texts), lambda texts: encode(texts), 2, lambda: next(now))
    assert (row["ratio"], row["ours_seconds"], row["theirs_seconds"]) == (2.0, 5.5, 11.0)


def test_the_mix_has_half_of_each_kind_spread_evenly() -> None:
    assert mixed(["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"], ["l0", "l1", "l2", "l3"]) == [
        "s0", "s1", "l0", "s2", "s3", "l1",
    ]  # fmt: skip


ELSEWHERE = Namespace(
    peer_backend="torch", peer_dtype="float32", peer_python=sys.executable, batch_size=2, threads=1, clock="wall"
)


@pytest.mark.slow
def test_a_peer_in_its_own_environment_gives_what_it_gives_here(tmp_path: Path) -> None:
    save_encoder(tiny_encoder(), tmp_path / "model")
    texts = ["q0_1 q0_2", "d1_0", "q0_1"]
    with peer(ELSEWHERE, tmp_path / "model") as (encode, versions):
        expected = encode(texts)
    with _PeerProcess(ELSEWHERE, tmp_path / "model") as process:
        assert process.versions | {"backend": "torch", "dtype": "float32"} == versions
        np.testing.assert_allclose(process.encode(texts), expected, atol=1e-6)


@pytest.mark.slow
def test_a_peer_that_cannot_load_the_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(OneEmbedderError, match="the peer's process ended with 1"):
        _PeerProcess(ELSEWHERE, tmp_path / "absent")


@pytest.mark.parametrize("given", [{"peer_python": None}, {"peer_python": sys.executable, "clock": "cpu"}])
def test_a_backend_of_another_environment_needs_its_python_and_the_wall_clock(given: dict[str, str | None]) -> None:
    arguments = Namespace(**{"peer_backend": "openvino", "peer_dtype": "float32", "clock": "wall", **given})
    with pytest.raises(OneEmbedderError, match="--peer-python and --clock wall"), peer(arguments, Path("model")):
        pass


@pytest.mark.slow
def test_without_files_an_installed_package_has_enough_texts_of_both_kinds() -> None:
    short, long = (bench_encode._texts(None, 64, kind) for kind in ("short", "long"))
    assert len(short) == len(long) == 64
    assert max(map(len, short)) < 300 and min(map(len, long)) > 1000


def test_float32_is_not_compared_with_a_peer_in_bfloat16() -> None:
    arguments = bench_encode._parser().parse_args(["--peer-dtype", "bfloat16"])
    with pytest.raises(OneEmbedderError, match="needs --dtypes bfloat16"):
        bench_encode.bench(arguments)


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("alone\n")
    with pytest.raises(DataError, match=r"one.txt:text has 1 long texts, too few"):
        bench_encode._texts(f"{tmp_path / 'one.txt'}:text", 9, "long")
    with pytest.raises(DataError, match=r"one.txt: name the field .* FILE:FIELD"):
        bench_encode._texts(f"{tmp_path / 'one.txt'}", 9, "long")
