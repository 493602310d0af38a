"""The run record: ``manifest.yaml``, written when a run starts and completed when it ends."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.files.disk import writing
from one_embedder.files.documents import read_yaml
from one_embedder.tracking.identity import resolved, run_id
from one_embedder.tracking.machine import code_state, command, environment, hardware, peak_memory_gib

MANIFEST = "manifest.yaml"
RESOLVED_CONFIG = "config.yaml"
METRICS = "metrics.csv"
SCHEMA = 1
_STATUSES = ("started", "completed", "failed", "interrupted")

log = logging.getLogger(__name__)


class NewerManifest(DataError):
    """A run record of a version of this package that is newer than this one."""


class RunRecord:
    """One run's manifest.

    ``started`` is also what a killed run keeps: only ``completed`` may be taken for whole. Use it as a context manager,
    so that an error is recorded as ``failed``, and Ctrl-C or SIGTERM as ``interrupted``, before they travel on::

        with RunRecord.start(folder, name="train", cfg=cfg, data=[...], model={...}, batch=None) as record:
            ...
            record.complete(metrics={"loss": 0.1}, cost={"steps": 200})

    Attributes:
        folder: where the manifest lies.
        manifest: its content, as last written.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self._began = time.monotonic()

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        name: str,
        cfg: Config,
        data: Sequence[Mapping[str, Any]],
        model: Mapping[str, Any],
        batch: Mapping[str, Any] | None = None,
        identity: str | None = None,
    ) -> Self:
        """Write the manifest with status ``started`` and the resolved configuration beside it.

        Args:
            folder: the run folder; made if missing, an older manifest in it is replaced.
            name: what ran ("train", "evaluate"); also the first part of the run id.
            cfg: the configuration that runs.
            data: one mapping for each input, with ``name``, ``sha256`` and counts.
            model: base, revision, parameters.
            batch: batch sizes and candidates per query, where there are batches.
            identity: the run id; None: ``run_id(cfg, name, *sha256 of data)``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        values = resolved(cfg)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        write_atomically(folder / RESOLVED_CONFIG, text)
        manifest = {
            "schema": SCHEMA,
            "run_id": identity or run_id(cfg, name, *(str(item.get("sha256")) for item in data)),
            "name": name,
            "status": "started",
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "command": command(),
            "config": {"sha256": hashlib.sha256(text.encode()).hexdigest(), "resolved": RESOLVED_CONFIG},
            "code": code_state(),
            "data": [dict(item) for item in data],
            "model": dict(model),
            "batch": dict(batch) if batch is not None else None,
            "environment": environment(),
            "hardware": hardware(),
            "cost": None,
            "outcome": None,
        }
        record = cls(folder, manifest)
        record._write()
        return record

    @property
    def run_id(self) -> str:
        """The run's name among all runs."""
        return str(self.manifest["run_id"])

    @property
    def status(self) -> str:
        """``started``, ``completed``, ``failed`` or ``interrupted``."""
        return str(self.manifest["status"])

    def complete(self, metrics: Mapping[str, Any] | None = None, cost: Mapping[str, Any] | None = None) -> None:
        """Record the outcome. Wall seconds and peak memory are added unless ``cost`` gives its own."""
        self._finish("completed", {"metrics": dict(metrics or {})}, cost)

    def fail(self, error: BaseException) -> None:
        """Record that the run ended with ``error``: ``interrupted`` by what is no ``Exception``."""
        status = "failed" if isinstance(error, Exception) else "interrupted"
        self._finish(status, {"error": type(error).__name__, "message": str(error)}, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            if self.status == "started":
                self.complete()
        elif isinstance(error, Exception) or self.status == "started":
            try:
                self.fail(error)
            except OSError as trouble:  # a full disk, say; the first error is the one to report
                log.warning("could not write %s: %s", self.folder / MANIFEST, trouble)

    def _finish(self, status: str, outcome: dict[str, Any], cost: Mapping[str, Any] | None) -> None:
        measured = {"wall_s": round(time.monotonic() - self._began, 2), "peak_memory_gib": peak_memory_gib()}
        self.manifest |= {"status": status, "cost": measured | dict(cost or {}), "outcome": outcome}
        self._write()

    def _write(self) -> None:
        plain = _plain(self.manifest)
        write_atomically(self.folder / MANIFEST, yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run folder.

    Raises:
        DataError: if it is missing, is not YAML or lacks what every manifest has.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} is not a run folder: it has no {MANIFEST}")
    try:
        manifest = read_yaml(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable YAML ({error}); delete its folder and run again") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise NewerManifest(
            f"{path} has schema {schema!r:.60}, this version reads {SCHEMA}: a newer version ran here; use that one, "
            "or choose another output="
        )
    if not isinstance(manifest, dict) or schema != SCHEMA or manifest.get("status") not in _STATUSES:
        raise DataError(f"{path} is not a manifest of schema {SCHEMA}; delete its folder and run again")
    return manifest


def cost_of(folder: Path) -> Mapping[str, Any]:
    """What a run took (``wall_s``, ``steps``, ...), as its manifest tells it; empty where none does."""
    try:
        return read_manifest(folder).get("cost") or {}
    except DataError:
        return {}


def read_settings(folder: Path) -> dict[str, Any]:
    """The resolved configuration of a run folder, as plain values.

    Raises:
        DataError: if it is missing or no YAML mapping.
    """
    path = folder / RESOLVED_CONFIG
    try:
        settings = read_yaml(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not readable YAML ({error}); delete its folder and run again") from error
    if not isinstance(settings, dict):
        raise DataError(f"{path} holds no settings; delete its folder and run again")
    return settings


def is_complete(folder: Path, identity: str | None = None) -> bool:
    """Whether the folder holds a completed run (of that run id, if given). Damaged records count as incomplete.

    Raises:
        NewerManifest: rather than have the work of another version done again over it.
    """
    try:
        manifest = read_manifest(folder)
    except NewerManifest:
        raise
    except DataError:
        return False
    return manifest["status"] == "completed" and identity in (None, manifest.get("run_id"))


def write_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text so that ``path`` is either the old file or the whole new one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """YAML-safe values: numpy and torch scalars become numbers, paths and anything else become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or type(value) in (str, int, float, bool):
        return value
    return _plain(value.item()) if hasattr(value, "item") else str(value)
