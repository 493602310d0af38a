"""Billboard: an embedding as a metric of generated text.

A hypothesis scores its highest cosine similarity to any of its references; the task's main score is the Pearson
correlation of these scores with human ones, over all hypotheses (Kasai et al., Billboard; paper, appendix B.3).
"""

from __future__ import annotations

import numpy as np

from one_embedder.errors import DataError
from one_embedder.evaluation.instructions import TaskInstructions
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.mteb_encoder import CachingEncoder, Embeddings
from one_embedder.evaluation.rows import JsonLines
from one_embedder.evaluation.task_folder import TaskFolder


def score_text_evaluation(folder: TaskFolder, encoder: CachingEncoder, instructions: TaskInstructions) -> ItemScores:
    """The metric's and the human score of each hypothesis.

    Hypotheses and references share one instruction.

    Raises:
        DataError: if a file or field is unusable, a hypothesis has no references, or all human scores are equal.
    """
    hypotheses, references = JsonLines.read(folder.path, "hyps"), JsonLines.read(folder.path, "references")
    refs = dict(zip(references.ids("seg_id"), references.text_lists("refs"), strict=True))
    segments = [str(segment) for segment in hypotheses.values("seg_id")]
    for row, segment in enumerate(segments):
        if segment not in refs:
            raise hypotheses.error(row, f"seg_id {segment!r} is not in {references.path.name}")
    human = np.array(hypotheses.numbers("human_score"))
    if human.min() == human.max():
        raise DataError(f"{hypotheses.path}: every human_score is {human[0]}; a correlation needs different values")
    hyps = encoder.encode(hypotheses.texts("hyp"), instructions.query, task=folder.name)
    flat = encoder.encode([ref for texts in refs.values() for ref in texts], instructions.query, task=folder.name)
    predicted = _best_reference(hyps, segments, _by_segment(refs, flat))
    return ItemScores("pearson", {"predicted": predicted, "gold": human})


def _by_segment(refs: dict[str, list[str]], embeddings: Embeddings) -> dict[str, Embeddings]:
    ends = np.cumsum([len(texts) for texts in refs.values()])
    return dict(zip(refs, np.split(embeddings, ends[:-1]), strict=True))


def _best_reference(hyps: Embeddings, segments: list[str], refs: dict[str, Embeddings]) -> np.ndarray:
    """(N,) highest cosine of each hypothesis (N, D) to the references (R, D) of its segment."""
    return np.array([(refs[segment] @ hyp).max() for segment, hyp in zip(segments, hyps, strict=True)])
