"""Uploading a trained checkpoint: what would be sent, and sending it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from one_embedder.encoder.checkpoint import load_encoder
from one_embedder.errors import DataError, OneEmbedderError
from one_embedder.files.hub import reason
from one_embedder.tracking.manifest import read_manifest, read_settings
from one_embedder.training.card import CARD, model_card

if TYPE_CHECKING:
    from one_embedder.evaluation.benchmarks import TaskScore


@dataclass(frozen=True)
class Upload:
    """A checkpoint ready to be sent.

    Attributes:
        folder: the checkpoint.
        hub_id: where it goes.
        card: the model card that goes with it, in place of the folder's own.
        public: whether a repository that has to be made can be seen by all.
    """

    folder: Path
    hub_id: str
    card: str
    public: bool

    def __str__(self) -> str:
        """What the user is asked about."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != CARD)
        size = sum(path.stat().st_size for path in files) / 1e6
        seen = "public" if self.public else "private"
        lines = [f"  {path.relative_to(self.folder)}" for path in files]
        return "\n".join([f"{len(files)} files, {size:.1f} MB, and a model card -> {self.hub_id} ({seen})", *lines])


def plan(run: Path, hub_id: str, *, scores: Sequence[TaskScore] = (), public: bool = False) -> Upload:
    """Check a run and write its card for the hub; nothing is sent.

    Args:
        run: a run folder.
        hub_id: ``owner/name``.
        scores: test results, for the card.
        public: see ``Upload``.

    Raises:
        DataError: the run is not complete.
        CheckpointError: the checkpoint cannot be loaded.
    """
    manifest = read_manifest(run)
    if manifest["status"] != "completed":
        raise DataError(f"{run}: the run is {manifest['status']}, not completed; finish it first")
    settings = read_settings(run)
    folder = run / "checkpoint"
    return Upload(folder, hub_id, model_card(load_encoder(folder), hub_id, manifest, settings, scores), public)


def publish(upload: Upload) -> str:
    """Send it, in one commit for the files and one for the card.

    Returns:
        The model's address.

    Raises:
        OneEmbedderError: the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = str(api.create_repo(upload.hub_id, private=not upload.public, exist_ok=True))
        api.upload_folder(repo_id=upload.hub_id, folder_path=upload.folder, ignore_patterns=[CARD])
        api.upload_file(repo_id=upload.hub_id, path_in_repo=CARD, path_or_fileobj=upload.card.encode())
    except Exception as error:  # huggingface_hub's errors and its HTTP library's have no class in common
        raise OneEmbedderError(f"{upload.hub_id} was not uploaded whole: {reason(error, upload.hub_id)}") from error
    return address
