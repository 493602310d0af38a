"""Reading a model folder through transformers: its files are data, and no code that it brings or names is run.

Left to itself transformers asks on the terminal whether to run a folder's Python files, and takes a "y" from wherever
standard input comes. Here nothing is asked, and the answer is no.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.utils import logging as _untyped_logging

from one_embedder.encoder.folder import read_object
from one_embedder.errors import CheckpointError, OneEmbedderError

log = logging.getLogger(__name__)

_logging: Any = _untyped_logging

AS_DATA: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""Arguments of every ``from_pretrained``: the folder is all there is, and it is not run."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars and load reports off the terminal; what matters of them is checked here instead."""
    verbosity, bars = _logging.get_verbosity(), _logging.is_progress_bar_enabled()
    _logging.set_verbosity_error()
    _logging.disable_progress_bar()
    try:
        yield
    finally:
        _logging.set_verbosity(verbosity)
        if bars:
            _logging.enable_progress_bar()


@contextmanager
def reading(part: str, file: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a part of a model is read into a ``CheckpointError``.

    Args:
        part: "model" or the like, for messages.
        file: the JSON file that says what the part is; where it names code of its own (``auto_map``) and the part can
            be read without, a warning says that this code was left alone.

    Raises:
        CheckpointError: if the part is missing, unreadable, or nothing without code of the folder's own.
    """
    try:
        with quiet_transformers():
            yield
    except OneEmbedderError:
        raise
    # transformers, tokenizers, safetensors and torch share no other class, and a JSON file can ask for anything.
    except Exception as error:
        if "trust_remote_code" in str(error):
            raise CheckpointError(
                f"the {part} in {file.parent} is made of Python code that {file.name} names (auto_map), and no code of "
                "a model folder is run here; take a model of a kind that transformers has itself"
            ) from error
        raise CheckpointError(
            f"the {part} in {file.parent} cannot be loaded ({file.name} says what it is): {error!s:.500}"
        ) from error
    if file.is_file() and "auto_map" in read_object(file):
        log.warning("%s names code of its own (auto_map): it was not run, transformers' own is used instead", file)


def read_config(folder: Path) -> PreTrainedConfig:
    """Read ``config.json``; what it says of code of its own is left out, so that no copy says it again.

    Raises:
        CheckpointError: if it asks for an attention from the hub, which would be compiled code from anywhere.
    """
    file = folder / "config.json"
    for key, value in _attentions(read_object(file)):
        raise CheckpointError(
            f"{file}: {key}={value!r:.60} would be code from the hub, which is not run here; drop the key"
        )
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder, **AS_DATA)
    vars(config).pop("auto_map", None)
    return config


def _attentions(stated: Any) -> Iterator[tuple[str, str]]:
    """Keys, at any depth, whose attention is no name of transformers' but a repository's (``owner/name``)."""
    if not isinstance(stated, dict):
        return
    for key, value in stated.items():
        if key.endswith("attn_implementation") and "/" in str(value):
            yield key, value
        else:
            yield from _attentions(value)
