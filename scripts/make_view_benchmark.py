"""View sets as a folder of clustering tasks, one for each labeling, so that an ablation can score them.

    python -m scripts.make_view_benchmark OUTPUT profile=mixture views.root=FOLDER [views.part=train]

The sets are those that ``views.part`` or ``views.chosen`` names, the texts those that ``evaluate_views`` scores: of the
split ``test``, ``views.texts_per_set`` at most. Each task has its labeling's instruction beside its rows, which
``instructions=own`` reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from one_embedder.config.compose import load_config
from one_embedder.config.schema import Config
from one_embedder.ending import told
from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.views.plan import ViewJob, view_jobs
from one_embedder.medi.sources.assembly import write_task_files


def make_view_benchmark(cfg: Config, output: Path) -> list[str]:
    """Write the clustering tasks below ``output``.

    Args:
        cfg: says which view sets.
        output: a new folder.

    Returns:
        The tasks' names, ``<Set>_<labeling>``.

    Raises:
        ConfigError: if no set is asked for.
        DataError: if ``output`` exists, or a set is not there or cannot be used.
    """
    if output.exists():
        raise DataError(f"{output} exists; name a new folder or remove it")
    return [_write(job, labeling, output) for job in view_jobs(cfg) for labeling in job.labelings]


def _write(job: ViewJob, labeling: str, root: Path) -> str:
    name, found = f"{job.name}_{labeling}", job.labelings[labeling]
    places_and_classes = zip(found.places.tolist(), found.gold.tolist(), strict=True)
    rows = [{"text": job.texts[place], "label": gold} for place, gold in places_and_classes]
    folder = f"eval/Clustering/{name}"
    write_task_files({folder: {"test": rows}}, root)
    content = json.dumps({"text": job.instructions[labeling]}, ensure_ascii=False)
    (root / folder / "instructions.json").write_text(f"{content}\n", encoding="utf-8")
    return name


def main(arguments: Sequence[str]) -> None:
    """Command line."""
    if not arguments or "=" in arguments[0]:
        raise ConfigError("say where: python -m scripts.make_view_benchmark OUTPUT views=... views.root=FOLDER")
    output, *overrides = arguments
    written = make_view_benchmark(load_config("evaluate_views", overrides), Path(output))
    sys.stdout.write("".join(f"{name}\n" for name in written))


if __name__ == "__main__":
    sys.exit(told(lambda: main(sys.argv[1:])))
