"""Whose a folder is: the results of an evaluation that ended well, or another run's, which none may write over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from one_embedder.errors import ConfigError, DataError
from one_embedder.evaluation.benchmarks import load_results, score_checkpoint
from one_embedder.evaluation.results import Result
from one_embedder.tracking.manifest import MANIFEST, NewerManifest, read_manifest


def completed_results(output: Path) -> list[Result]:
    """What an evaluation scored when it ran last: these tasks, no more and no fewer, on the data of its record.

    Raises:
        DataError: if there is no result, one cannot be believed, the evaluation did not end well, or a result lies
            there that is not of it, such as one of a task whose folder is gone.
    """
    results = load_results(output)
    manifest = read_manifest(output)
    if manifest["status"] != "completed":
        raise DataError(f"{output}: its evaluation did not end well ({manifest['status']}); run the same command again")
    trouble = _trouble(results, manifest["data"])
    if trouble:
        raise DataError(f"{output}: {trouble}")
    return results


def require_own(output: Path, verb: str) -> None:
    """Refuse a folder with the record of another verb's run, which would be lost. A damaged one may be written anew.

    Raises:
        ConfigError: naming that verb and, of a training, what scores its model.
        NewerManifest: the record is of a newer version.
    """
    try:
        name = read_manifest(output).get("name", verb)
    except NewerManifest:
        raise
    except DataError:
        return
    if name != verb:
        raise ConfigError(
            f"output={output} is the folder of another run ({MANIFEST} says: {name}), whose record {verb} would write "
            f"over; choose another output={score_checkpoint(output)}"
        )


def _trouble(results: Sequence[Result], data: Sequence[Mapping[str, Any]]) -> str | None:
    recorded = {str(item["name"]): item.get("sha256") for item in data}
    found = {result.score.task: result.identity.get("data_sha256") for result in results}
    gone, lacking = sorted(found.keys() - recorded.keys()), sorted(recorded.keys() - found.keys())
    if gone:
        files = ", ".join(f"{place}/{task}.json" for task in gone for place in ("results", "items"))
        return (
            f"has results of {', '.join(gone)}, which the evaluation did not score when it last ran ({MANIFEST}): is "
            "a task's folder gone? Evaluate everything that is to count in one command (what is scored stays), or "
            f"delete {files}"
        )
    if lacking:
        return f"lacks the results of {', '.join(lacking)}, which {MANIFEST} names; evaluate again"
    other = [task for task, sha256 in found.items() if sha256 != recorded[task]]
    return f"{', '.join(other)} were scored on other data than {MANIFEST} names; evaluate again" if other else None
