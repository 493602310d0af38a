"""What an interrupted command has done: JSON lines, the last of which may have been cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def whole_lines(log: Path) -> list[dict[str, Any]]:
    """The cases that an earlier try has done; the one that it was writing when it was cut off is done again."""
    if not log.is_file():
        return []
    whole = log.read_text(encoding="utf-8").rpartition("\n")[0]
    log.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]
