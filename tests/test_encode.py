"""``python -m one_embedder.encode``, run as a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from one_embedder import convert
from one_embedder.embedding.batches import MAX_TOKENS_PER_BATCH
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.encode import main, parser, work
from one_embedder.encoder.checkpoint import save_encoder
from one_embedder.encoder.tokenize import JOININGS
from one_embedder.encoder.truncation import cuts_kept
from tests.encoder.conftest import tiny_encoder

HELP_SECONDS = 4.0  # of a processor; 2 s are promised on an idle machine, tests share theirs
HEAVY = ("torch", "transformers", "numpy", "pyarrow", "datasets", "sentence_transformers")
TEXTS = [f"cats and {'dog ' * (row % 5)}{row}" for row in range(30)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder's folder."""
    folder = tmp_path_factory.mktemp("encode") / "model"
    save_encoder(tiny_encoder(), folder)
    return folder


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "one_embedder.encode", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False)


def write(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "how": f"{text[:4]}: "}) + "\n" for text in texts))
    return path


def test_help_answers_at_once_and_imports_nothing_heavy(children_seconds: Callable[[], float]) -> None:
    began = children_seconds()
    done = run("--help")
    assert children_seconds() - began < HELP_SECONDS
    assert done.returncode == 0 and "OUTPUT.partial/" in done.stdout, done.stderr
    code = f"import sys, one_embedder.encode; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_command_gives_what_encode_gives(model: Path, tmp_path: Path) -> None:
    done = run(write(tmp_path / "in.jsonl", TEXTS), tmp_path / "out.npy", "--encoder", model, "--instruction", "the: ")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "30 texts" in done.stderr and "out.npy: 30 rows of 16 float32" in done.stderr
    expected = InstructionEmbedder(model, device="cpu").encode(TEXTS, "the: ")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_every_option_reaches_the_encoder(model: Path, tmp_path: Path) -> None:
    options = "--joining head --max-length 9 --dtype bfloat16 --truncate-dim 8 --precision ubinary --batch-size 3"
    more = "--max-tokens-per-batch 20 --chunk-size 7 --text-field how --instruction-field text --device cpu"
    paths = [str(write(tmp_path / "in.jsonl", TEXTS)), str(tmp_path / "out.npy"), "--encoder", str(model)]
    work(parser().parse_args([*paths, *options.split(), *more.split()]))
    embedder = InstructionEmbedder(model, device="cpu", joining="head", max_length=9, dtype="bfloat16")
    texts = [f"{text[:4]}: " for text in TEXTS]
    expected = embedder.encode(texts, TEXTS, truncate_dim=8, precision="ubinary", batch_size=3)
    assert np.unpackbits(np.load(tmp_path / "out.npy") ^ expected).mean() < 0.02
    record = json.loads((tmp_path / "out.npy.json").read_text())
    assert record["settings"]["encoder_revision"] == embedder.revision


def test_quoted_takes_the_quotes_of_a_tsv_off_and_what_was_cut_is_told(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    long = "the cats, " * 20
    (tmp_path / "in.tsv").write_text(f'id\ttext\n1\t"the\ncats"\n2\t"{long}"\n')
    arguments = [str(tmp_path / name) for name in ("in.tsv", "out.npy")]
    work(parser().parse_args([*arguments, "--encoder", str(model), "--max-length", "9", "--quoted", "--device", "cpu"]))
    told = capfd.readouterr().err
    assert "2 texts; 1 of its rows go over several lines" in told
    assert "1 of 2 texts are, with their instruction, longer than 9 tokens and were cut" in told
    assert json.loads((tmp_path / "out.npy.json").read_text())["truncation"] == {"cut": 1, "lost": 0}
    with cuts_kept():
        expected = InstructionEmbedder(model, device="cpu", max_length=9).encode(["the\ncats", long])
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


def test_defaults_are_those_of_encode() -> None:
    options = parser().parse_args(["in.jsonl", "out.npy"])
    assert options.max_tokens_per_batch == MAX_TOKENS_PER_BATCH
    assert options.batch_size == 32


@pytest.mark.parametrize("verb", [parser, convert.parser])
def test_every_joining_can_be_chosen(verb: Callable[[], ArgumentParser]) -> None:
    (joining,) = (action for action in verb()._actions if action.dest == "joining")
    assert joining.choices is not None and set(joining.choices) == set(JOININGS)


@pytest.mark.slow
def test_several_devices_take_a_process_each(model: Path, tmp_path: Path) -> None:
    texts = write(tmp_path / "in.jsonl", TEXTS)
    done = run(texts, tmp_path / "out.npy", "--encoder", model, "--device", "cpu,cpu", "--batch-size", 1)
    assert done.returncode == 0, done.stderr
    expected = InstructionEmbedder(model, device="cpu").encode(TEXTS)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl", "out.npy"], "error: there is no file none.jsonl"),
        (["in.jsonl", "out.txt"], "error: out.txt: embeddings are written to a file that ends with .npy or .parquet"),
        (["in.jsonl", "out.npy", "--text-field", "body"], "in.jsonl, line 1 has no field 'body', only 'text', 'how'"),
        (["bad.jsonl", "out.npy"], "error: bad.jsonl, line 2: field 'text' is None (NoneType), not a string; correct"),
        (["in.jsonl", "out.npy", "--device", "gpu"], "error: device='gpu' cannot be used"),
        (["in.jsonl", "out.npy", "--device", ""], "error: device='' cannot be used"),
        (["in.jsonl", "out.npy", "--device", "cpu,"], "error: devices=['cpu', ''] must be torch devices"),
    ],
)
def test_an_error_is_a_message_and_an_exit_code(
    model: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "in.jsonl", TEXTS)
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": null}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["encode", *arguments, "--encoder", str(model)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert message in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "bad.jsonl"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.npy", "out.parquet"])
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_stopped_goes_on_to_the_same_bytes(
    model: Path, tmp_path: Path, name: str, blow: signal.Signals
) -> None:
    texts = write(tmp_path / "in.jsonl", TEXTS * 200)
    options: list[Any] = ["--encoder", model, "--chunk-size", 64, "--batch-size", 4]
    output, state = tmp_path / name, tmp_path / f"{name}.partial" / "state.json"
    with subprocess.Popen(command(texts, output, *options), stderr=subprocess.PIPE, text=True) as begun:
        while begun.poll() is None and not state.exists():
            time.sleep(0.01)
        os.kill(begun.pid, blow)
        told = begun.communicate()[1]
    assert not output.exists()
    rows = json.loads(state.read_text())["rows"]
    assert 0 < rows < len(TEXTS) * 200 and rows % 64 == 0
    if blow != signal.SIGKILL:
        code, what = (130, "interrupted") if blow == signal.SIGINT else (143, "terminated")
        assert begun.returncode == code
        assert f"{what}: run the same command again, finished parts are kept" in told and "Traceback" not in told
    done = run(texts, output, *options)
    assert done.returncode == 0 and "of them done by an earlier run" in done.stderr, done.stderr
    (tmp_path / "whole").mkdir()
    assert run(texts, tmp_path / "whole" / name, *options).returncode == 0
    assert output.read_bytes() == (tmp_path / "whole" / name).read_bytes()
