"""One task with one encoder -> its score and the fields of its result file."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from mteb.results import TaskResult

from one_embedder.encoder.truncation import Truncation
from one_embedder.errors import EvaluationError
from one_embedder.evaluation.benchmarks import METRICS, TaskScore
from one_embedder.evaluation.encoder import CachingEncoder, MtebEncoder
from one_embedder.evaluation.items import ItemScores
from one_embedder.evaluation.prompt_retrieval.protocol import PromptProtocol
from one_embedder.evaluation.prompt_retrieval.score import score_prompt_retrieval
from one_embedder.evaluation.resampling import CONFIDENCE, RESAMPLES, item_interval
from one_embedder.evaluation.results import OURS, RECOMPUTED_WITHIN, OwnScore
from one_embedder.evaluation.task_instructions import TaskInstructions
from one_embedder.evaluation.tasks.chosen import Task
from one_embedder.evaluation.tasks.folder import TaskFolder
from one_embedder.evaluation.tasks.folder_mteb import SPLIT, TASKS
from one_embedder.evaluation.tasks.registry import HubTask, open_hub_task
from one_embedder.evaluation.tasks.text_evaluation import score_text_evaluation


@dataclass(frozen=True)
class Scorer:
    """Scores tasks with one encoder.

    Attributes:
        encoder: shared by all tasks.
        model_name: for mteb's result files.
        prompts: how prompt retrieval is done; None where there is none of it.
    """

    encoder: CachingEncoder
    model_name: str
    prompts: PromptProtocol | None

    def score(self, task: Task, instructions: TaskInstructions) -> tuple[TaskScore, dict[str, Any]]:
        """Evaluate one task.

        Returns:
            The score, and mteb's fields for the result file; ours say how many texts were cut.

        Raises:
            DataError: if the task's data is unusable, or cannot be had from the hub.
            EvaluationError: if an embedding or the score is not finite, or the items do not make up the score.
        """
        began = time.monotonic()
        self.encoder.truncation.pop(task.name, None)  # of a try that failed
        if isinstance(task, HubTask) or task.category in TASKS:
            reported, items, fields = self._with_mteb(task, instructions, began)
        else:
            own = self._ourselves(task, instructions)
            items, reported = own.items, own.items.score()
            _check(task, reported, reported)
            fields = _own_fields(task, reported, time.monotonic() - began, own)
        _check(task, reported, items.score())
        truncation = asdict(self.encoder.truncation.get(task.name, Truncation()))
        fields = {**fields, OURS: {**fields.get(OURS, {}), "truncation": truncation}}
        return TaskScore(task.name, task.category, METRICS[task.category], reported, items), fields

    def _with_mteb(
        self, task: Task, instructions: TaskInstructions, began: float
    ) -> tuple[float, ItemScores, dict[str, Any]]:
        opened = open_hub_task(task) if isinstance(task, HubTask) else TASKS[task.category](task)
        model = MtebEncoder(self.encoder, instructions, name=self.model_name)
        scores, items = opened.run(model, {"batch_size": self.encoder.batch_size, "show_progress_bar": False})
        result = TaskResult.from_task_results(opened, {opened.split: scores}, evaluation_time=time.monotonic() - began)
        return float(result.get_score()), items, result.to_dict()

    def _ourselves(self, folder: TaskFolder, instructions: TaskInstructions) -> OwnScore:
        if folder.category == "TextEvaluation":
            return score_text_evaluation(folder, self.encoder, instructions)
        if self.prompts is None:
            raise EvaluationError(f"task {folder.name}: no protocol for prompt retrieval was given")
        return score_prompt_retrieval(folder, self.encoder, instructions, self.prompts)


def _own_fields(folder: TaskFolder, reported: float, seconds: float, own: OwnScore) -> dict[str, Any]:
    """The fields that mteb would write, for a category that it does not know, and ours."""
    interval = item_interval(own.items)
    return {
        "dataset_revision": folder.sha256,
        "task_name": folder.name,
        "mteb_version": version("mteb"),
        "scores": {
            SPLIT: [
                {
                    METRICS[folder.category]: reported,
                    "main_score": reported,
                    "hf_subset": "default",
                    "languages": ["eng-Latn"],
                }
            ]
        },
        "evaluation_time": seconds,
        "kg_co2_emissions": None,
        OURS: {
            "interval": {
                "low": interval.low,
                "high": interval.high,
                "confidence": CONFIDENCE,
                "resamples": RESAMPLES,
            },
            **own.details,
        },
    }


def _check(task: Task, reported: float, recomputed: float) -> None:
    if not math.isfinite(reported):
        raise EvaluationError(f"task {task.name}: the score is {reported}; its data leave it undefined")
    if abs(reported - recomputed) > RECOMPUTED_WITHIN:
        raise EvaluationError(
            f"task {task.name}: the items give {recomputed}, mteb reports {reported}; this mteb version computes the "
            "score differently, pin the locked one"
        )
