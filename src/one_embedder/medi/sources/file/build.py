"""MEDI as others hand it out -> MEDI on disk, row by row, in bounded memory."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from one_embedder.config.schema import Config
from one_embedder.errors import DataError
from one_embedder.files.progress import Pace
from one_embedder.medi.mining.leakage import BenchmarkTexts
from one_embedder.medi.row import from_released
from one_embedder.medi.sources.assembly import GB, is_built, publish, require_space, settings_of, work_folder
from one_embedder.medi.sources.build_key import build_key, file_states
from one_embedder.medi.sources.file.files import located, read_rows, source_files, unit_of, unpacked_size
from one_embedder.medi.sources.file.list_parser import Unreadable
from one_embedder.medi.sources.file.quarantine import QUARANTINE_FILE, Quarantine
from one_embedder.medi.sources.file.tasks import TaskNumbers
from one_embedder.medi.sources.report import Report, leakage_lines, table
from one_embedder.medi.store import MediWriter

logger = logging.getLogger(__name__)

ROWS_BETWEEN_REPORTS = 50_000
BYTES_A_SECOND = 15e6  # read, checked and written on one core; see experiments/bench/read_medi.md


def build_file(cfg: Config, folder: Path) -> Path:
    """Build the training data; an interrupted try begins again. Rows that stand in ``medi.leakage`` are left out.

    Returns:
        ``folder``, with ``medi/``, ``report.md`` and ``quarantine.jsonl``, the rows that could not be used.

    Raises:
        ConfigError: the folder holds data that were built with other settings.
        DataError: a file is cut short or damaged, too many rows are unusable, or the disk is too small.
    """
    files = source_files(located(str(cfg.medi.path)))
    benchmark = BenchmarkTexts.of(cfg.medi)
    key = build_key("file", files=file_states(files), benchmark=benchmark and benchmark.sha256)
    settings = settings_of(cfg, "medi.path", "medi.leakage")
    if is_built(folder, key, settings):
        logger.info("%s is built already: %s", cfg.medi.path, folder)
        return folder
    started = time.monotonic()
    work = work_folder(folder, key)
    _estimate(files, folder)
    with (
        _leaving_only_rejected(work, folder),
        MediWriter(work / "medi") as writer,
        Quarantine(work / QUARANTINE_FILE, cfg.medi.max_rejected, folder / QUARANTINE_FILE) as rejected,
    ):
        reading = _Reading(writer, rejected, benchmark)
        for path in files:
            reading.read(path)
        reading.judge()
        lost = dict(sorted(reading.overlapping.items()))
        if not writer.tally.rows:
            told = f"{rejected.rows} were set aside, {sum(lost.values())} stand in the benchmark"
            raise DataError(f"{', '.join(map(str, files))}: no row to train on ({told})")
        about = {"source": "file", "key": key, "files": {file.name: file.stat().st_size for file in files}}
        sha256 = writer.finish({**about, "rejected": rejected.rows, "overlapping": sum(lost.values())})
    _report(files, rejected.rows, lost if benchmark else None).write(work, sha256)
    seconds = round(time.monotonic() - started, 1)
    rows, left_out = writer.tally.rows, sum(lost.values())
    publish(work, folder, {"key": key, "settings": settings, "sha256": sha256, "rows": rows, "seconds": seconds})
    told = f"{rejected.rows} rejected" + (f", {left_out} in the benchmark" if benchmark else "")
    logger.info("%d rows, %s, sha256 %s, %.0f s: %s", rows, told, sha256[:12], seconds, folder)
    return folder


@contextmanager
def _leaving_only_rejected(work: Path, folder: Path) -> Iterator[None]:
    """Of a source that is refused, keep the rejected rows in ``folder`` and nothing else: a new try begins again."""
    try:
        yield
    except DataError:
        folder.mkdir(parents=True, exist_ok=True)
        (work / QUARANTINE_FILE).replace(folder / QUARANTINE_FILE)
        shutil.rmtree(work)
        raise


class _Reading:
    """The way from the files to the writer and, for rows that cannot be used, to the quarantine."""

    def __init__(self, writer: MediWriter, rejected: Quarantine, benchmark: BenchmarkTexts | None) -> None:
        self._writer, self._rejected, self._benchmark = writer, rejected, benchmark
        self._tasks = TaskNumbers(writer.tally.names)
        self.overlapping: Counter[str] = Counter()  # task -> rows left out because a text of theirs is in the benchmark

    def read(self, path: Path) -> None:
        """Read a file's rows."""
        unit = unit_of(path)
        pace = Pace(0, unit.in_all, logger.info, (unit.name, f"{unit.name}/s"))
        for row, (content, place) in enumerate(read_rows(path), start=1):
            self._take(content, path, row)
            if row % ROWS_BETWEEN_REPORTS == 0:
                pace.tell(place // unit.size)

    def judge(self) -> None:
        """Refuse the whole if too many of its rows were rejected."""
        self._rejected.judge(self._rows, at_end=True)

    @property
    def _rows(self) -> int:
        """Rows read so far, in all files."""
        return self._writer.tally.rows + self._rejected.rows + self.overlapping.total()

    def _take(self, content: Any, path: Path, row: int) -> None:
        if isinstance(content, Unreadable):
            self._reject(path, row, content.reason, content.content)
            return
        where = f"{path.name} row {row}"
        record = self._tasks.with_id(content, path)
        try:
            valid = from_released(record, where)
            if self._benchmark is not None and self._benchmark.overlaps_row(valid):
                self.overlapping[valid.task_name] += 1
            else:
                self._writer.append(valid, where)
        except DataError as error:
            self._reject(path, row, str(error).removeprefix(where).lstrip(",: "), content)

    def _reject(self, path: Path, row: int, reason: str, content: Any) -> None:
        self._rejected.add(path, row, reason, content)
        self._rejected.judge(self._rows)


def _report(files: Sequence[Path], rejected: int, lost: Mapping[str, int] | None) -> Report:
    read = table(["file", "bytes"], [(file.name, file.stat().st_size) for file in files])
    told = f"{rejected} rows could not be used; `{QUARANTINE_FILE}` has each one's number and why."
    return Report("MEDI from a file", {}, [told, "", *leakage_lines(lost), "## Files", "", *read])


def _estimate(files: Sequence[Path], folder: Path) -> None:
    """Tell what is to be read, and refuse what the disk cannot hold.

    Raises:
        DataError: the disk is too small.
    """
    needed = sum(map(unpacked_size, files))
    logger.info(
        "%d files, at most %.2f GB of rows to read: about %.0f s on one core, under 1 GB of memory",
        len(files),
        needed / GB,
        needed / BYTES_A_SECOND,
    )
    require_space(folder, needed, "the training data need about", "or choose another output=FOLDER")
