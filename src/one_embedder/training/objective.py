"""What a training minimizes: INSTRUCTOR's contrastive loss, or a class that ``conf/loss`` names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from one_embedder.config.own_class import made
from one_embedder.config.schema import LossConfig
from one_embedder.errors import ConfigError
from one_embedder.training.gather import gather_sides
from one_embedder.training.loss import Comparison, ContrastiveLoss, Sides
from one_embedder.training.temperature import LearnedTemperature


def _nothing() -> Mapping[str, Tensor]:
    return {}


@dataclass(frozen=True)
class LossValue:
    """A batch's loss, with what is logged beside it.

    Attributes:
        loss: scalar, with its gradient.
        metrics: name -> scalar; called at steps that are logged only.
        similarities: name -> one-dimensional, shown as histograms; called as ``metrics``.
    """

    loss: Tensor
    metrics: Callable[[], Mapping[str, Tensor]] = _nothing
    similarities: Callable[[], Mapping[str, Tensor]] = _nothing


class Loss(nn.Module, ABC):
    """A loss over one same-task batch.

    Attributes:
        needs_negatives: False: batches come without the rows' own negatives, and none are embedded.
        needs_other_queries: True: batches also hold each query's text under another task's instruction.
    """

    needs_negatives: bool = True
    needs_other_queries: bool = False

    @abstractmethod
    def forward(self, batch: Sides) -> Tensor | LossValue:
        """The loss of this process's rows, in full precision; a scalar, or one with its metrics."""


class InstructorLoss(Loss):
    """INSTRUCTOR's loss as the configuration wants it: who is compared with whom, where, and at which temperature."""

    def __init__(self, **settings: Any) -> None:
        """Set up; arguments are the fields of ``LossConfig``.

        Raises:
            ConfigError: a temperature out of range.
        """
        super().__init__()
        self.settings = LossConfig(**settings)
        if self.settings.temperature <= 0:
            raise ConfigError(f"loss.temperature must be > 0, got {self.settings.temperature}")
        self.contrast = ContrastiveLoss.of(self.settings)
        self.needs_negatives = self.settings.hard_negatives
        self.needs_other_queries = self.settings.other_instruction_negatives
        learns = self.settings.learn_temperature
        self.learned_temperature = LearnedTemperature(self.settings.temperature) if learns else None

    def forward(self, batch: Sides) -> LossValue:
        """Cross entropy of finding the own one in each direction; a learned temperature is logged too."""
        compared = self.compare(batch)
        if self.learned_temperature is None:
            temperature: float | Tensor = self.settings.temperature
        else:
            self.learned_temperature.clamp()
            temperature = self.learned_temperature()
        metrics = partial(_metrics, compared, temperature)
        return LossValue(compared.loss(temperature), metrics, compared.similarities)

    def compare(self, own: Sides) -> Comparison:
        """Similarities of this process's rows to their candidates, with ``gather_negatives`` those of every process."""
        own = replace(
            own,
            texts=own.texts if self.contrast.mask_same_text else None,
            labels=own.labels if self.contrast.mask_same_label else None,
        )
        return self.contrast.compare(own, *(gather_sides(own) if self.settings.gather_negatives else ()))


def objective(settings: LossConfig | Mapping[str, Any]) -> Loss:
    """The configured loss.

    Args:
        settings: of ours, or ``_target_`` and the arguments of another class.

    Raises:
        ConfigError: settings that the class refuses, or a class that is no ``Loss``.
    """
    loss: Loss = made("loss", asdict(settings) if isinstance(settings, LossConfig) else settings, Loss)
    return loss


def _metrics(compared: Comparison, temperature: float | Tensor) -> Mapping[str, Tensor]:
    metrics = compared.metrics(temperature)
    return {**metrics, "temperature": temperature.detach()} if isinstance(temperature, Tensor) else metrics
