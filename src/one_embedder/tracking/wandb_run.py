"""Weights & Biases: what every run there is told, and runs that hold tables of results or a checkpoint.

Nothing depends on it. Runs are always written offline, to files below ``wandb/`` that ``wandb sync`` can send later,
complete; online, another process sends them as they grow (see ``sending``). What goes wrong here is a warning and never
the end of a run.
"""

from __future__ import annotations

import importlib.util
import logging
import netrc
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from one_embedder.config.own_class import class_name
from one_embedder.config.schema import Config, LossConfig
from one_embedder.tracking.identity import resolved
from one_embedder.tracking.sending import SENDERS

log = logging.getLogger(__name__)

_SECONDS = 30  # that W&B's own service on this machine may take to open a run, and to write its end
_LONGEST_TAG = 64  # W&B refuses longer ones


@dataclass(frozen=True)
class Table:
    """A table of results; cells are text or numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def wandb_mode(cfg: Config) -> str:
    """``disabled``, ``offline`` or ``online``: what was asked for, lowered to what is possible here."""
    asked, environment = cfg.tracking.wandb, os.environ.get("WANDB_MODE")
    if "disabled" in (asked, environment):
        return "disabled"
    if importlib.util.find_spec("wandb") is None:
        log.info("wandb is not installed: metrics go to metrics.csv only")
        return "disabled"
    if asked == "online" and environment in ("offline", "dryrun"):
        return "offline"
    if asked == "online" and not _has_wandb_key():
        log.warning("tracking.wandb=online needs `wandb login` first: writing offline, `wandb sync` can send it later")
        return "offline"
    return asked


def init_arguments(cfg: Config, folder: Path, job_type: str, *, name: str, id: str | None = None) -> dict[str, Any]:
    """Arguments of ``wandb.init``, but the mode.

    Args:
        cfg: the whole of it is shown with the run; ``cfg.tracking`` and what the tags say are read here.
        folder: its files go to ``<folder>/wandb``; made if missing.
        job_type: "train", "evaluate", "evaluate_views", "reproduce" or "ablation".
        name: shown in lists of runs.
        id: of a run that may be there already; None: a new run.
    """
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    return {
        "dir": str(folder),
        "project": cfg.tracking.project,
        "group": cfg.tracking.group,
        "job_type": job_type,
        "name": name,
        "id": id,
        "resume": "allow",  # never overwrite: an agent's run has its id from the environment
        "tags": tags(cfg, job_type),
        "config": resolved(cfg),
        "settings": wandb.Settings(
            silent=True,
            init_timeout=_SECONDS,
            finish_timeout=_SECONDS,
            console="off",
            x_disable_stats=True,
            disable_git=True,
        ),
    }


def open_run(arguments: Mapping[str, Any], mode: str, extra_bytes: int = 0) -> Any:
    """A run that is written to files and, online, sent from there; where W&B does not work, a run that is none.

    Args:
        arguments: as ``init_arguments`` gives them.
        mode: as ``wandb_mode`` gives it, not "disabled".
        extra_bytes: of large files that will go with it.
    """
    import wandb

    with tolerated("a new run"):
        run = wandb.init(mode="offline", **arguments)
        if mode == "online":
            SENDERS.start(Path(run.settings.sync_dir), extra_bytes)
        return run
    return wandb.init(mode="disabled")


def tags(cfg: Config, job_type: str) -> list[str]:
    """What runs are most often filtered by, and ``tracking.tags``."""
    side = "with instructions" if cfg.with_instructions else "without instructions"
    of_job = {
        "train": [side, f"loss {cfg.loss.spelling if isinstance(cfg.loss, LossConfig) else class_name(cfg.loss)}"],
        "evaluate": [f"instructions {cfg.instructions.name}", f"{cfg.benchmark.name} {cfg.benchmark.split}"],
        "evaluate_views": [f"views {cfg.views.name} {cfg.views.part}"],
        "reproduce": [cfg.table.name],
        "ablation": [cfg.ablation.name],
    }
    given = [cfg.profile, encoder_name(cfg), *of_job[job_type], *cfg.tracking.tags]
    return [tag[:_LONGEST_TAG] for tag in dict.fromkeys(given) if tag]


def encoder_name(cfg: Config) -> str:
    """The encoder in a word: of a run's checkpoint, the run's name."""
    path = Path(cfg.encoder.name_or_path)
    return path.parent.name if path.name in ("checkpoint", "best") else path.name


def kept_id(folder: Path) -> str | None:
    """The W&B id of a training, the same whenever it is resumed; None below a W&B agent, which gives one itself.

    It is drawn, not made from the settings: two people who train the same must not write into one run.
    """
    if os.environ.get("WANDB_SWEEP_ID"):
        return None
    path = folder / "wandb" / "run_id"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(4), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def log_results(
    cfg: Config, folder: Path, job_type: str, name: str, tables: Mapping[str, Table], summary: Mapping[str, Any]
) -> None:
    """A W&B run of its own with tables of results.

    Args:
        cfg: the configuration that gave them.
        folder: W&B's files go to ``<folder>/wandb``.
        job_type: "evaluate", "evaluate_views", "reproduce" or "ablation".
        name: of the run.
        tables: name -> table.
        summary: name -> number, for comparing runs.
    """
    mode = wandb_mode(cfg)
    if mode == "disabled":
        return
    with tolerated("results"):
        import wandb

        with open_run(init_arguments(cfg, folder, job_type, name=name), mode) as run:
            run.log({key: wandb.Table(columns=list(t.columns), data=[*map(list, t.rows)]) for key, t in tables.items()})
            run.summary.update(dict(summary))


def upload_checkpoint(cfg: Config, folder: Path, checkpoint: str, metadata: Mapping[str, Any]) -> None:
    """Send a trained encoder as an artifact of its training's run; only when online, files stay here otherwise.

    Args:
        cfg: the training's configuration; ``tracking.checkpoints=false`` keeps it from being sent.
        folder: the run folder.
        checkpoint: folder in it.
        metadata: shown with the artifact.
    """
    if not cfg.tracking.checkpoints or wandb_mode(cfg) != "online":
        return
    SENDERS.wait()  # two senders of one run would be in each other's way
    if SENDERS.given_up:
        return
    with tolerated("the checkpoint"):
        import wandb

        arguments = init_arguments(cfg, folder, "train", name=folder.name, id=kept_id(folder))
        size = sum(path.stat().st_size for path in (folder / checkpoint).rglob("*") if path.is_file())
        with open_run(arguments, "online", size) as run:
            artifact = wandb.Artifact(folder.name, type="model", metadata=dict(metadata))
            artifact.add_dir(str(folder / checkpoint))
            run.log_artifact(artifact)


@contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Whatever W&B does is no more than a warning: metrics and results are in files already.

    Args:
        what: was to be sent.
    """
    try:
        yield
    except Exception as error:
        log.warning("W&B did not take %s (%s: %s); the files here are complete", what, type(error).__name__, error)


def _has_wandb_key() -> bool:
    """Looked up here because wandb itself would ask for one at the terminal."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
