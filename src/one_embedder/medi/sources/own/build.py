"""One's own pairs -> MEDI on disk, and beside it the benchmark of the queries that were held back."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.instructions.template import Instruction
from one_embedder.medi.mining import miner
from one_embedder.medi.mining import rules as mining
from one_embedder.medi.mining.candidates import PairTask
from one_embedder.medi.mining.leakage import BenchmarkTexts
from one_embedder.medi.mining.negatives import HardNegatives
from one_embedder.medi.row import MediRow
from one_embedder.medi.sources.assembly import is_built, publish, settings_of, work_folder
from one_embedder.medi.sources.build_key import build_key
from one_embedder.medi.sources.own.held_back import Divided, divide, same, write_tasks
from one_embedder.medi.sources.own.pairs import Instructions, Pair, read_pairs
from one_embedder.medi.sources.report import Report
from one_embedder.medi.store import write_medi

logger = logging.getLogger(__name__)

FEW_QUERIES = 50
"""With fewer held-back queries, intervals are so wide that only a large change shows."""
_CHOSEN = (
    *(f"medi.{key}" for key in ("path", "held_back", "query_instruction", "document_instruction", "leakage")),
    *("medi.rows_per_task", "medi.min_rows_per_task"),
)


def build_own(cfg: Config, folder: Path) -> Path:
    """Build the training data and the benchmark; nothing is done when they are there already.

    Rows with one instruction of queries and one of documents are a task. Those without negatives get mined ones.

    Returns:
        ``folder``, with ``medi/``, ``benchmark/test/`` (unless ``medi.held_back`` is 0) and ``report.md``.

    Raises:
        ConfigError: no file is given, or the folder holds data that were built with other settings.
        DataError: the file cannot be used, or too few pairs are left for training.
    """
    started = time.monotonic()
    pairs = _pairs(cfg)
    key = _key(cfg, pairs)
    settings = settings_of(cfg, *miner.MINING_KEYS, *_CHOSEN)
    if is_built(folder, key, settings):
        logger.info("the training data are built already: %s", folder)
        return folder
    divided = divide(pairs, cfg.medi.held_back)
    names = _task_names(pairs, str(cfg.medi.path))
    work = work_folder(folder, key)
    negatives = HardNegatives(cfg.medi.mining)
    rows = _rows(_of_tasks(divided.training, names, cfg), cfg, miner.Miner(cfg.encoder, work), negatives)
    write_tasks(divided.held_back, names, work / "benchmark" / "test")
    about = {"source": "own", "key": key, "mining": negatives.facts, "prompts": _prompts(names)}
    sha256 = write_medi(rows, work / "medi", about)
    Report("Own pairs", {}, [_told(divided, len(rows)), ""]).write(work, sha256)
    seconds = round(time.monotonic() - started, 1)
    publish(work, folder, {"key": key, "settings": settings, "sha256": sha256, "rows": len(rows), "seconds": seconds})
    logger.info("%s: %s", folder, _told(divided, len(rows)))
    place = "" if folder == Path(cfg.paths.data) / "own" else f" medi.folder={folder}"
    encoder = "" if cfg.encoder.name_or_path == "minilm" else f" encoder.name_or_path={cfg.encoder.name_or_path}"
    logger.info("next: one-embedder train profile=own%s%s", place, encoder)
    if 0 < divided.queries < FEW_QUERIES:
        logger.warning("with %d held-back queries the intervals will be wide; more pairs help", divided.queries)
    return folder


def _pairs(cfg: Config) -> Sequence[Pair]:
    """Those of the file of which no text stands in ``medi.leakage``."""
    pairs = read_pairs(cfg.medi.path, (cfg.medi.query_instruction, cfg.medi.document_instruction))
    benchmark = BenchmarkTexts.of(cfg.medi)
    if benchmark is None:
        return pairs
    kept = [p for p in pairs if not any(map(benchmark.overlaps, (p.query, p.positive, *p.negatives)))]
    logger.info("%d of %d pairs stand in medi.leakage and are left out", len(pairs) - len(kept), len(pairs))
    return kept


def _key(cfg: Config, pairs: Sequence[Pair]) -> str:
    return build_key(
        "own",
        pairs=hashlib.sha256(repr(pairs).encode()).hexdigest(),
        held_back=cfg.medi.held_back,
        encoder=miner.mining_settings(cfg.encoder),
        mining=asdict(cfg.medi.mining),
        rows_per_task=cfg.medi.rows_per_task,
        min_rows_per_task=cfg.medi.min_rows_per_task,
    )


def _task_names(pairs: Sequence[Pair], path: str) -> dict[Instructions, str]:
    """Instructions -> name of their task: the file's, with a number where the file has several instructions."""
    stem = re.sub(r"\W+", "_", Path(path).name.split(".")[0]) or "own"
    found = dict.fromkeys(pair.instructions for pair in pairs)
    return {words: stem if number == 1 else f"{stem}_{number}" for number, words in enumerate(found, start=1)}


def _prompts(names: Mapping[Instructions, str]) -> dict[str, str]:
    """What a trained model's folder tells of the instructions, under the names that mteb looks for.

    Where the data have one instruction a side, it also has the name that sentence-transformers looks for by itself.
    """
    sides = [(f"{name}-{side}", text) for words, name in names.items() for side, text in _sides(words)]
    alone = _sides(next(iter(names))) if len(names) == 1 else []
    return {name: text for name, text in [*alone, *sides] if text}


def _sides(words: Instructions) -> list[tuple[str, str]]:
    return list(zip(("query", "document"), words, strict=True))


def _of_tasks(pairs: Sequence[Pair], names: Mapping[Instructions, str], cfg: Config) -> dict[str, list[Pair]]:
    """The pairs of each task that has enough of them.

    Raises:
        DataError: there is none.
    """
    tasks: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        tasks[names[pair.instructions]].append(pair)
    fewest = cfg.medi.min_rows_per_task
    for name, few in tasks.items():
        if len(few) < fewest:
            logger.warning("%s is left out: %d pairs, fewer than medi.min_rows_per_task=%d", name, len(few), fewest)
    enough = {name: found[: cfg.medi.rows_per_task] for name, found in tasks.items() if len(found) >= fewest}
    if not enough:
        raise DataError(
            f"{cfg.medi.path}: {len(pairs)} pairs are left for training, and no task has "
            f"medi.min_rows_per_task={fewest} of them; add pairs, or train in smaller batches: "
            "medi.min_rows_per_task=8 here, sampler.global_batch_size=8 in training"
        )
    return enough


def _rows(
    tasks: Mapping[str, Sequence[Pair]], cfg: Config, encoder: miner.Miner, negatives: HardNegatives
) -> list[MediRow]:
    rows = []
    for number, (name, pairs) in enumerate(tasks.items()):
        mined = _mined(name, pairs, encoder, negatives)
        found = [row for pair in pairs if (row := _row(number, name, pair, mined)) is not None]
        if len(found) < len(pairs):
            logger.warning(
                "%s: %d pairs are left out, for nothing can be their negative", name, len(pairs) - len(found)
            )
        rows += found
    if not rows:
        raise DataError(
            f"{cfg.medi.path}: no pair has a negative, and none can be found; give some in field 'negative'"
        )
    return rows


def _mined(
    name: str, pairs: Sequence[Pair], encoder: miner.Miner, negatives: HardNegatives
) -> Mapping[tuple[str, str], Sequence[str]]:
    """(query, positive) -> hard negatives among the task's positives, if some of its pairs have none of their own.

    Queries that count as the same one are mined as one, so that none gets a right answer of another spelling.
    """
    if all(pair.negatives for pair in pairs):
        return {}
    words = Instruction("text")  # the miner compares texts without instructions, and its rows' are not used
    spelled: dict[str, str] = {}
    queries = [spelled.setdefault(same(pair.query), pair.query) for pair in pairs]
    asked = tuple((query, pair.positive, query) for query, pair in zip(queries, pairs, strict=True))
    task = PairTask(name, words, words, asked)
    found = mining.mine(task, 0, mining.embed_texts([task], encoder.encode), len(pairs), negatives)
    return {(same(row.query[1]), row.positive[1]): [text for _, text in row.negatives] for row in found}


def _row(number: int, name: str, pair: Pair, mined: Mapping[tuple[str, str], Sequence[str]]) -> MediRow | None:
    query, document = pair.instructions
    found = mined.get((same(pair.query), pair.positive), ())
    texts = pair.negatives or [text for text in found if text != pair.query]
    if not texts:
        return None
    first, *further = ((document, text) for text in texts)
    return MediRow(number, name, (query, pair.query), (document, pair.positive), first, tuple(further))


def _told(divided: Divided, rows: int) -> str:
    held = f"{divided.queries} queries are held back" if divided.held_back else "no queries are held back"
    return f"{rows} pairs for training, {held}"
