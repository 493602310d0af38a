from __future__ import annotations

from one_embedder.training.memory import keep_freed_memory


def test_memory_settings_can_be_made_more_than_once() -> None:
    assert keep_freed_memory() == keep_freed_memory()
