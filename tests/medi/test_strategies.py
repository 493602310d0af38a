from __future__ import annotations

import itertools
from collections import Counter
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_embedder.errors import ConfigError, DataError
from one_embedder.medi.batches.sampler import STRATEGIES, SameTaskBatchSampler, mixes_tasks
from one_embedder.medi.batches.strategies import Mixed, Proportional, Weighted
from tests.reference.released_batches import released_batches

TASKS = [0] * 40 + [7] * 100 + [3] * 3 + [9] * 17
SETTINGS: dict[str, dict[str, Any]] = {name: {"strategy": name} for name in STRATEGIES}
SETTINGS["temperature"]["temperature"] = 2.0
SETTINGS["capped"]["cap"] = 24
WEIGHTED = ("uniform", "temperature", "capped")


class Layout(NamedTuple):
    tasks: list[int]
    per_rank: int
    world_size: int
    seed: int
    epoch: int
    settings: dict[str, Any]

    @property
    def size(self) -> int:
        return self.per_rank * self.world_size

    def sampler(self, rank: int = 0, world_size: int | None = None) -> SameTaskBatchSampler:
        world_size = world_size or self.world_size
        return SameTaskBatchSampler(
            self.tasks, self.size, rank=rank, world_size=world_size, seed=self.seed, **self.settings
        )

    def global_batches(self, epoch: int) -> list[list[int]]:
        sampler = self.sampler(world_size=1)
        sampler.set_epoch(epoch)
        return list(sampler)


@st.composite
def layouts(draw: st.DrawFn, names: tuple[str, ...] = STRATEGIES) -> Layout:
    """Task ids in any order (but the first batch, for the fixed grid), sizes, seed, epoch and a strategy."""
    world_size, per_rank = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    size = per_rank * world_size
    chosen = dict(SETTINGS[draw(st.sampled_from(names))])
    if chosen["strategy"] == "temperature":
        chosen["temperature"] = draw(st.floats(0.2, 20))
    if chosen["strategy"] == "capped":
        chosen["cap"] = size + draw(st.integers(0, 12))
    tasks = draw(st.lists(st.integers(0, 4), max_size=60))
    if draw(st.booleans()):
        tasks = sorted(tasks)
    seed, epoch = draw(st.integers(0, 9)), draw(st.integers(0, 6))
    return Layout([6] * size + tasks, per_rank, world_size, seed, epoch, chosen)


@given(layouts())
@settings(max_examples=120, deadline=None)
def test_ranks_take_equal_disjoint_parts_of_batches_of_one_task(layout: Layout) -> None:
    ranks = []
    for rank in range(layout.world_size):
        sampler = layout.sampler(rank)
        sampler.set_epoch(layout.epoch)
        ranks.append(list(sampler))
        assert len(ranks[-1]) == len(sampler)
    joined = [list(itertools.chain(*parts)) for parts in zip(*ranks, strict=True)]
    assert joined == layout.global_batches(layout.epoch)
    for parts in zip(*ranks, strict=True):
        assert [len(part) for part in parts] == [layout.per_rank] * layout.world_size
        rows = list(itertools.chain(*parts))
        assert len(set(rows)) == layout.size
        assert len({layout.tasks[row] for row in rows}) == 1 or layout.settings["strategy"] == "mixed"


@given(layouts(("proportional", "released", "mixed")))
@settings(max_examples=60, deadline=None)
def test_an_epoch_shows_no_row_twice_and_leaves_out_what_the_summary_says(layout: Layout) -> None:
    shown = list(itertools.chain(*layout.global_batches(layout.epoch)))
    assert len(shown) == len(set(shown))
    shares = layout.sampler().summary()
    assert sum(share.left_out for share in shares) == pytest.approx(len(layout.tasks) - len(shown))
    if layout.settings["strategy"] != "mixed":
        counts = Counter(layout.tasks[row] for row in shown)
        for share in shares:
            assert share.rows - share.left_out == counts[share.task_id] == share.batches * layout.size


@given(layouts(WEIGHTED))
@settings(max_examples=60, deadline=None)
def test_within_a_pass_no_row_comes_twice_and_fewer_than_a_batch_are_left_out(layout: Layout) -> None:
    """A task's batches, counted over all epochs, are passes of rows // size batches each, one after the other.

    The order of a task's batches within an epoch is shuffled, so the border of a pass is found by counting: the rows of
    all epochs so far are whole passes, in which each row comes at most once, and the beginning of another.
    """
    seen: dict[int, Counter[int]] = {}
    for epoch in range(layout.epoch + 1):
        for batch in layout.global_batches(epoch):
            seen.setdefault(layout.tasks[batch[0]], Counter()).update(batch)
        for task, counts in seen.items():
            per_pass = layout.tasks.count(task) // layout.size
            batches = sum(counts.values()) // layout.size
            begun = -(-batches // per_pass)
            assert max(counts.values()) <= begun
            whole_passes = batches // per_pass
            never = layout.tasks.count(task) - len(counts)
            assert whole_passes == 0 or never <= layout.size - 1


@pytest.mark.parametrize("name", WEIGHTED)
def test_each_pass_is_another_shuffle_of_all_rows_but_a_remainder(name: str) -> None:
    sampler = SameTaskBatchSampler(TASKS, 4, **SETTINGS[name])
    strategy = cast(Weighted, sampler._strategy)
    first, second = (strategy._of_task(2, 25 * turn, 25 * turn + 25) for turn in range(2))
    assert set(first.ravel()) == set(second.ravel()) == {row for row, task in enumerate(TASKS) if task == 7}
    assert not np.array_equal(first, second)
    across = strategy._of_task(2, 20, 30)
    assert np.array_equal(across, np.concatenate([first[20:], second[:5]]))


@given(layouts(WEIGHTED))
@settings(max_examples=40, deadline=None)
def test_each_epoch_gives_a_task_its_share_rounded_up_or_down(layout: Layout) -> None:
    expected = {share.task_id: share.batches for share in layout.sampler().summary()}
    assert sum(expected.values()) == pytest.approx(len(layout.sampler()))
    counts = Counter(layout.tasks[batch[0]] for batch in layout.global_batches(layout.epoch))
    for task, batches in expected.items():
        assert np.floor(batches - 1e-6) <= counts[task] <= np.ceil(batches + 1e-6)


def test_over_many_epochs_the_shares_are_those_of_the_weights() -> None:
    """40, 100 and 17 rows of those tasks that fill a batch of 8: weights 1 each, or the square roots."""
    for name, weights in {
        "uniform": {0: 1.0, 7: 1.0, 9: 1.0},
        "temperature": {0: 40**0.5, 7: 10.0, 9: 17**0.5},
    }.items():
        sampler = SameTaskBatchSampler(TASKS, 8, **SETTINGS[name])
        assert len(sampler) == 5 + 12 + 2
        counts: Counter[int] = Counter()
        for epoch in range(50):
            sampler.set_epoch(epoch)
            counts.update(TASKS[batch[0]] for batch in sampler)
        for share in sampler.summary():
            wanted = weights.get(share.task_id, 0.0) / sum(weights.values())
            assert share.batches == pytest.approx(19 * wanted)
            assert counts[share.task_id] / (50 * 19) == pytest.approx(wanted, abs=0.004)


def test_a_capped_task_gives_as_many_batches_as_its_cap_and_in_time_all_of_its_rows() -> None:
    sampler = SameTaskBatchSampler(TASKS, 8, strategy="capped", cap=24)
    assert [share.batches for share in sampler.summary()] == [3, 0, 3, 2]
    seen = set()
    for epoch in range(4):
        sampler.set_epoch(epoch)
        rows = [row for batch in sampler for row in batch if TASKS[row] == 7]
        assert len(rows) == len(set(rows)) == 24
        seen.update(rows)
    assert len(seen) == 96  # four epochs are one pass over the 100 rows


@given(layouts(("released",)))
@settings(max_examples=40, deadline=None)
def test_the_released_grid_is_that_of_the_published_script_in_every_epoch(layout: Layout) -> None:
    expected = released_batches(layout.tasks, layout.size)
    assert sorted(layout.global_batches(layout.epoch)) == sorted(layout.global_batches(layout.epoch + 1)) == expected


@given(layouts(("proportional",)))
@settings(max_examples=30, deadline=None)
def test_the_default_order_is_that_of_the_recorded_runs(layout: Layout) -> None:
    """Written out once more: a changed order would make recorded runs impossible to repeat."""
    rng = np.random.default_rng([layout.seed, layout.epoch])
    batches: list[list[int]] = []
    for task in sorted(set(layout.tasks)):
        order = rng.permutation([row for row, other in enumerate(layout.tasks) if other == task])
        usable = len(order) - len(order) % layout.size
        batches.extend(order[:usable].reshape(-1, layout.size).tolist())
    assert layout.global_batches(layout.epoch) == [batches[index] for index in rng.permutation(len(batches))]


@given(layouts(), st.data())
@settings(max_examples=80, deadline=None)
def test_a_pass_resumed_anywhere_gives_exactly_the_rest(layout: Layout, data: st.DataObject) -> None:
    straight = layout.sampler()
    straight.set_epoch(layout.epoch)
    done = data.draw(st.integers(0, len(straight)))
    batches = iter(straight)
    for _ in range(done):
        next(batches)
    state = straight.state_dict()
    rest = list(batches)
    resumed = layout.sampler()
    resumed.load_state_dict(state)
    resumed.set_epoch(
        layout.epoch + (not rest)
    )  # Lightning announces the epoch after restoring; a finished one is over
    if rest:
        assert list(resumed) == rest
    straight.set_epoch(layout.epoch + 1)
    resumed.set_epoch(layout.epoch + 1)
    assert list(resumed) == list(straight)


@pytest.mark.parametrize("name", STRATEGIES)
def test_order_changes_with_epoch_and_seed_and_repeats_for_the_same(name: str) -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = SameTaskBatchSampler(TASKS, 4, seed=seed, **SETTINGS[name])
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_mixed_batches_hold_several_tasks_and_those_too_small_for_a_batch() -> None:
    sampler = SameTaskBatchSampler(TASKS, 8, strategy="mixed")
    batches = [{TASKS[row] for row in batch} for batch in sampler]
    assert sum(len(tasks) > 1 for tasks in batches) > len(batches) / 2
    assert len(batches) == 160 // 8 and set().union(*batches) == {0, 3, 7, 9}


def test_only_mixed_and_classes_that_say_so_may_mix_tasks() -> None:
    assert [name for name in STRATEGIES if mixes_tasks(name)] == ["mixed"]
    classes = {kind: mixes_tasks({"_target_": f"{kind.__module__}.{kind.__name__}"}) for kind in (Mixed, Proportional)}
    assert classes == {Mixed: True, Proportional: False}


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"strategy": "random"}, r"sampler\.strategy='random' is unknown"),
        ({"strategy": "temperature"}, r"needs sampler\.temperature > 0"),
        ({"strategy": "temperature", "temperature": 0.0}, r"needs sampler\.temperature > 0"),
        ({"strategy": "capped"}, r"needs sampler\.cap"),
        ({"strategy": "capped", "cap": 7}, r"a batch \(8 rows\) or more, got 7"),
    ],
)
def test_a_strategy_without_its_setting_is_refused(settings_: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SameTaskBatchSampler(TASKS, 8, **settings_)


@pytest.mark.parametrize(
    ("name", "tasks", "message"),
    [
        ("uniform", [1, 2, 3], "none of the 3 tasks has 2 rows"),
        ("temperature", [], "none of the 0 tasks"),
        ("capped", [1, 2], "none of the 2 tasks"),
        ("released", [1, 2, 2, 1], "no chunk of 2 rows of the file is of one task"),
        ("mixed", [1], "all tasks together have fewer than 2 rows"),
    ],
)
def test_data_that_fill_no_batch_are_an_error_with_a_remedy(name: str, tasks: list[int], message: str) -> None:
    with pytest.raises(DataError, match=rf"{message}.*; lower sampler\.global_batch_size"):
        SameTaskBatchSampler(tasks, 2, **SETTINGS[name])
