"""Where ``medi.path`` is: on disk, or a data set of the hub, which is fetched whole."""

from __future__ import annotations

import re
from pathlib import Path

from one_embedder.errors import DataError
from one_embedder.files.hub import reason
from one_embedder.medi.sources.file.files import SUFFIXES

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def located(path: str) -> Path:
    """The file or folder, in huggingface_hub's cache if it is a data set of the hub.

    Raises:
        DataError: the hub does not give it.
    """
    place = Path(path).expanduser()
    if place.exists() or not _HUB_ID.fullmatch(path):
        return place
    from huggingface_hub import HfApi, constants, snapshot_download

    wanted = [f"*{suffix}" for kind in SUFFIXES for suffix in kind]
    try:
        # Asked first, with a limit to the wait: snapshot_download has none where the hub says nothing.
        commit = HfApi().dataset_info(path, timeout=constants.HF_HUB_ETAG_TIMEOUT).sha
        return Path(snapshot_download(path, repo_type="dataset", revision=commit, allow_patterns=wanted))
    # Out of it come huggingface_hub's errors and its HTTP library's; these have no class in common but Exception.
    except Exception as error:
        said = reason(error, f"datasets/{path}", "data set")
        raise DataError(
            f"medi.path={path} is neither on disk nor to be had from the hub: {said}; or download it elsewhere and "
            "give its folder"
        ) from error
