"""Less noise from libraries, set before they are imported; a variable that the user has set wins."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

from one_embedder.config.schema import Config

_DEFAULTS = {
    "TOKENIZERS_PARALLELISM": "false",  # warns at every fork otherwise
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",  # offline is to mean that nothing is sent
}
_LOUD_LOGGERS = ("pytorch_lightning", "lightning_fabric", "lightning", "mteb", "sentence_transformers", "httpx")
# Advice about data loader workers and the like, which these runs follow or leave on purpose.
_KNOWN_WARNINGS = (
    r".*does not have many workers.*",
    r".*GPU available but not used.*",
    r".*`LeafSpec`.*",
    r".*Checkpoint directory .* exists and is not empty.*",
)


def quiet(cfg: Config) -> None:
    """Quieten libraries, and stay off the hub where nothing is wanted from it.

    The first run of a process decides about the hub: a sweep over embedded and hub encoders needs HF_HUB_OFFLINE=0.
    """
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if not needs_hub(cfg):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # else each evaluation task waits half a minute to find no network
    for message in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in _LOUD_LOGGERS:
        logging.getLogger(name).addFilter(_important)


def needs_hub(cfg: Config) -> bool:
    """Whether data (to train on, to score) are the hub's, or the encoder is neither embedded nor a folder on disk."""
    name = cfg.encoder.name_or_path
    of_hub = cfg.medi.source == "full" or cfg.benchmark.mteb is not None
    return of_hub or not _is_on_disk(cfg.medi.path) or (name != "minilm" and not Path(name).expanduser().is_dir())


def _is_on_disk(path: str | None) -> bool:
    return path is None or Path(path).expanduser().exists()


def _important(record: logging.LogRecord) -> bool:
    # A filter rather than a level: Lightning sets its own level again when it is imported.
    return record.levelno >= logging.WARNING
