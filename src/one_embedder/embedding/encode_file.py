"""A file of any size to a file of embeddings: chunk by chunk, going on where an earlier run stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from one_embedder.embedding.batches import MAX_TOKENS_PER_BATCH
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.output import Precision, needs_ranges, quantize
from one_embedder.embedding.processes import EncoderPool
from one_embedder.embedding.records import Record, RecordFile
from one_embedder.embedding.store import EmbeddingStore, StoreState, finished
from one_embedder.embedding.survey import Survey, TextsHash, survey, unchanged
from one_embedder.encoder.truncation import Truncation, cuts_kept
from one_embedder.errors import ConfigError, OneEmbedderError
from one_embedder.files.progress import Pace, size

CHUNK_CHARACTERS = 16_000_000  # a chunk of very long texts ends earlier, so that it fits in memory
_PARQUET_GROUP = 8192
_FIRST_ROWS = 128  # of the first chunk, so that there is an estimate soon
_LARGE_BYTES = 100_000_000  # a file whose survey takes seconds
_STEADY_ROWS = 100  # sentence-transformers warns of int8 steps measured on fewer


def encode_file(
    embedder: InstructionEmbedder,
    source: RecordFile,
    output: Path,
    *,
    batch_size: int = 32,
    max_tokens_per_batch: int | None = MAX_TOKENS_PER_BATCH,
    truncate_dim: int | None = None,
    precision: Precision = "float32",
    chunk_size: int = 1024,
    with_text: bool = False,
    restart: bool = False,
    pool: EncoderPool | None = None,
    say: Callable[[str], Any] = lambda line: None,
) -> int:
    """Embed every text of a file.

    The file is read twice: first to its end, so that a row that cannot be used is told before any is encoded, then in
    chunks, each of which is on disk before the next is read. A call that is cut short leaves ``OUTPUT.partial/``; the
    same call goes on from there, with the result of an uninterrupted one. Batch size, chunk size and device may change
    in between: embeddings differ by rounding then.

    Args:
        embedder: encodes.
        source: the texts.
        output: ``.npy``, an array (N, D), or ``.parquet`` with the columns ``row``, ``embedding`` and, if wanted,
            ``text``. Settings, counts and hashes are written beside it, to ``OUTPUT.json``.
        batch_size: as in ``InstructionEmbedder.encode``, as are the next three.
        max_tokens_per_batch: see there.
        truncate_dim: see there.
        precision: see there; the steps of int8 and uint8 are measured on the first chunk and kept in ``OUTPUT.json``
            under ``ranges``, which ``encode`` takes for other texts.
        chunk_size: rows held in memory and lost at most by an interruption.
        with_text: adds the texts to a ``.parquet`` output.
        restart: begin anew, whatever an earlier call left.
        pool: processes to encode in.
        say: is told the plan, the progress and the end, a line each.

    Returns:
        The number of rows.

    Raises:
        DataError: if a row cannot be used, or the texts encoded earlier have changed since.
        ConfigError: if an argument is out of range, or an earlier call had other settings.
        OneEmbedderError: if the disk or the memory does not suffice, or an embedding is not finite.
    """
    kind = _checked(source, output, with_text, chunk_size)
    empty = embedder.encode(
        [], batch_size=batch_size, max_tokens_per_batch=max_tokens_per_batch, truncate_dim=truncate_dim,
        precision=precision,
    )  # fmt: skip
    settings = _settings(embedder, source, truncate_dim, precision) | {"with_text": with_text}

    def embed(records: list[Record]) -> tuple[NDArray[np.float32], Truncation]:
        texts, instructions = [record.text for record in records], [record.instruction for record in records]
        with cuts_kept() as cuts:
            embeddings = embedder.encode(
                texts, instructions, batch_size=batch_size, max_tokens_per_batch=max_tokens_per_batch,
                truncate_dim=truncate_dim, show_progress_bar=False, pool=pool,
            )  # fmt: skip
        return embeddings, sum(map(Truncation.of, cuts), Truncation())

    if source.path.stat().st_size > _LARGE_BYTES:
        say(f"reading {source.path} once, to count and check its texts")
    done = None if restart else finished(output, settings)
    if done is not None:
        survey(source, done, output, complete=True)
        _tell(say, f"{output} is complete already: {done.rows:,} rows", done, embedder.max_seq_length)
        return done.rows
    with EmbeddingStore(output, settings, width=empty.shape[1], dtype=empty.dtype, restart=restart) as store:
        found = survey(source, store.state, store.folder)
        _require_space(store, found.rows, copies=2 if kind == ".parquet" else 1)
        say(_plan(source, store, found.rows))
        _encode_rest(source, store, found, embed, precision, chunk_size, say)
        rows = store.complete()
        if kind == ".parquet":
            rows = _as_parquet(rows, unchanged(source, found) if with_text else None)
        store.publish(rows)
    line = f"{output}: {found.rows:,} rows of {store.width} {store.dtype.name}"
    _tell(say, line, store.state, embedder.max_seq_length)
    return found.rows


def chunks(records: Iterable[Record], size: int, first: int | None = None) -> Iterator[list[Record]]:
    """Consecutive records in lists of at most ``size`` (the first: ``first``) and ``CHUNK_CHARACTERS`` (or one)."""
    most = first or size
    chunk: list[Record] = []
    characters = 0
    for record in records:
        length = len(record.instruction) + len(record.text)
        if chunk and (len(chunk) == most or characters + length > CHUNK_CHARACTERS):
            yield chunk
            chunk, characters, most = [], 0, size
        chunk.append(record)
        characters += length
    if chunk:
        yield chunk


def _checked(source: RecordFile, output: Path, with_text: bool, chunk_size: int) -> str:
    """The output's kind, by its ending."""
    kind = output.suffix.lower()
    if output.exists() and output.samefile(source.path):
        raise ConfigError(f"{output} is the input; name another output")
    if kind not in (".npy", ".parquet"):
        raise ConfigError(f"{output}: embeddings are written to a file that ends with .npy or .parquet")
    if with_text and kind != ".parquet":
        raise ConfigError(f"{output} holds numbers only; texts go with them into .parquet")
    if chunk_size < 1:
        raise ConfigError(f"chunk_size={chunk_size} must be at least 1")
    return kind


def _settings(
    embedder: InstructionEmbedder, source: RecordFile, truncate_dim: int | None, precision: str
) -> dict[str, Any]:
    return {
        "encoder_revision": embedder.revision,
        "dtype": embedder.dtype,
        "truncate_dim": truncate_dim,
        "precision": precision,
        "text_field": source.text_field,
        "instruction_field": source.instruction_field,
        "instruction": source.instruction,
    }


def _require_space(store: EmbeddingStore, total: int, copies: int) -> None:
    needed = (total * copies - store.state.rows) * store.row_bytes
    free = shutil.disk_usage(store.folder).free
    if needed > free:
        raise OneEmbedderError(
            f"{store.output} takes {size(needed)} more, and {size(free)} are free; free some, or choose another "
            "place, --truncate-dim or --precision"
        )


def _plan(source: RecordFile, store: EmbeddingStore, total: int) -> str:
    begun = f", {store.state.rows:,} of them done by an earlier run" if store.state.rows else ""
    free = size(shutil.disk_usage(store.folder).free)
    read = "; ".join([f"{total:,} texts{begun}", *source.notes])
    return f"{source.path}: {read}; output {size(total * store.row_bytes)}, {free} free"


def _tell(say: Callable[[str], Any], line: str, state: StoreState, max_length: int) -> None:
    """Say how it ended, and what was cut."""
    truncation = state.counted()
    say(line + (f"; {truncation.sentence(max_length)}" if truncation.cut else ""))


def _encode_rest(
    source: RecordFile,
    store: EmbeddingStore,
    found: Survey,
    embed: Callable[[list[Record]], tuple[NDArray[np.float32], Truncation]],
    precision: Precision,
    chunk_size: int,
    say: Callable[[str], Any],
) -> None:
    """Encode and write what the store lacks."""
    records = unchanged(source, found)
    seen = TextsHash()
    for record in islice(records, store.state.rows):
        seen.add(record)
    pace = Pace(store.state.rows, found.rows, say)
    # Only where no earlier run wrote rows: the chunks, and with them the bytes, are those of an uninterrupted run.
    first = min(_FIRST_ROWS, chunk_size) if not store.state.rows and not needs_ranges(precision) else None
    for chunk in chunks(records, chunk_size, first):
        embeddings, truncation = _embedded(embed, chunk, store.state.rows)
        if needs_ranges(precision) and store.state.ranges is None:
            store.state.ranges = _measured(embeddings, precision, say)
        ranges = None if store.state.ranges is None else np.array(store.state.ranges, dtype=np.float32)
        for record in chunk:
            seen.add(record)
        store.state.add(truncation)
        store.append(quantize(embeddings, precision, ranges), seen.value())
        pace.tell(store.state.rows)


def _embedded(
    embed: Callable[[list[Record]], tuple[NDArray[np.float32], Truncation]], chunk: list[Record], before: int
) -> tuple[NDArray[np.float32], Truncation]:
    try:
        return embed(chunk)
    except torch.OutOfMemoryError as error:
        raise OneEmbedderError(
            f"the device's memory does not suffice ({error}); run the same command with a smaller "
            "--max-tokens-per-batch, finished parts are kept"
        ) from error
    except OneEmbedderError as error:
        raise OneEmbedderError(f"among rows {before + 1} to {before + len(chunk)}: {error}") from error


def _measured(embeddings: NDArray[np.float32], precision: str, say: Callable[[str], Any]) -> list[list[float]]:
    if len(embeddings) < _STEADY_ROWS:
        say(f"the steps of {precision} are measured on only {len(embeddings)} texts; more make them steadier")
    return [embeddings.min(axis=0).tolist(), embeddings.max(axis=0).tolist()]


def _as_parquet(rows: Path, texts: Iterator[Record] | None) -> Path:
    """Write the rows, with their texts if given, as parquet beside them, group by group."""
    import pyarrow as pa
    from pyarrow import parquet

    embeddings = np.load(rows, mmap_mode="r")
    path = rows.with_suffix(".parquet")
    fields = [("row", pa.int64())] + ([("text", pa.large_string())] if texts is not None else [])
    schema = pa.schema([*fields, ("embedding", pa.list_(pa.from_numpy_dtype(embeddings.dtype), embeddings.shape[1]))])
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(embeddings), _PARQUET_GROUP):
            block = np.array(embeddings[start : start + _PARQUET_GROUP])
            columns: list[Any] = [np.arange(start, start + len(block))]
            if texts is not None:
                columns.append([record.text for record in islice(texts, len(block))])
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), embeddings.shape[1])
            writer.write_table(pa.table([*columns, vectors], schema=schema))
    for _ in texts or ():  # none is left, unless the file was changed; the reading is checked at its end
        pass
    return path
