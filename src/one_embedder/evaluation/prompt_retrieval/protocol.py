"""How the configuration wants prompt retrieval done: each task's settings, and the learner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from one_embedder.config.own_class import made
from one_embedder.config.schema import Config, PromptTaskConfig
from one_embedder.evaluation.prompt_retrieval.learners import InContextLearner, NearestLearner, VoteLearner


@dataclass(frozen=True)
class PromptProtocol:
    """What all prompt retrieval tasks of a run share.

    Attributes:
        learner: answers the questions of every task.
        tasks: task name -> its settings.
        default: the settings of every other task.
        centring: what all tasks are to do; None: as each says.
        metric: what all outputs are scored by.
        selection: of demonstrations: ``similar`` or ``random``.
    """

    learner: InContextLearner
    tasks: Mapping[str, PromptTaskConfig]
    default: PromptTaskConfig
    centring: str | None = None
    metric: str = "rouge_l"
    selection: str = "similar"

    @classmethod
    def of(cls, cfg: Config) -> PromptProtocol:
        """The protocol that ``cfg`` asks for.

        Raises:
            CheckpointError: if its language model cannot be found.
        """
        prompts = cfg.prompt_retrieval
        default = PromptTaskConfig(max_demonstrations=cfg.evaluation.demonstrations)
        return cls(_learner(cfg), prompts.tasks, default, prompts.centring, prompts.metric, prompts.selection)

    def settings(self, task: str) -> PromptTaskConfig:
        """The settings of one task."""
        own = self.tasks.get(task, self.default)
        return own if self.centring is None else replace(own, centring=self.centring)

    def identity(self, task: str) -> dict[str, Any]:
        """Everything that a task's result depends on besides encoder, instructions and data."""
        facts = {"settings": asdict(self.settings(task)), "learner": dict(self.learner.identity)}
        shared = {"metric": (self.metric, "rouge_l"), "selection": (self.selection, "similar")}
        return facts | {name: value for name, (value, default) in shared.items() if value != default}


def _learner(cfg: Config) -> InContextLearner:
    chosen = cfg.prompt_retrieval.learner
    if not isinstance(chosen, str):
        learner: InContextLearner = made("prompt_retrieval.learner", chosen, InContextLearner)
        learner.made_from = dict(chosen)
        return learner
    if chosen == "model":
        from one_embedder.evaluation.prompt_retrieval.language_model import LanguageModelLearner

        return LanguageModelLearner(cfg.prompt_retrieval.model)
    return VoteLearner() if chosen == "vote" else NearestLearner()
