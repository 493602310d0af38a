"""What each profile is, needs and costs, as the ``about`` section of ``conf/profile/*.yaml`` says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from one_embedder.files.documents import read_yaml
from one_embedder.reproduction.show.grid import Grid

DEFAULT = "documentation"
"""The profile of a command that names none."""
NOT_MEASURED = "not measured"
PAPER_SCALE = ("released", "paper")
"""The profiles whose numbers belong beside the paper's."""
EVALUATION_ONLY = "released"
"""The profile that trains nothing, and so needs no training data."""

NOT_COMPARABLE = (
    "This is not the paper's data, benchmark or backbone: its numbers cannot be compared with the paper's. What can be "
    "compared is the pattern, whether finetuning with instructions beats the same backbone and the same finetuning "
    "without them."
)

About = Mapping[str, str]


def read_about(conf: Path) -> dict[str, About]:
    """Profile name -> its ``about`` section (empty where a profile has none), in alphabetical order."""
    profiles: dict[str, About] = {}
    for path in sorted((conf / "profile").glob("*.yaml")):
        content = read_yaml(path) or {}
        profiles[path.stem] = {key: str(value).strip() for key, value in (content.get("about") or {}).items() if value}
    return profiles


def make_command(target: str, profile: str) -> str:
    """What to type for one of the Makefile's targets."""
    return f"make {target}" + ("" if profile == DEFAULT else f" PROFILE={profile}")


def statement(profile: str, description: str) -> str:
    """What the profile's numbers are and are not."""
    what = f": {description.strip().rstrip('.')}" if description else ""
    return f"Profile {profile}{what}." + ("" if profile in PAPER_SCALE else f" {NOT_COMPARABLE}")


def others_text(about: Mapping[str, About], profile: str) -> str:
    """Command, hardware and time of every profile but ``profile``, one block each."""
    blocks = []
    for name, section in about.items():
        if name != profile:
            lines = [f"  {name}: {section.get('description', '')}", f"    command   {_command(name, section)}"]
            lines += [f"    {key:9} {section.get(key, NOT_MEASURED)}" for key in ("hardware", "time")]
            blocks.append("\n".join(lines))
    return "\n".join(blocks)


def others_grid(about: Mapping[str, About], profile: str) -> Grid:
    """The same as a table."""
    rows = [
        [name, f"`{_command(name, section)}`", section.get("hardware", NOT_MEASURED), section.get("time", NOT_MEASURED)]
        for name, section in about.items()
        if name != profile
    ]
    return Grid(["profile", "command", "hardware", "time"], rows)


def _command(profile: str, section: About) -> str:
    return section.get("command", make_command("reproduce-table1", profile))
