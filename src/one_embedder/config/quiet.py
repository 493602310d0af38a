"""Less noise from libraries, set before they are imported; a variable that the user has set wins."""

from __future__ import annotations

import logging
import os
import warnings

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


def quiet() -> None:
    """Quieten libraries. Whether the hub may be asked is the user's to say (HF_HUB_OFFLINE), never set here."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    logging.raiseExceptions = False  # a log file that cannot be written is told by what else cannot be
    for message in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in _LOUD_LOGGERS:
        logging.getLogger(name).addFilter(_important)


def _important(record: logging.LogRecord) -> bool:
    # A filter rather than a level: Lightning sets its own level again when it is imported.
    return record.levelno >= logging.WARNING
