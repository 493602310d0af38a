"""A file of any size to a file of embeddings: chunk by chunk, going on where an earlier run stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from one_embedder.embedding.batches import is_out_of_memory
from one_embedder.embedding.embedder import InstructionEmbedder
from one_embedder.embedding.output import Precision, measured, needs_ranges, quantize
from one_embedder.embedding.processes import EncoderPool
from one_embedder.embedding.prompts import named
from one_embedder.embedding.records import Record, RecordFile
from one_embedder.embedding.store import EmbeddingStore, OutputRecord, finished, opened
from one_embedder.encoder.truncation import Truncation, cuts_kept
from one_embedder.errors import ConfigError, DataError, OneEmbedderError
from one_embedder.extras import needing
from one_embedder.files.hashes import file_sha256
from one_embedder.files.progress import Pace, size

CHUNK_CHARACTERS = 16_000_000  # a chunk of very long texts ends earlier, so that it fits in memory
_PARQUET_GROUP = 8192
_FIRST_ROWS = 128  # of the first chunk, so that there is an estimate soon
_LARGE_BYTES = 100_000_000  # a file whose survey takes seconds


class FileOptions(TypedDict, total=False):
    """Options of ``InstructionEmbedder.encode`` that go with files."""

    batch_size: int
    max_tokens_per_batch: int | None
    truncate_dim: int | None
    pool: EncoderPool | None


def encode_file(
    embedder: InstructionEmbedder,
    source: RecordFile,
    output: Path,
    *,
    precision: Precision = "float32",
    chunk_size: int = 1024,
    with_text: bool = False,
    restart: bool = False,
    say: Callable[[str], Any] = lambda line: None,
    **options: Unpack[FileOptions],
) -> int:
    """Embed every text of a file.

    The file is read twice: first to its end, so that a row that cannot be used is told before any is encoded, then in
    chunks, each of which is on disk before the next is read. A call that is cut short leaves ``OUTPUT.partial/``; the
    same call goes on from there, with the result of an uninterrupted one. Batch size, chunk size and device may change
    in between: embeddings differ by rounding then.

    Args:
        embedder: encodes.
        source: the texts. Where it says nothing of an instruction, the embedder's default prompt is used, as by
            ``InstructionEmbedder.encode``.
        output: ``.npy``, an array (N, D), or ``.parquet`` with the columns ``row``, ``embedding`` and, if wanted,
            ``text``. Settings, encoder and counts are written beside it, to ``OUTPUT.json``.
        precision: as in ``InstructionEmbedder.encode``; the steps of int8 and uint8 are measured on the first chunk and
            kept in ``OUTPUT.json`` under ``ranges``, which ``encode`` takes for other texts.
        chunk_size: rows held in memory and lost at most by an interruption.
        with_text: adds the texts to a ``.parquet`` output.
        restart: begin anew, whatever an earlier call left.
        say: is told the plan, the progress and the end, a line each.
        options: of ``InstructionEmbedder.encode``.

    Returns:
        The number of rows.

    Raises:
        DataError: if a row cannot be used, or the file is not the one that an earlier call encoded.
        ConfigError: if an argument is out of range, or an earlier call had other settings.
        OneEmbedderError: if the disk or the memory does not suffice, or an embedding is not finite.
    """
    kind = _checked(source, output, with_text, chunk_size)
    empty = embedder.encode([], precision=precision, **options)
    if source.path.stat().st_size > _LARGE_BYTES:
        say(f"reading {source.path} once, to count and check its texts")
    instruction = _instruction_of_all(embedder, source)
    settings = _settings(embedder, source, instruction)
    settings |= {"truncate_dim": options.get("truncate_dim"), "precision": precision, "with_text": with_text}
    record = OutputRecord(settings, _encoder(embedder), empty.shape[1], empty.dtype.name)
    if not restart and (done := finished(output, record)) is not None:
        say(f"{output} is complete already: {done.rows:,} rows{_what_was_cut(done, embedder)}")
        return done.rows
    total = sum(1 for _ in source)
    with opened(output, record, total, restart=restart) as store:
        _require_space(store, output, copies=2 if kind == ".parquet" else 1)
        say(_plan(source, store))
        _encode_rest(source, store, partial(_embedded, embedder, options, instruction), chunk_size, say)
        rows = store.complete()
        if kind == ".parquet":
            rows = _as_parquet(rows, iter(source) if with_text else None)
        if file_sha256(source.path) != settings["input_sha256"]:
            raise DataError(f"{source.path} was changed while it was read; run the same command with --restart")
        store.publish(rows, output)
    made = f"{output}: {total:,} rows of {record.width} {record.dtype}"
    say(made + _what_was_cut(store.record, embedder))
    return total


def chunks(texts: Iterable[Record], size: int, first: int | None = None) -> Iterator[list[Record]]:
    """Consecutive texts in lists of at most ``size`` (the first: ``first``) and ``CHUNK_CHARACTERS`` (or one)."""
    most = first or size
    chunk: list[Record] = []
    characters = 0
    for each in texts:
        length = len(each.instruction) + len(each.text)
        if chunk and (len(chunk) == most or characters + length > CHUNK_CHARACTERS):
            yield chunk
            chunk, characters, most = [], 0, size
        chunk.append(each)
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
    if kind == ".parquet":
        with needing("pyarrow"):  # before hours of encoding
            import pyarrow  # noqa: F401
    return kind


def _instruction_of_all(embedder: InstructionEmbedder, source: RecordFile) -> str | None:
    """The one instruction of all texts, ``""`` for none; None where each has its own."""
    if source.instruction_field is not None:
        return None
    if source.instruction is not None:
        return source.instruction
    return named(embedder.prompts, embedder.default_prompt_name)


def _settings(embedder: InstructionEmbedder, source: RecordFile, instruction: str | None) -> dict[str, Any]:
    return {
        "encoder_revision": embedder.revision,
        "dtype": embedder.dtype,
        "reading": source.reading,
        "text_field": source.text_field,
        "instruction_field": source.instruction_field,
        "instruction": instruction or "",
        "input_sha256": file_sha256(source.path),
    }


def _encoder(embedder: InstructionEmbedder) -> dict[str, Any]:
    """What tells the reader of a record which encoder it was; that it is the same, its revision says."""
    joining = embedder.encoder.tokenizer.joining
    return {"name": embedder.name, "joining": joining, "max_length": embedder.max_seq_length}


def _require_space(store: EmbeddingStore, output: Path, copies: int) -> None:
    needed = (store.total * copies - store.record.rows) * store.record.row_bytes
    free = shutil.disk_usage(store.folder).free
    if needed > free:
        raise OneEmbedderError(
            f"{output} takes {size(needed)} more, and {size(free)} are free; free some, or choose another "
            "place, --truncate-dim or --precision"
        )


def _plan(source: RecordFile, store: EmbeddingStore) -> str:
    begun = f", {store.record.rows:,} of them done by an earlier run" if store.record.rows else ""
    free = size(shutil.disk_usage(store.folder).free)
    read = "; ".join([f"{store.total:,} texts{begun}", *source.notes])
    return f"{source.path}: {read}; output {size(store.total * store.record.row_bytes)}, {free} free"


def _what_was_cut(record: OutputRecord, embedder: InstructionEmbedder) -> str:
    truncation = record.cut()
    return f"; {truncation.sentence(embedder.max_seq_length)}" if truncation.cut else ""


def _encode_rest(
    source: RecordFile,
    store: EmbeddingStore,
    embed: Callable[[list[Record], int], tuple[NDArray[np.float32], Truncation]],
    chunk_size: int,
    say: Callable[[str], Any],
) -> None:
    """Encode and write what the store lacks."""
    record, precision = store.record, store.record.settings["precision"]
    pace = Pace(record.rows, store.total, say)
    # Only where no earlier run wrote rows: the chunks, and with them the bytes, are those of an uninterrupted run.
    first = min(_FIRST_ROWS, chunk_size) if not record.rows and not needs_ranges(precision) else None
    for chunk in chunks(islice(source, record.rows, store.total), chunk_size, first):
        embeddings, truncation = embed(chunk, record.rows)
        if needs_ranges(precision) and record.ranges is None:
            record.ranges = measured(embeddings).tolist()
        ranges = None if record.ranges is None else np.array(record.ranges, dtype=np.float32)
        store.append(quantize(embeddings, precision, ranges), truncation)
        pace.tell(record.rows)


def _embedded(
    embedder: InstructionEmbedder, options: FileOptions, instruction: str | None, chunk: list[Record], before: int
) -> tuple[NDArray[np.float32], Truncation]:
    texts = [each.text for each in chunk]
    instructions = [each.instruction for each in chunk] if instruction is None else instruction
    try:
        with cuts_kept() as cuts:
            embeddings = embedder.encode(texts, instructions, show_progress_bar=False, **options)
        return embeddings, sum(map(Truncation.of, cuts), Truncation())
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OneEmbedderError(
            f"the device's memory does not suffice ({error}); run the same command with a smaller "
            "--max-tokens-per-batch, finished parts are kept"
        ) from error
    except OneEmbedderError as error:
        raise OneEmbedderError(f"among rows {before + 1} to {before + len(chunk)}: {error}") from error


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
                columns.append([each.text for each in islice(texts, len(block))])
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), embeddings.shape[1])
            writer.write_table(pa.table([*columns, vectors], schema=schema))
    return path
