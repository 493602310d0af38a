"""A command that was killed without warning ends, when it is run again, with what an undisturbed one gives."""

from __future__ import annotations

import pytest

from tests.torture.kills import WORKS, disturbed


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WORKS))
def test_killed_at_random_moments_it_ends_with_the_same_bytes(name: str) -> None:
    straight, killed, struck = disturbed(name, kills=2, seed=1)
    assert straight is not None
    assert killed == straight
    assert struck >= 1, "a kill met the command at work"
