"""How likely a causal language model finds each of several answers after a prompt, which it reads once for all."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

Tokens = Sequence[int]


def mean_log_likelihoods(
    model: Any, prompts: Sequence[Tokens], answers: Sequence[Sequence[Tokens]], *, padding: int, at_once: int
) -> list[list[float]]:
    """Mean log-likelihood a token of each answer after its prompt, in nats.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        prompts: tokens of each prompt, at least one.
        answers: for each prompt the tokens of its answers, at least one each.
        padding: any token; it is masked.
        at_once: answers in memory together, each with a copy of what the model keeps of its prompt.
    """
    scores: list[list[float]] = [[] for _ in prompts]
    for rows in by_length([len(prompt) for prompt in prompts], [len(own) for own in answers], at_once):
        group = _group(model, [prompts[row] for row in rows], [answers[row] for row in rows], padding, at_once)
        for row, own in zip(rows, group, strict=True):
            scores[row] = own
    return scores


def by_length(lengths: Sequence[int], sizes: Sequence[int], at_once: int) -> Iterator[list[int]]:
    """Rows of similar length together, the longest first: what does not fit in memory fails at once.

    Args:
        lengths: of each row.
        sizes: what each row counts.
        at_once: what the rows of one group count together; a row that counts more stands alone.
    """
    group: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if group and sum(sizes[other] for other in group) + sizes[row] > at_once:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def padded(rows: Sequence[Tokens], padding: int, device: torch.device, *, left: bool) -> tuple[torch.Tensor, ...]:
    """Tokens and mask of ``rows``, (B, L) integers each, padded on the left or on the right."""
    length = max(map(len, rows))
    tokens = torch.full((len(rows), length), padding, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, own in enumerate(rows):
        place = slice(length - len(own), None) if left else slice(len(own))
        tokens[row, place] = torch.tensor(own, dtype=torch.long)
        mask[row, place] = 1
    return tokens.to(device), mask.to(device)


@torch.inference_mode()
def _group(
    model: Any, prompts: Sequence[Tokens], answers: Sequence[Sequence[Tokens]], padding: int, at_once: int
) -> list[list[float]]:
    """The scores of prompts that are in memory together."""
    owned = [(row, answer) for row, own in enumerate(answers) for answer in own]
    read = _read(model, prompts, padding)
    means: list[float] = []
    for start in range(0, len(owned), at_once):
        owners, some = zip(*owned[start : start + at_once], strict=True)
        tokens, mask = padded(some, padding, model.device, left=False)  # (A, T)
        if read is None:
            logits = _after_own_prompts(model, [prompts[owner] for owner in owners], some, padding)
        else:
            logits = _after(model, read, torch.tensor(owners, device=model.device), tokens, mask)
        likelihoods = logits.float().log_softmax(dim=-1).gather(-1, tokens[..., None])[..., 0]  # (A, T)
        means += (torch.where(mask.bool(), likelihoods, 0.0).sum(dim=1) / mask.sum(dim=1)).tolist()
    scores = iter(means)
    return [[next(scores) for _ in own] for own in answers]


@dataclass(frozen=True)
class _Read:
    """Prompts that were read: the logits after each, (P, 1, V), what attention keeps of them, their mask, (P, L)."""

    logits: torch.Tensor
    cache: Any
    mask: torch.Tensor


def _read(model: Any, prompts: Sequence[Tokens], padding: int) -> _Read | None:
    """Read all prompts; None for a model that keeps something else, which cannot be handed to several answers."""
    tokens, mask = padded(prompts, padding, model.device, left=True)
    output = _forward(model, tokens, mask, use_cache=True, logits_to_keep=1)
    cache = getattr(output, "past_key_values", None)
    if not all(hasattr(layer, "batch_select_indices") for layer in getattr(cache, "layers", [None])):
        return None
    return _Read(output.logits[:, -1:], cache, mask)


def _after(model: Any, read: _Read, owners: torch.Tensor, answers: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(A, T, V) logits of the answers' tokens, each read after what is kept of its prompt."""
    first = read.logits[owners]
    if answers.shape[1] == 1:
        return first
    cache = deepcopy(read.cache)
    cache.batch_select_indices(owners)
    seen = torch.cat([read.mask[owners], mask[:, :-1]], dim=1)
    others = _forward(model, answers[:, :-1], seen, use_cache=True, past_key_values=cache).logits
    return torch.cat([first, others], dim=1)


def _after_own_prompts(model: Any, prompts: Sequence[Tokens], answers: Sequence[Tokens], padding: int) -> torch.Tensor:
    """(A, T, V) logits of the answers' tokens, each read with its own prompt."""
    rows = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    tokens, mask = padded(rows, padding, model.device, left=False)
    logits = _forward(model, tokens, mask, use_cache=False).logits  # (A, L, V)
    before = torch.tensor([[len(prompt) - 1] for prompt in prompts])
    places = (before + torch.arange(max(map(len, answers)))).clamp(max=tokens.shape[1] - 1).to(model.device)
    chosen: torch.Tensor = logits.gather(1, places[..., None].expand(-1, -1, logits.shape[-1]))
    return chosen


def _forward(model: Any, tokens: torch.Tensor, mask: torch.Tensor, **arguments: Any) -> Any:
    """The model's output for ``tokens``, the last columns of what ``mask`` covers; padding takes no position."""
    places = {"position_ids": (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :]}
    accepted = inspect.signature(model.forward).parameters
    optional = {name: value for name, value in (places | arguments).items() if name in accepted}
    return model(input_ids=tokens, attention_mask=mask, **optional)
