"""Tests in a fork, over a module with a fault in it."""

from __future__ import annotations

import ast
import gc
import importlib.util
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

_OURS = ("one_embedder", "tests")
_WALL_SECONDS = 120  # of one test, for what waits without computing


@dataclass(frozen=True)
class Outcome:
    """``killed`` by a test, or by the ``time``; ``survived``; and the processor seconds it took."""

    name: str
    seconds: float


class _Faulty(SourceFileLoader):
    """Gives the changed code in place of the file's."""

    def __init__(self, name: str, file: Path, tree: ast.AST) -> None:
        super().__init__(name, str(file))
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self._tree, self.path, "exec")  # type: ignore[call-overload]
        return code


class _Finder(MetaPathFinder):
    def __init__(self, loader: _Faulty) -> None:
        self.loader = loader

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != self.loader.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.loader.path, loader=self.loader)


def in_fork(name: str, file: Path, tree: ast.AST | None, tests: Sequence[str], *, seconds: float) -> Outcome:
    """Run tests up to the first that fails.

    Args:
        name: of the module.
        file: its source.
        tree: what is imported instead; None: the file.
        tests: their files.
        seconds: of processor time, after which a mutant is taken for endless.
    """
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            _quiet(int(seconds))
            _forget_ours()
            if tree is not None:
                sys.meta_path.insert(0, _Finder(_Faulty(name, file, tree)))
            os._exit(_tested(tests, folder))
        _, status, used = os.wait4(child, 0)
    return Outcome(_outcome(status), used.ru_utime + used.ru_stime)


def _outcome(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        raise RuntimeError("the machine ended a fork, which says nothing of its mutant: too little memory?")
    if os.WIFSIGNALED(status):
        return "time" if os.WTERMSIG(status) == signal.SIGXCPU else "killed"
    return "killed" if os.WEXITSTATUS(status) else "survived"


def import_libraries(tests: Sequence[str]) -> None:
    """Import here what the tests import of others, so that no fork has to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _quiet(600)
        _forget_ours()
        _tested([*tests, "--collect-only"], tempfile.gettempdir())
        names = [name for name in sys.modules if not _is_ours(name)]
        os.write(writing, "\n".join(names).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        names = file.read().split()
    os.waitpid(child, 0)
    for name in names:
        _try_to_import(name)
    gc.freeze()  # pytest collects garbage at its end: half of a quick mutant's time, over what all forks share


def _try_to_import(name: str) -> None:
    """Some names are no modules of their own, but parts that a library makes when it is used."""
    try:
        importlib.import_module(name)
    except Exception:
        return


def _tested(tests: Sequence[str], folder: str) -> int:
    plain = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
        "--no-header",
        f"--basetemp={folder}/tests",
    ]
    chosen = ["-m", "not slow and not gpu and not network", "-o", f"timeout={_WALL_SECONDS}"]
    try:
        return int(pytest.main([*plain, *chosen, *tests]))
    except BaseException:
        return 1


def _quiet(seconds: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _forget_ours() -> None:
    for name in [name for name in sys.modules if _is_ours(name)]:
        del sys.modules[name]


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in _OURS
