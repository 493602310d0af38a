"""The project's exceptions: each message names the file, row, field or key, and the remedy."""

from __future__ import annotations


class OneEmbedderError(Exception):
    """Base class: an error that the user can act on. Entry points print its message without a traceback."""


class ConfigError(OneEmbedderError):
    """A configuration key or value is wrong."""


class DataError(OneEmbedderError):
    """A data file, row or field cannot be used."""


class CheckpointError(OneEmbedderError):
    """A model folder is missing, incomplete or inconsistent."""


class EvaluationError(OneEmbedderError):
    """A task could not be scored. It never becomes a score."""
