"""InstructionEmbedder as mteb's encoder: our instruction for each task and side, each text encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import PromptType
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from one_embedder.encoder.truncation import Truncation, cuts_kept
from one_embedder.errors import EvaluationError, OneEmbedderError
from one_embedder.evaluation.task_instructions import TaskInstructions

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import BatchedInput
    from torch.utils.data import DataLoader

Embeddings = NDArray[np.float32]


class TextEncoder(Protocol):
    """What evaluation asks of an encoder; ``embedding.embedder.InstructionEmbedder`` is the one in use."""

    @property
    def revision(self) -> str:
        """Hash of the weights."""

    def encode(
        self, sentences: Sequence[str], instruction: str, *, batch_size: int, show_progress_bar: bool | None
    ) -> Embeddings:
        """Unit-length embeddings (N, D) of N texts under one instruction."""


class CachingEncoder:
    """Encodes each (instruction, text) once, over all tasks of a run.

    Tasks built from the same corpus share many texts, and mteb encodes repeats within a task too. What is asked for in
    large numbers is not kept: a corpus of millions passes through, a chunk in memory at a time.

    Attributes:
        revision: the encoder's; what is kept is of no other.
        encoded: texts that went through the model.
        hits: texts that did not have to.
        truncation: task -> how many of the texts that it asked for, repeats included, were cut; no matter for which
            task they were encoded.
    """

    def __init__(
        self, encoder: TextEncoder, *, batch_size: int, max_entries: int = 200_000, max_kept_at_once: int = 5_000
    ) -> None:
        """Wrap an encoder.

        Args:
            encoder: the model; the cache belongs to it alone.
            batch_size: texts a forward pass.
            max_entries: embeddings kept (200,000 of 768 dimensions are 0.6 GB); the cache is emptied when full.
            max_kept_at_once: a call with more new texts than this is answered and forgotten.
        """
        self.encoder = encoder
        self.revision = encoder.revision
        self.batch_size = batch_size
        self.max_entries = max_entries
        self.max_kept_at_once = max_kept_at_once
        self.encoded = 0
        self.hits = 0
        self._threads = torch.get_num_threads()  # tasks are scored with one thread, texts encoded with all
        self._embeddings: dict[tuple[str, str], Embeddings] = {}
        self._cut: dict[tuple[str, str], int] = {}  # of those kept, the ones that were cut
        self.truncation: dict[str, Truncation] = {}

    def encode(self, texts: Sequence[str], instruction: str, *, task: str) -> Embeddings:
        """Unit-length embeddings (N, D) float32, row i of text i.

        Raises:
            EvaluationError: if an embedding has a value that is not finite; the message names task and row.
        """
        new = [text for text in dict.fromkeys(texts) if (instruction, text) not in self._embeddings]
        self.encoded += len(new)
        self.hits += len(texts) - len(new)
        if len(new) == len(texts) > self.max_kept_at_once:
            embeddings, cuts = self._encode(new, instruction, texts, task)
            self._count(task, cuts)
            return embeddings
        known, cut = self._embeddings, self._cut
        if len(known) + len(new) > self.max_entries:
            known = {(instruction, t): known[instruction, t] for t in texts if (instruction, t) in known}
            cut = {key: kind for key, kind in cut.items() if key in known}
        fresh: dict[str, Embeddings] = {}
        fresh_cut: dict[str, int] = {}
        if new:
            embeddings, cuts = self._encode(new, instruction, texts, task)
            fresh = dict(zip(new, embeddings, strict=True))
            fresh_cut = {text: kind for text, kind in zip(new, cuts, strict=True) if kind}
        if len(new) <= self.max_kept_at_once:
            known.update(((instruction, text), row) for text, row in fresh.items())
            cut.update(((instruction, text), kind) for text, kind in fresh_cut.items())
        self._embeddings, self._cut = known, cut
        self._count(task, [fresh_cut.get(text) or cut.get((instruction, text), 0) for text in texts])
        return np.stack([fresh[text] if text in fresh else known[instruction, text] for text in texts])

    def _count(self, task: str, cuts: Sequence[int]) -> None:
        self.truncation[task] = self.truncation.get(task, Truncation()) + Truncation.of(cuts)

    def _encode(
        self, new: Sequence[str], instruction: str, texts: Sequence[str], task: str
    ) -> tuple[Embeddings, Sequence[int]]:
        """Embeddings of ``new``, some of ``texts``, and how each was cut."""
        try:
            with threadpool_limits(self._threads), cuts_kept() as kept:
                rows = self.encoder.encode(new, instruction, batch_size=self.batch_size, show_progress_bar=False)
        except OneEmbedderError as error:
            raise EvaluationError(f"task {task}, among its texts not encoded before: {error}") from error
        _check_finite(rows, new, texts, task)
        return rows, [cut for cuts in kept for cut in cuts.tolist()] or [0] * len(new)


def _check_finite(embeddings: Embeddings, encoded: Sequence[str], texts: Sequence[str], task: str) -> None:
    broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(broken):
        text = encoded[broken[0]]
        raise EvaluationError(
            f"task {task}: the embedding of row {texts.index(text) + 1} is not finite ({len(broken)} of {len(encoded)} "
            f"are not; the text begins {text[:60]!r}); check the checkpoint, and the precision it is run in"
        )


class MtebEncoder(AbsEncoder):
    """One task's view of the encoder.

    mteb's own choice of instructions is bypassed: a model without any would silently be given mteb's generic prompt of
    the category, which is neither the paper's baseline nor its method.
    """

    mteb_model_meta: ModelMeta

    def __init__(self, encoder: CachingEncoder, instructions: TaskInstructions, *, name: str) -> None:
        """Make mteb's encoder for a task.

        Args:
            encoder: shared by all tasks.
            instructions: of this task.
            name: of the model, for mteb's result files.
        """
        self.encoder = encoder
        self.instructions = instructions
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": name,
                "revision": encoder.revision,
                "similarity_fn_name": ScoringFunction.COSINE,
                "use_instructions": True,
                "framework": ["PyTorch"],
            }
        )

    def encode(
        self,
        inputs: DataLoader[BatchedInput],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> Embeddings:
        """Embeddings (N, D) of all texts of ``inputs``; documents get the document instruction, others the query's."""
        is_document = prompt_type == PromptType.document
        instruction = self.instructions.document if is_document else self.instructions.query
        texts = [text for batch in inputs for text in batch["text"]]
        return self.encoder.encode(texts, instruction, task=task_metadata.name)
