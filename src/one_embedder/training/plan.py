"""What a run says before it starts: the answers to the questions that are asked most."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from one_embedder.config.own_class import class_name
from one_embedder.config.schema import Config, LossConfig
from one_embedder.medi.batches.strategies import TaskShare
from one_embedder.training.loss import ContrastiveLoss

TASK_TABLE = "tasks.csv"
_MOST_LINES = 40  # tasks that a screen can show; more are in the run folder's TASK_TABLE
_MOST_SENTENCES = 10
_LEFT_OUT = {
    "proportional": "rows left out change with the epoch",
    "released": "the same rows are left out in every epoch",
    "mixed": "rows left out change with the epoch; batches and rows left out of a task are means",
}
_OF_THE_FIRST_EPOCH = "batches and rows left out are those of the first epoch"
_LEFT_OUT_OF_PASSES = "batches of a task are means over epochs; left out: of each pass over a task's rows"


def start_report(
    cfg: Config,
    shares: Sequence[TaskShare],
    names: Mapping[int, str],
    *,
    facts: Mapping[str, int | None],
    world_size: int,
    notes: Sequence[str] = (),
) -> str:
    """Tasks and batches, candidates per query, steps and epochs, as lines of text.

    Args:
        cfg: the configuration.
        shares: the sampler's summary.
        names: task id -> name.
        facts: the batch, as ``batch_facts`` gives it.
        world_size: processes that share a batch.
        notes: further lines (encoder, precision).
    """
    return "\n".join(
        ["training plan", *_task_lines(shares, names), *_batch_lines(cfg, shares, facts, world_size), *notes]
    )


def batch_facts(cfg: Config, world_size: int, negatives_per_row: int = 1) -> dict[str, int | None]:
    """Batch sizes and candidates, for the run record.

    Args:
        cfg: the configuration.
        world_size: processes that share a batch. Negatives come from a device's own rows, or with
            ``loss.gather_negatives`` from all of them.
        negatives_per_row: the most hard negatives that a row has.
    """
    size, loss = cfg.sampler.global_batch_size, cfg.loss
    facts: dict[str, int | None] = {
        "global": size,
        "per_device": size // world_size,
        "mini": cfg.trainer.mini_batch_size,
        "accumulated": cfg.trainer.accumulate_grad_batches,
    }
    if not isinstance(loss, LossConfig):  # what another class compares, it alone knows
        return facts | {"queries_per_positive": None, "candidates_per_query": None}
    rows = size if loss.gather_negatives else size // world_size
    return facts | {
        "queries_per_positive": rows + loss.other_instruction_negatives if loss.bidirectional else 0,
        "candidates_per_query": ContrastiveLoss.of(loss).candidates_per_query(rows, negatives_per_row),
    }


def rows_of(strategy: Any) -> str:
    """Who shares a batch, and how its task is drawn, in words; ``sampler.strategy`` as it is configured."""
    if strategy == "mixed":
        return "rows of all tasks"
    name = class_name(strategy)
    return ("rows" if name != strategy else "rows of one task") + (f" ({name})" if name != "proportional" else "")


def task_table(shares: Sequence[TaskShare], names: Mapping[int, str]) -> str:
    """Every task as CSV: what the plan leaves out when there are many."""
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(["task_id", "task_name", "rows", "batches_per_epoch", "share_of_batches", "left_out_per_pass"])
    total = sum(share.batches for share in shares)
    for share in shares:
        numbers = [_number(share.batches, 3), f"{share.batches / total:.6f}", _number(share.left_out, 3)]
        table.writerow([share.task_id, names.get(share.task_id, ""), share.rows, *numbers])
    return rows.getvalue()


def left_out_tasks(shares: Sequence[TaskShare], names: Mapping[int, str], batch_size: int) -> list[str]:
    """A sentence for each task that no batch shows, or one for all of them where they are many."""
    missing = [share for share in shares if not share.batches]
    if len(missing) > _MOST_SENTENCES:
        rows = sum(share.rows for share in missing)
        return [f"{len(missing)} tasks ({rows} rows) fill no batch of {batch_size}: left out, see {TASK_TABLE}"]
    reasons = {True: "fewer than a batch", False: "but no chunk of the fixed grid is its own"}
    return [
        f"task {share.task_id} ({names.get(share.task_id, '')}) has {share.rows} rows, "
        f"{reasons[share.rows < batch_size]}: left out"
        for share in missing
    ]


def _task_lines(shares: Sequence[TaskShare], names: Mapping[int, str]) -> list[str]:
    """The table: every task, or the largest and the smallest where they are many."""
    every = f"{len(shares)} tasks"
    shown, folded = _folded(shares)
    width = max(len(every), *(len(names.get(share.task_id, "")) for share in shown))
    total = sum(share.batches for share in shares)
    lines = [f"{'id':>6}  {'task':<{width}}  {'rows':>9}  {'batches':>9}  {'share':>7}  {'left out':>8}"]
    for share in shown:
        never = "  never seen: fills no batch" if not share.batches else ""
        lines.append(_task_line(f"{share.task_id}", names.get(share.task_id, ""), width, share, total) + never)
    if folded:
        others = f"{len(folded)} more, see {TASK_TABLE}"
        lines.insert(1 + _MOST_LINES // 2, _task_line("...", others, width, _sum(folded), total))
    return [*lines, _task_line("all", every, width, _sum(shares), total)]


def _folded(shares: Sequence[TaskShare]) -> tuple[list[TaskShare], list[TaskShare]]:
    """What is shown and what is not: all, by task id, or those with the most batches and those with the fewest."""
    if len(shares) <= _MOST_LINES:
        return list(shares), []
    ordered = sorted(shares, key=lambda share: (-share.batches, -share.rows, share.task_id))
    half = _MOST_LINES // 2
    return ordered[:half] + ordered[-half:], ordered[half:-half]


def _sum(shares: Sequence[TaskShare]) -> TaskShare:
    return TaskShare(
        task_id=-1,
        rows=sum(share.rows for share in shares),
        batches=sum(share.batches for share in shares),
        left_out=sum(share.left_out for share in shares),
    )


def _task_line(number: str, name: str, width: int, share: TaskShare, total: float) -> str:
    batches, left_out = _number(share.batches, 1), _number(share.left_out, 1)
    part = f"{share.batches / total:.2%}"
    return f"{number:>6}  {name:<{width}}  {share.rows:>9}  {batches:>9}  {part:>7}  {left_out:>8}"


def _number(value: float, digits: int) -> str:
    """Means over epochs have decimals, counts have none."""
    return f"{value:.{digits}f}" if abs(value - round(value)) > 1e-6 else f"{round(value)}"


def _batch_lines(
    cfg: Config, shares: Sequence[TaskShare], facts: Mapping[str, int | None], world_size: int
) -> list[str]:
    batches = round(sum(share.batches for share in shares))
    rows = rows_of(cfg.sampler.strategy)
    steps, accumulated = cfg.trainer.max_steps, cfg.trainer.accumulate_grad_batches
    chunks = "" if facts["mini"] is None else f"; {facts['mini']} texts embedded at a time"
    several, per_epoch = _several(accumulated, batches, by_lightning=facts["mini"] is None)
    return [
        f"batch: {facts['global']} {rows}, {facts['per_device']} on each of {world_size} device(s); "
        + _loss_told(cfg.loss, facts)
        + chunks,
        f"steps: {steps}{several} = {steps / per_epoch:.2f} epochs of {batches} batches; "
        + _left_out(cfg.sampler.strategy),
    ]


def _several(accumulated: int, batches: int, *, by_lightning: bool) -> tuple[str, float]:
    """How many batches make a step, in words, and steps of an epoch: Lightning ends a step with the epoch."""
    told = "" if accumulated == 1 else f" x {accumulated} batches a step"
    rest = batches % accumulated
    if not by_lightning or not rest:
        return told, batches / accumulated
    return f"{told} (the last of an epoch {rest})", batches // accumulated + 1


def _left_out(strategy: Any) -> str:
    return _LEFT_OUT.get(strategy, _LEFT_OUT_OF_PASSES) if isinstance(strategy, str) else _OF_THE_FIRST_EPOCH


def _loss_told(loss: LossConfig | Mapping[str, Any], facts: Mapping[str, int | None]) -> str:
    if not isinstance(loss, LossConfig):
        return f"loss {class_name(loss)}"
    reverse = f"{facts['queries_per_positive']} per positive" if loss.bidirectional else "one direction only"
    return (
        f"{facts['candidates_per_query']} candidates per query, {reverse} "
        f"(loss {loss.spelling}, temperature {loss.temperature}{', learned' * loss.learn_temperature})"
    )
