from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from pathlib import Path

import filelock
import pytest

from one_embedder.files.lock import HOLDER, LockedError, holding
from tests.locked import held


def test_a_folder_that_another_process_holds_is_refused_by_its_name_process_and_machine(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        told = rf"process {process.pid} on {socket.gethostname()} .* is writing {tmp_path}; wait for it or end it"
        with pytest.raises(LockedError, match=told), holding(tmp_path):
            pass
    with holding(tmp_path):
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()
    assert not (tmp_path / HOLDER).exists()


def test_a_process_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    with held(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / HOLDER).exists(), "it left this behind"
        with holding(tmp_path):
            assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()


def test_who_waits_says_for_whom_and_goes_on_once_the_folder_is_free(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with held(tmp_path) as process, caplog.at_level(logging.INFO):
        assert process.stdin is not None
        threading.Timer(0.5, process.stdin.close).start()
        began = time.monotonic()
        with holding(tmp_path, wait=True):
            assert time.monotonic() - began > 0.4
    assert f"process {process.pid} on" in caplog.text and "waiting for it" in caplog.text


def test_two_threads_do_not_hold_one_folder_and_two_parts_of_it_are_held_at_once(tmp_path: Path) -> None:
    refused: list[str] = []

    def other() -> None:
        try:
            with holding(tmp_path, "one"):
                pass
        except LockedError as error:
            refused.append(str(error))

    with holding(tmp_path, "one"), holding(tmp_path, "two"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1 and f"process {os.getpid()} on" in refused[0]


def test_a_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    ran = False
    with holding(tmp_path / "new"):
        ran = True
    assert ran and f"{tmp_path / 'new'} cannot be locked" in caplog.text


def test_the_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), holding(tmp_path):
        raise ValueError("no")
    with holding(tmp_path):
        pass
