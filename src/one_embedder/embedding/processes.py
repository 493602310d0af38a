"""Encoding on several devices, or with several processes on one: a copy of the encoder in each, one queue of texts."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from one_embedder.embedding.batches import Embedded, embed_in_batches, windows
from one_embedder.encoder.model import InstructionEncoder
from one_embedder.errors import ConfigError, OneEmbedderError

_CHUNK_BATCHES = 16  # most batches sent at a time
_CHUNKS = 4  # for each process, so that all end at nearly the same time


class EncoderPool:
    """Processes that each hold a copy of an encoder; close it, or use it in a ``with`` block.

    The processes are started anew, not forked, and import the script that starts them: a script keeps what it does
    under ``if __name__ == "__main__":``. They share the weights' file, and so, on the CPU, their memory.

    Args:
        encoder: copied as it is, in its precision; it stays where it is.
        devices: one process each; ``["cuda:0", "cuda:1"]``, or ``["cpu", "cpu"]`` to share the cores out; a number
            is that GPU.

    Raises:
        ConfigError: if there is no device or one has no such name.
    """

    def __init__(self, encoder: InstructionEncoder, devices: Sequence[str | int]) -> None:
        self.devices = _checked(devices)
        self.encoder, self.tokenizer = encoder, encoder.tokenizer
        self._folder = Path(tempfile.mkdtemp(prefix="one_embedder-"))
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        for device in self.devices:
            queue.put(device)
        try:
            torch.save(encoder, self._folder / "encoder.pt")
            self._executor = ProcessPoolExecutor(
                len(self.devices), context, _start, (self._folder / "encoder.pt", queue, self._threads())
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def require(self, encoder: InstructionEncoder) -> None:
        """Raise ConfigError if the processes hold another encoder, or have it cut texts elsewhere."""
        if encoder is not self.encoder or encoder.tokenizer is not self.tokenizer:
            raise ConfigError(
                "the pool holds another encoder, or another max_seq_length; start one with this embedder's start_pool"
            )

    def embed(
        self,
        instructions: Sequence[str],
        texts: Sequence[str],
        *,
        batch_size: int,
        max_tokens: int | None,
        report: Callable[[int], Any],
    ) -> Embedded:
        """As ``embed_in_batches``, on all devices.

        Raises:
            OneEmbedderError: if a process fails, with its device and message; texts not begun are dropped then.
        """
        made = Embedded.empty(len(texts), self.encoder.dimension)
        characters = [len(instruction) + len(text) for instruction, text in zip(instructions, texts, strict=True)]
        begun: dict[Future[Embedded], list[int]] = {}
        try:
            for rows in windows(characters, self._chunk_rows(len(texts), batch_size)):
                chunk = [instructions[row] for row in rows], [texts[row] for row in rows]
                begun[self._executor.submit(_embed, *chunk, batch_size, max_tokens)] = rows
            for done in as_completed(list(begun)):
                rows = begun.pop(done)
                made.embeddings[rows], made.cuts[rows] = done.result()
                report(len(rows))
        except BrokenProcessPool as error:
            raise OneEmbedderError(
                "a process died without a word: its memory may not have sufficed, or the script that starts it lacks "
                '`if __name__ == "__main__":`'
            ) from error
        finally:
            for future in begun:
                future.cancel()
        return made

    def close(self) -> None:
        """End the processes, after what they are at."""
        self._executor.shutdown(cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> EncoderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):  # interrupted: nobody waits for what they are at
            for process in [*self._executor._processes.values()]:
                process.terminate()
        self.close()

    def _chunk_rows(self, count: int, batch_size: int) -> int:
        share = math.ceil(count / (_CHUNKS * len(self.devices)))
        return max(min(batch_size, math.ceil(count / len(self.devices))), min(share, _CHUNK_BATCHES * batch_size), 1)

    def _threads(self) -> int:
        """Threads for each process on the CPU: together they use what one would."""
        shared = sum(torch.device(device).type == "cpu" for device in self.devices)
        return max(1, torch.get_num_threads() // max(1, shared))


def _checked(devices: Sequence[str | int]) -> list[str]:
    """Their names; looked up on the machine by the processes alone, since a look takes GPU memory."""
    if isinstance(devices, str) or not devices:
        raise ConfigError(f"devices={devices!r} must be a list with one device for each process: ['cuda:0', 'cuda:1']")
    try:
        return [str(torch.device(device)) for device in devices]
    except (RuntimeError, TypeError) as error:
        raise ConfigError(
            f"devices={devices!r} must be torch devices of this machine, such as 'cpu' and 'cuda:0': "
            f"{str(error).splitlines()[0]}"
        ) from error


# In the processes from here on.

_encoder: InstructionEncoder | None = None
_device = ""
_failure: Exception | None = None


def _start(weights: Path, devices: multiprocessing.Queue[str], threads: int) -> None:
    """Take a device and load the encoder onto it; a failure is kept to be told by the first task."""
    global _encoder, _device, _failure
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a process at once and without its own traceback
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _device = devices.get()
    try:
        if torch.device(_device).type == "cpu":
            torch.set_num_threads(threads)
        # The file is our own; mapped, its pages are shared by all processes.
        loaded = torch.load(weights, map_location="cpu", mmap=True, weights_only=False)
        _encoder = loaded.to(_device).eval()
    except Exception as error:
        _failure = error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the parent was killed: nobody else would end this process


def _embed(instructions: list[str], texts: list[str], batch_size: int, max_tokens: int | None) -> Embedded:
    try:
        if _encoder is None:
            raise _failure or RuntimeError("the encoder was not loaded")
        return embed_in_batches(
            _encoder, instructions, texts, batch_size=batch_size, max_tokens=max_tokens, report=lambda count: None
        )
    except Exception as error:
        raise OneEmbedderError(f"the process on {_device} failed: {type(error).__name__}: {error}") from error
