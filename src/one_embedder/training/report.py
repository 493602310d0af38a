"""What a run says before it starts: the answers to the questions that are asked most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from one_embedder.config.schema import Config
from one_embedder.medi.sampler import TaskShare
from one_embedder.training.loss import ContrastiveLoss


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
    per_device = cfg.sampler.global_batch_size // world_size
    rows = cfg.sampler.global_batch_size if cfg.loss.gather_negatives else per_device
    return {
        "global": cfg.sampler.global_batch_size,
        "per_device": per_device,
        "mini": cfg.trainer.mini_batch_size,
        "accumulated": cfg.trainer.accumulate_grad_batches,
        "queries_per_positive": rows if cfg.loss.bidirectional else 0,
        "candidates_per_query": ContrastiveLoss.of(cfg.loss).candidates_per_query(rows, negatives_per_row),
    }


def _task_lines(shares: Sequence[TaskShare], names: Mapping[int, str]) -> list[str]:
    every = f"{len(shares)} tasks"
    width = max(len(every), *(len(names.get(share.task_id, "")) for share in shares))
    lines = [f"{'id':>6}  {'task':<{width}}  {'rows':>9}  {'batches':>8}  {'left out':>8}"]
    for share in shares:
        never = "  never seen: fewer rows than a batch" if not share.batches else ""
        lines.append(_task_line(f"{share.task_id}", names.get(share.task_id, ""), width, share) + never)
    total = TaskShare(
        task_id=-1,
        rows=sum(share.rows for share in shares),
        batches=sum(share.batches for share in shares),
        left_out=sum(share.left_out for share in shares),
    )
    return [*lines, _task_line("all", every, width, total)]


def _task_line(number: str, name: str, width: int, share: TaskShare) -> str:
    return f"{number:>6}  {name:<{width}}  {share.rows:>9}  {share.batches:>8}  {share.left_out:>8}"


def _batch_lines(
    cfg: Config, shares: Sequence[TaskShare], facts: Mapping[str, int | None], world_size: int
) -> list[str]:
    batches = sum(share.batches for share in shares)
    steps, accumulated = cfg.trainer.max_steps, cfg.trainer.accumulate_grad_batches
    reverse = f"{facts['queries_per_positive']} per positive" if cfg.loss.bidirectional else "one direction only"
    chunks = "" if facts["mini"] is None else f"; {facts['mini']} texts embedded at a time"
    several = "" if accumulated == 1 else f" x {accumulated} batches a step"
    return [
        f"batch: {facts['global']} rows of one task, {facts['per_device']} on each of {world_size} device(s); "
        f"{facts['candidates_per_query']} candidates per query, {reverse} "
        f"(loss {cfg.loss.spelling}, temperature {cfg.loss.temperature}{', learned' * cfg.loss.learn_temperature})"
        + chunks,
        f"steps: {steps}{several} = {steps * accumulated / batches:.2f} epochs of {batches} batches; "
        "rows left out change with the epoch",
    ]
