"""Every promise of docs/reliability.md names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_promise_names_a_test_that_exists(project_root: Path) -> None:
    page = (project_root / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]+ \| `([^`]*)` \|$", page, re.MULTILINE)
    assert len(rows) >= 20
    for name in rows:
        file, _, test = name.partition("::")
        assert f"\ndef {test}(" in (project_root / file).read_text(encoding="utf-8"), name
