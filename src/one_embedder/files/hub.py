"""From a hub id to a folder in huggingface_hub's cache, or to one message that says what is wrong and what helps."""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from one_embedder.errors import CheckpointError

# The same weights for other frameworks; a hub folder can hold several gigabytes of them.
_FOREIGN_WEIGHTS = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "*.ot", "*.tflite"]
_SAFETENSORS = {"model.safetensors", "model.safetensors.index.json"}
_PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?")
_LOG_IN = "run 'hf auth login' or set HF_TOKEN"


def download(
    hub_id: str,
    revision: str | None = None,
    *,
    cache_folder: str | Path | None = None,
    token: str | bool | None = None,
) -> Path:
    """A hub model's folder in the cache, where each weight is once: in safetensors if the hub has them.

    What is missing or newer is fetched. Where the hub gives no answer, whatever the cause, a whole copy in the cache
    does. A break within a file is resumed by huggingface_hub; after a failure, whole files are kept for the next call.

    Args:
        hub_id: ``owner/name``.
        revision: a branch, tag or commit; None is the newest.
        cache_folder: another place for the cache than huggingface_hub's own.
        token: another one than that of who is logged in.

    Raises:
        CheckpointError: if there is no whole copy in the end; it says what the hub or the network did.
    """
    silence = _silence(hub_id, revision, token)
    try:
        return _snapshot(hub_id, revision, silence is not None, cache_folder, token)
    # Out of it come huggingface_hub's errors and its HTTP library's; these have no class in common but Exception.
    except Exception as error:
        cause = silence or error
        wanted = hub_id if revision is None else f"{hub_id} at revision {revision}"
        raise CheckpointError(
            f"{wanted} is neither a folder here nor to be had from the hub or its cache: {reason(cause, hub_id)}; "
            "or download the folder elsewhere and give its path"
        ) from cause


def _silence(hub_id: str, revision: str | None, token: str | bool | None) -> Exception | None:
    """Why the hub says nothing of a model, or None if it does; ``snapshot_download`` alone would wait without end."""
    from huggingface_hub import HfApi, constants

    try:
        HfApi(token=token).model_info(hub_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # as in download
        return error
    return None


def _snapshot(
    hub_id: str,
    revision: str | None,
    from_cache: bool,
    cache_folder: str | Path | None,
    token: str | bool | None,
) -> Path:
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    fetch = partial(snapshot_download, hub_id, local_files_only=from_cache, cache_dir=cache_folder, token=token)

    # A few small files first: with them the cache gets the list of all files.
    some = fetch(revision=revision, allow_patterns="*config.json", ignore_patterns=_FOREIGN_WEIGHTS)
    commit = Path(some).name
    try:
        files = [file.path for file in get_cached_repo_tree(hub_id, revision=commit, cache_dir=cache_folder)]
    except CachedRepoTreeNotFoundError:  # an older huggingface_hub filled the cache, and the hub is silent
        return Path(some)
    skipped = _FOREIGN_WEIGHTS + _second_copies(files)
    return Path(fetch(revision=commit, ignore_patterns=skipped))


def _second_copies(files: Sequence[str]) -> list[str]:
    """Pickled weights beside the same weights in safetensors, which are the ones that get read."""
    paths = [PurePosixPath(name) for name in files]
    safe = {path.parent for path in paths if path.name in _SAFETENSORS}
    return [str(path) for path in paths if path.parent in safe and _PICKLED.fullmatch(path.name)]


def reason(error: Exception, hub_id: str, kind: str = "model") -> str:
    """What the hub or the network did, and what helps against it.

    Args:
        error: what came out of huggingface_hub.
        hub_id: ``owner/name``; of a data set ``datasets/owner/name``, which is where its page is.
        kind: what to call it.
    """
    from huggingface_hub import constants, errors

    chain = list(_chain(error))
    status = next((link.response.status_code for link in chain if isinstance(link, errors.HfHubHTTPError)), None)
    if status is not None:
        return _refusal(status, {type(link) for link in chain}, f"{constants.ENDPOINT}/{hub_id}", kind)
    if _any(chain, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set and the cache has no whole copy; set HF_HUB_OFFLINE=0 to download it"
    if _any(chain, TimeoutError):
        return (
            "the hub did not answer in time; try again, or wait longer by setting HF_HUB_ETAG_TIMEOUT and "
            "HF_HUB_DOWNLOAD_TIMEOUT to more seconds (10 if unset)"
        )
    summary = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if _any(chain, PermissionError, NotADirectoryError) or any(
        isinstance(link, OSError) and link.errno == errno.EROFS for link in chain
    ):
        return f"the cache cannot be written ({summary}); set HF_HUB_CACHE to a folder that can be"
    if _any(chain, ConnectionRefusedError, socket.gaierror):
        return f"{constants.ENDPOINT} cannot be reached ({summary}); check the network, the proxy and HF_ENDPOINT"
    return f"the download failed ({summary}); run the same again: files that arrived whole are kept"


def _refusal(status: int, kinds: set[type[BaseException]], page: str, kind: str) -> str:
    """What the hub means by an HTTP status and its own word for the error."""
    from huggingface_hub import errors

    said = f"(HTTP {status})"
    if errors.RevisionNotFoundError in kinds:
        return f"the hub has the {kind} but not this revision {said}; take a branch, tag or commit listed at {page}"
    if errors.GatedRepoError in kinds:
        return f"access has to be granted first {said}; accept the licence at {page}, then {_LOG_IN}"
    if errors.RepositoryNotFoundError in kinds:
        return f"the hub shows no such {kind} {said}; check the name or, if it is private, {_LOG_IN}"
    if status in (401, 403):
        return f"the hub refuses access {said}; {_LOG_IN}, and accept the licence at {page} if it has one"
    if status == 429:
        return f"the hub wants fewer requests {said}; try again in some minutes, or {_LOG_IN} for a higher limit"
    if status >= 500:
        return f"the hub has trouble of its own {said}; try again later"
    return f"the hub refuses the request {said}; see {page}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from: the HTTP library wraps what the socket said."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _any(chain: Sequence[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(link, kinds) for link in chain)
