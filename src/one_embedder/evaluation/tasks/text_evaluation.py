"""Billboard: an embedding as a metric of generated text.

A hypothesis scores its highest cosine similarity to any of its references; the task's main score is the Pearson
correlation of these scores with human ones, over all hypotheses (Kasai et al., Billboard; paper, appendix B.3). Where
the hypotheses say which system wrote them, the result has the figures of each system too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from one_embedder.errors import DataError
from one_embedder.evaluation.encoder import CachingEncoder, Embeddings
from one_embedder.evaluation.items import ItemScores, item_ids
from one_embedder.evaluation.results import OwnScore
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.evaluation.tasks.folder import TaskFolder
from one_embedder.files.json_lines import JsonLines

SYSTEM = "SYS"
"""The field that names a hypothesis's system, as THumB's files spell it."""


def score_text_evaluation(folder: TaskFolder, encoder: CachingEncoder, instructions: TaskInstructions) -> OwnScore:
    """The metric's and the human score of each hypothesis; what is known of each system.

    Hypotheses and references share one instruction.

    Raises:
        DataError: if a file or field is unusable, hypotheses and references do not belong together, or all human
            scores are equal.
    """
    hypotheses, references = JsonLines.read(folder.path, "hyps"), JsonLines.read(folder.path, "references")
    known, segments = references.ids("seg_id"), hypotheses.keys("seg_id")
    refs = dict(zip(known, references.text_lists("refs"), strict=True))
    _check_match(hypotheses, segments, references, known)
    systems = _systems(hypotheses, segments)
    human = np.array(hypotheses.numbers("human_score"))
    if human.min() == human.max():
        raise DataError(f"{hypotheses.path}: every human_score is {human[0]}; a correlation needs different values")
    texts = hypotheses.texts("hyp")
    hyps = encoder.encode(texts, instructions.query, task=folder.name)
    flat = encoder.encode([ref for texts in refs.values() for ref in texts], instructions.query, task=folder.name)
    predicted = _best_reference(hyps, segments, _by_segment(refs, flat))
    details = {} if systems is None else system_figures(systems, predicted, human)
    items = ItemScores("pearson", {"predicted": predicted, "gold": human}, item_ids(segments, texts, human.tolist()))
    return OwnScore(items, details)


def system_figures(systems: Sequence[str], predicted: np.ndarray, human: np.ndarray) -> dict[str, Any]:
    """How the metric sees each system, and how well it ranks them.

    Args:
        systems: (N,) which system wrote each hypothesis.
        predicted: (N,) the metric's scores, cosines.
        human: (N,) the human scores, on their own scale.

    Returns:
        ``systems``: name -> number of hypotheses, mean of either score, and Pearson over its own hypotheses (nan if
        one side is constant); ``system_pearson``: Pearson of the systems' means, nan for fewer than three systems, of
        which any two correlate perfectly.
    """
    names = np.array(systems)
    figures = {}
    for system in dict.fromkeys(systems):
        own = names == system
        figures[system] = {
            "hypotheses": int(own.sum()),
            "mean_score": float(predicted[own].mean()),
            "mean_human_score": float(human[own].mean()),
            "pearson": _pearson(predicted[own], human[own]),
        }
    means = [[figure[key] for figure in figures.values()] for key in ("mean_score", "mean_human_score")]
    between = _pearson(np.array(means[0]), np.array(means[1])) if len(figures) > 2 else float("nan")
    return {"system_pearson": between, "systems": figures}


def _pearson(predicted: np.ndarray, human: np.ndarray) -> float:
    return ItemScores("pearson", {"predicted": predicted, "gold": human}).score()


def _check_match(hypotheses: JsonLines, segments: Sequence[str], references: JsonLines, known: Sequence[str]) -> None:
    """Refuse files of different data, or of which one is cut off: the correlation would be over an unknown part."""
    referenced, judged = set(known), set(segments)
    for row, segment in enumerate(segments):
        if segment not in referenced:
            raise hypotheses.error(
                row, f"seg_id {segment!r} is not in {references.path.name}, which has {len(known)} segments"
            )
    for row, segment in enumerate(known):
        if segment not in judged:
            raise references.error(
                row, f"seg_id {segment!r} has no hypothesis in {hypotheses.path.name}; complete it or remove the row"
            )


def _systems(hypotheses: JsonLines, segments: Sequence[str]) -> list[str] | None:
    """The system of each hypothesis; None where the file does not say."""
    if not any(SYSTEM in row for row in hypotheses.rows):
        return None
    systems = hypotheses.texts(SYSTEM)
    seen: set[tuple[str, str]] = set()
    for row, pair in enumerate(zip(systems, segments, strict=True)):
        if pair in seen:
            raise hypotheses.error(
                row, f"{SYSTEM} {pair[0]!r} has a second hypothesis for seg_id {pair[1]!r}; keep one"
            )
        seen.add(pair)
    return systems


def _by_segment(refs: Mapping[str, list[str]], embeddings: Embeddings) -> dict[str, Embeddings]:
    ends = np.cumsum([len(texts) for texts in refs.values()])
    return dict(zip(refs, np.split(embeddings, ends[:-1]), strict=True))


def _best_reference(hyps: Embeddings, segments: Sequence[str], refs: Mapping[str, Embeddings]) -> np.ndarray:
    """(N,) highest cosine of each hypothesis (N, D) to the references (R, D) of its segment."""
    return np.array([(refs[segment] @ hyp).max() for segment, hyp in zip(segments, hyps, strict=True)])
