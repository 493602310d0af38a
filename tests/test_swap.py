"""A folder is replaced in one step: killed at any moment, it is the old one or the new one, whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from one_embedder.files.swap import put_in_place, standing

# Runs once for each step until it is through: a child kills itself at its step, and the parent looks at what is left.
_KILLED_AT_EACH_STEP = """
import os, sys
from pathlib import Path
from one_embedder.files import swap

STEPS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir", "os.listdir", "ctypes.dlopen",
         "ctypes.dlsym", "shutil.rmtree"}

def write(folder, generation):
    (folder / "part").mkdir(parents=True)
    for name in ("a", "part/b"):
        (folder / name).write_text(generation)
    return folder

def content(folder):
    return {name: (folder / name).read_text() for name in ("a", "part/b")}

def killed(step, new, place):
    child = os.fork()
    if not child:
        count = iter(range(step))
        sys.addaudithook(lambda event, _: event in STEPS and next(count, None) is None and os._exit(9))
        swap.put_in_place(new, place)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

root, can_exchange = Path(sys.argv[1]), sys.argv[2] == "True"
if not can_exchange:
    swap._exchange = lambda one, other: False
step, seen = 0, []
while True:
    home = root / str(step)
    place, new = write(home / "model", "old"), write(home / "partial", "new")
    again = killed(step, new, place)
    left = content(swap.standing(place))
    assert left in ({"a": "old", "part/b": "old"}, {"a": "new", "part/b": "new"}), (step, left)
    assert place.exists() or not can_exchange, step
    seen.append(left["a"])
    swap.put_in_place(write(home / "partial2", "newer"), place)
    assert content(place) == {"a": "newer", "part/b": "newer"}, step
    assert not (home / ".model.replaced").exists(), step
    if not again:
        break
    step += 1
assert seen == sorted(seen, reverse=True) and set(seen) == {"old", "new"}, seen
print(len(seen))
"""


@pytest.mark.parametrize("can_exchange", [True, False])
def test_killed_at_any_step_the_old_folder_or_the_new_one_stands_whole_and_the_next_call_clears_up(
    can_exchange: bool, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _KILLED_AT_EACH_STEP, str(tmp_path), str(can_exchange)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15, "steps at which it was killed"


def test_what_was_set_aside_is_read_until_it_is_put_back(tmp_path: Path) -> None:
    place = tmp_path / "model"
    assert standing(place) == place
    (tmp_path / ".model.replaced").mkdir()
    assert standing(place) == tmp_path / ".model.replaced"
    (tmp_path / "new").mkdir()
    put_in_place(tmp_path / "new", place)
    assert standing(place) == place and list(tmp_path.iterdir()) == [place]
