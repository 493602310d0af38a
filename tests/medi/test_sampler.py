from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.batches.sampler import SameTaskBatchSampler

TASKS = [0] * 10 + [7] * 25 + [3] * 3 + [9] * 8


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], int, int, int, int]:
    """Task ids in any order, per-rank size, world size, seed, epoch; at least one task fills a batch."""
    world_size = draw(st.integers(1, 4))
    per_rank = draw(st.integers(1, 4))
    task_ids = draw(st.lists(st.integers(0, 5), max_size=60)) + [6] * (per_rank * world_size)
    return draw(st.permutations(task_ids)), per_rank, world_size, draw(st.integers(0, 9)), draw(st.integers(0, 9))


def rank_batches(layout: tuple[list[int], int, int, int, int]) -> list[list[list[int]]]:
    task_ids, per_rank, world_size, seed, epoch = layout
    ranks = []
    for rank in range(world_size):
        sampler = SameTaskBatchSampler(task_ids, per_rank * world_size, rank=rank, world_size=world_size, seed=seed)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        ranks.append(batches)
    return ranks


@given(layouts())
@settings(max_examples=60, deadline=None)
def test_each_global_batch_is_one_task_of_exact_size_and_no_row_comes_twice(
    layout: tuple[list[int], int, int, int, int],
) -> None:
    task_ids, per_rank, world_size, _, _ = layout
    ranks = rank_batches(layout)
    assert len({len(batches) for batches in ranks}) == 1
    seen: list[int] = []
    for parts in zip(*ranks, strict=True):
        assert [len(part) for part in parts] == [per_rank] * world_size
        rows = list(itertools.chain(*parts))
        assert len({task_ids[row] for row in rows}) == 1
        seen.extend(rows)
    assert len(seen) == len(set(seen)) > 0


@given(layouts())
@settings(max_examples=40, deadline=None)
def test_only_the_remainder_of_each_task_is_left_out_and_the_summary_says_so(
    layout: tuple[list[int], int, int, int, int],
) -> None:
    task_ids, per_rank, world_size, seed, _ = layout
    size = per_rank * world_size
    shown = set(itertools.chain.from_iterable(itertools.chain.from_iterable(rank_batches(layout))))
    shares = SameTaskBatchSampler(task_ids, size, seed=seed).summary()
    assert [share.task_id for share in shares] == sorted(set(task_ids))
    for share in shares:
        rows = [row for row, task in enumerate(task_ids) if task == share.task_id]
        assert share.rows == len(rows)
        assert share.left_out == len(rows) - len(shown.intersection(rows)) == len(rows) % size
        assert share.batches == len(rows) // size


@given(layouts(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_pass_resumed_anywhere_gives_exactly_the_rest(
    layout: tuple[list[int], int, int, int, int], data: st.DataObject
) -> None:
    task_ids, per_rank, _, seed, epoch = layout
    straight = SameTaskBatchSampler(task_ids, per_rank, seed=seed)
    straight.set_epoch(epoch)
    done = data.draw(st.integers(0, len(straight)))
    batches = iter(straight)
    for _ in range(done):
        next(batches)
    state = straight.state_dict()
    rest = list(batches)
    resumed = SameTaskBatchSampler(task_ids, per_rank, seed=seed)
    resumed.load_state_dict(state)
    resumed.set_epoch(epoch + (not rest))  # Lightning announces the epoch after restoring; a finished one is over
    if rest:
        assert list(resumed) == rest
    straight.set_epoch(epoch + 1)
    resumed.set_epoch(epoch + 1)
    assert list(resumed) == list(straight)
    assert len(list(resumed)) == len(resumed)


def test_order_changes_with_epoch_and_seed_and_repeats_for_the_same() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = SameTaskBatchSampler(TASKS, 4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_batch_mates_change_with_the_epoch() -> None:
    sampler = SameTaskBatchSampler(TASKS, 4, seed=0)
    first = {frozenset(batch) for batch in sampler}
    sampler.set_epoch(1)
    assert len(first & {frozenset(batch) for batch in sampler}) < len(first) / 2


def test_every_pass_without_a_resume_is_whole() -> None:
    sampler = SameTaskBatchSampler(TASKS, 4)
    next(iter(sampler))
    assert len(list(sampler)) == len(list(sampler)) == len(sampler)


def test_a_task_smaller_than_the_batch_is_left_out_and_listed() -> None:
    sampler = SameTaskBatchSampler(TASKS, 4)
    small = [share for share in sampler.summary() if not share.batches]
    assert [(share.task_id, share.rows, share.left_out) for share in small] == [(3, 3, 3)]
    assert not {row for batch in sampler for row in batch} & set(range(35, 38))


def test_lightning_finds_set_epoch_on_the_sampler_attribute() -> None:
    sampler = SameTaskBatchSampler(TASKS, 4)
    assert sampler.sampler is sampler


@pytest.mark.parametrize("task_ids", [[], [1], [1, 2, 3]])
def test_no_task_that_fills_a_batch_is_an_error_with_a_remedy(task_ids: list[int]) -> None:
    with pytest.raises(DataError, match=r"lower sampler\.global_batch_size"):
        SameTaskBatchSampler(task_ids, 2)


def test_sizes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be shared by 3 devices"):
        SameTaskBatchSampler(TASKS, 4, world_size=3)
    with pytest.raises(ConfigError, match="global_batch_size=0"):
        SameTaskBatchSampler(TASKS, 0)
    with pytest.raises(ConfigError, match="rank 2"):
        SameTaskBatchSampler(TASKS, 4, rank=2, world_size=2)
    with pytest.raises(ConfigError, match="seed"):
        SameTaskBatchSampler(TASKS, 4, seed=-1)
