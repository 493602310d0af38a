"""Encoding with several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.processes import EncoderPool
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError, DataError, OneEmbedderError
from one_embedder.interruption import Terminated

INSTRUCTION = "represent the question for retrieval: "
TEXTS = [f"cats and dogs? {'dog ' * (row % 7)}{row}" for row in range(50)]

SCRIPT = """
from one_embedder import InstructionEmbedder
embedder = InstructionEmbedder({folder!r}, device="cpu")
{guard}embedder.encode(["cats"] * 4, devices=["cpu"])
"""


@pytest.fixture(scope="module")
def pool(embedder: InstructionEmbedder) -> Iterator[EncoderPool]:
    """Two processes on the CPU, for all tests here: starting them takes seconds."""
    with embedder.start_pool(["cpu", "cpu"]) as processes:
        yield processes


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_two_processes_give_what_one_gives_in_the_order_of_the_texts(
    embedder: InstructionEmbedder, pool: EncoderPool, batch_size: int
) -> None:
    together = embedder.encode(TEXTS, INSTRUCTION, batch_size=batch_size, pool=pool)
    np.testing.assert_allclose(together, embedder.encode(TEXTS, INSTRUCTION), atol=1e-6)


@pytest.mark.parametrize(("count", "batch_size"), [(1, 32), (2, 32), (50, 32), (1024, 32), (100_000, 32), (9, 2)])
def test_every_process_has_work_in_chunks_of_whole_batches_at_most(
    pool: EncoderPool, count: int, batch_size: int
) -> None:
    rows = pool._chunk_rows(count, batch_size)
    assert 1 <= rows <= 16 * batch_size
    assert count == 1 or count > rows, "all in one chunk would leave a process idle"


def test_the_form_of_the_result_does_not_depend_on_the_processes(
    embedder: InstructionEmbedder, pool: EncoderPool
) -> None:
    tensor = embedder.encode(TEXTS, truncate_dim=8, convert_to_tensor=True, pool=pool)
    torch.testing.assert_close(tensor, embedder.encode(TEXTS, truncate_dim=8, convert_to_tensor=True))
    assert embedder.encode([], pool=pool).shape == (0, 24)


def test_the_progress_bar_counts_the_texts_of_all_processes(
    embedder: InstructionEmbedder, pool: EncoderPool, capfd: pytest.CaptureFixture[str]
) -> None:
    embedder.encode(TEXTS, pool=pool, batch_size=1, show_progress_bar=True)
    assert f"{len(TEXTS)}/{len(TEXTS)}" in capfd.readouterr().err


def test_a_wrong_text_is_named_before_any_process_sees_it(embedder: InstructionEmbedder, pool: EncoderPool) -> None:
    with pytest.raises(DataError, match=r"sentences\[50\]"):
        embedder.encode([*TEXTS, 7], pool=pool)  # type: ignore[list-item]


def test_devices_and_a_pool_together_are_refused(embedder: InstructionEmbedder, pool: EncoderPool) -> None:
    with pytest.raises(ConfigError, match="pass one of them"):
        embedder.encode(TEXTS, devices=["cpu"], pool=pool)


def test_the_pool_of_another_encoder_is_refused(
    make_encoder: Callable[..., InstructionEncoder], pool: EncoderPool
) -> None:
    with pytest.raises(ConfigError, match="another encoder"):
        InstructionEmbedder(make_encoder(), device="cpu").encode(TEXTS, pool=pool)


def test_an_error_in_a_process_comes_back_with_device_and_message(
    embedder: InstructionEmbedder, pool: EncoderPool
) -> None:
    with pytest.raises(OneEmbedderError, match="the process on cpu failed: TypeError: unsupported"):
        pool.embed([""], ["dog"], batch_size=1, max_tokens="many", report=len)  # type: ignore[arg-type]
    np.testing.assert_allclose(embedder.encode("dog", pool=pool), embedder.encode("dog"), atol=1e-6)


@pytest.mark.slow
def test_a_device_that_is_not_there_is_an_error_with_its_name(embedder: InstructionEmbedder) -> None:
    absent = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(OneEmbedderError, match=f"the process on {absent} failed: .*CUDA"):
        embedder.encode(TEXTS, devices=[absent])


def run(tmp_path: Path, folder: Path, guard: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(folder), guard=guard))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("guard", "code"), [('if __name__ == "__main__": ', 0), ("", 1)])
def test_a_script_without_the_guard_is_told_so_instead_of_hanging(
    tmp_path: Path, saved: Path, guard: str, code: int
) -> None:
    done = run(tmp_path, saved, guard)
    assert done.returncode == code, done.stderr
    assert ("lacks `if __name__" in done.stderr) == bool(code)
    assert not list((tmp_path / "temporary").glob("one_embedder-*"))


def test_an_interruption_does_not_wait_for_what_the_processes_are_at(tiny: InstructionEncoder) -> None:
    began = time.monotonic()
    with pytest.raises(Terminated), EncoderPool(tiny, ["cpu"]) as pool:
        work = pool._executor.submit(time.sleep, 1000)
        while not work.running():
            time.sleep(0.01)
        raise Terminated
    assert time.monotonic() - began < 100
