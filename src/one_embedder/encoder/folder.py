"""What a sentence-transformers folder says about itself, without loading any weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from one_embedder.errors import CheckpointError
from one_embedder.files import documents
from one_embedder.files.text import shown

# The InstructorEmbedding package tells the modules of a folder that it saved by their places.
_PUBLISHED_PACKAGE = "InstructorEmbedding"
_PACKAGES = ("sentence_transformers", _PUBLISHED_PACKAGE)
_PUBLISHED_PLACES = ("Transformer", "Pooling", "Dense")

# Where sentence-transformers looks for the maximum length, the first that is there; the later names are of old models.
_SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True)
class FolderLayout:
    """The parts of a model folder.

    Attributes:
        transformer: folder of the backbone and its tokenizer.
        dense: folders of the dense layers, in order.
        max_length: tokens per text that the folder states, or None.
    """

    transformer: Path
    dense: tuple[Path, ...]
    max_length: int | None


def read_layout(folder: Path) -> FolderLayout:
    """Read ``modules.json`` and what it points to, in the spelling of any sentence-transformers version so far.

    A folder without ``modules.json`` is taken for a bare transformers model, mean-pooled.

    Raises:
        CheckpointError: if a part of the folder is missing, or asks for other pooling than the mean, or for a module
            that INSTRUCTOR does not have, or in a place where it does not have it.
    """
    if not (folder / "modules.json").is_file():
        require_file(folder / "config.json")
        return FolderLayout(transformer=folder, dense=(), max_length=None)
    transformer, dense, normalized = None, [], False
    for kind, part in _modules(folder):
        if kind == "Transformer" and transformer is None:
            transformer = part
        elif kind == "Pooling":
            _require_mean(part / "config.json")
        elif kind == "Dense":
            if normalized:
                raise CheckpointError(
                    f"{folder / 'modules.json'}: a Dense module follows a Normalize; here only the end is normalised"
                )
            dense.append(part)
        elif kind == "Normalize":
            normalized = True
        else:
            raise CheckpointError(f"{folder / 'modules.json'}: a module of type {kind} is not supported here")
    if transformer is None:
        raise CheckpointError(f"{folder / 'modules.json'} lists no Transformer module; fetch the folder again")
    return FolderLayout(transformer=transformer, dense=tuple(dense), max_length=_stated_max_length(transformer))


def read_json(path: Path) -> Any:
    """Read one JSON file of a model folder.

    Raises:
        CheckpointError: if it is missing or not JSON.
    """
    require_file(path)
    try:
        return documents.read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not JSON ({error}); fetch or save the model folder again") from error


def read_object(path: Path) -> dict[str, Any]:
    """As ``read_json``, of a file that holds one JSON object."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds {shown(content)}, no object of settings; fetch the model folder again")
    return content


def whole_number(settings: Mapping[str, Any], key: str, path: Path) -> int:
    """A setting that is a size.

    Raises:
        CheckpointError: if it is missing, or no whole number from 1 on.
    """
    if key not in settings:
        raise CheckpointError(f"{path}: key {key!r} is missing; fetch the model folder again")
    value = settings[key]
    if type(value) is not int or value < 1:
        raise CheckpointError(f"{path}: {key} must be a whole number from 1 on, got {shown(value)}")
    return value


def require_file(path: Path) -> None:
    """Raise CheckpointError if the file is missing."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; fetch or save the model folder again")


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Each module's kind and folder."""
    path = folder / "modules.json"
    modules = read_json(path)
    try:
        return [
            (_kind(str(module["type"]), number), _inside(folder, str(module["path"])))
            for number, module in enumerate(modules)
        ]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: every module needs 'type' and 'path'; save the model folder again") from error
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _inside(folder: Path, part: str) -> Path:
    """A part of the folder: a model brings all of its parts, and names no file of this machine."""
    if Path(part).is_absolute() or ".." in Path(part).parts or "\0" in part:
        raise CheckpointError(f"the path {part!r:.60} leads out of the model folder; fetch or save the folder again")
    return folder / part


def _kind(type_: str, number: int) -> str:
    """The class name; the package path before it changed between versions of sentence-transformers.

    Raises:
        CheckpointError: if it is a class of another package, whose name says nothing of what it does.
    """
    package, _, name = type_.partition(".")
    if package not in _PACKAGES:
        raise CheckpointError(
            f"a module of type {type_:.100} is code of its own, and no code of a model folder is run here; "
            f"known are the types of {' and '.join(_PACKAGES)}"
        )
    if package == _PUBLISHED_PACKAGE and number < len(_PUBLISHED_PLACES):
        return _PUBLISHED_PLACES[number]
    return name.rpartition(".")[2] or package


def _require_mean(path: Path) -> None:
    config = read_object(path)
    modes = config.get("pooling_mode")  # sentence-transformers 6; before, one switch per mode
    if modes is None:
        switches = {key.removeprefix("pooling_mode_"): on for key, on in config.items() if "pooling_mode_" in key}
        modes = [mode for mode, on in switches.items() if on]
    if modes not in ("mean", ["mean"], ["mean_tokens"]):
        raise CheckpointError(
            f"{path}: this model pools by {modes!s:.100}; an instruction can only be left out of the mean"
        )


def _stated_max_length(transformer: Path) -> int | None:
    path = next((transformer / name for name in _SETTINGS if (transformer / name).is_file()), None)
    if path is None:
        return None
    config = read_object(path)
    if config.get("do_lower_case"):
        raise CheckpointError(f"{path}: do_lower_case is not supported; let the tokenizer do it (tokenizer.json)")
    return None if config.get("max_seq_length") is None else whole_number(config, "max_seq_length", path)
