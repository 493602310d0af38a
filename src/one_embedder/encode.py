"""``python -m one_embedder.encode``: A file of texts -> a file of embeddings."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, _ArgumentGroup
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from one_embedder.config.caches import settle_caches
from one_embedder.config.quiet import quiet
from one_embedder.ending import told

_DESCRIPTION = """\
Embed every text of a file. Rows are written in chunks to OUTPUT.partial/, and OUTPUT appears when it is whole, with
OUTPUT.json, its settings and counts. Interrupted, the same command goes on where it stopped; with other settings or
other texts it refuses, unless --restart is given."""


def parser() -> ArgumentParser:
    """The command line. Files are not keys of a configuration, so this verb has options of its own."""
    made = ArgumentParser(prog="python -m one_embedder.encode", description=_DESCRIPTION, allow_abbrev=False)
    _add_files(made.add_argument_group("files"))
    _add_encoder(made.add_argument_group("encoder"))
    _add_output(made.add_argument_group("embeddings"))
    _add_resources(made.add_argument_group("time and memory"))
    return made


def _add_files(group: _ArgumentGroup) -> None:
    add = group.add_argument
    add("input", type=Path, help=".jsonl (objects, strings), .txt (a text a line), .csv, .tsv, all also .gz; .parquet")
    add("output", type=Path, help=".npy (an array, rows x dimensions) or .parquet (columns row and embedding)")
    add("--text-field", default="text", metavar="FIELD", help="field of the text [%(default)s]")
    add(
        "--instruction",
        help="of all texts: 'Represent the question for retrieval: ' [the model's default prompt, if any]",
    )
    add("--instruction-field", metavar="FIELD", help="field of each text's own instruction")
    add("--quoted", action="store_true", help="cells of a .tsv are in quotes where they need it, as in .csv")
    add("--restart", action="store_true", help="begin anew, whatever an earlier run left")


def _add_encoder(group: _ArgumentGroup) -> None:
    add = group.add_argument
    add("--encoder", default="minilm", metavar="NAME", help="minilm, a local folder or a hub id [%(default)s]")
    add("--revision", help="of the hub id")
    add("--joining", default="pypi", choices=("pypi", "head"), help="of instruction and text [%(default)s]")
    add("--max-length", type=int, metavar="TOKENS", help="of a text with its instruction [what the encoder says]")
    add("--dtype", default="float32", help="float32, bfloat16, float16 or float64 [%(default)s]")


def _add_output(group: _ArgumentGroup) -> None:
    add = group.add_argument
    add("--truncate-dim", type=int, metavar="N", help="keep the first N dimensions [all]")
    add("--precision", default="float32", help="float32, int8, uint8, binary or ubinary [%(default)s]")
    add("--with-text", action="store_true", help="a .parquet output gets the column text, too")


def _add_resources(group: _ArgumentGroup) -> None:
    add = group.add_argument
    add("--device", help="cpu, cuda:0, ...; each of several, as in cuda:0,cuda:1, gets a process [the GPU, if any]")
    add("--batch-size", type=int, default=32, metavar="TEXTS", help="most texts a forward pass [%(default)s]")
    # 16,384 is batches.MAX_TOKENS_PER_BATCH, whose module brings torch.
    add("--max-tokens-per-batch", type=int, default=16_384, help="most padded tokens a forward pass [%(default)s]")
    add("--chunk-size", type=int, default=1024, help="rows in memory; what an interruption loses at most [%(default)s]")


def work(options: Namespace) -> None:
    """Import late, then run."""
    quiet()
    settle_caches()
    from one_embedder.embedding.embedder import InstructionEmbedder
    from one_embedder.embedding.encode_file import encode_file
    from one_embedder.embedding.records import RecordFile

    fields = _of(options, "text_field", "instruction_field", "instruction", "quoted")
    source = RecordFile(options.input, **fields)
    devices: list[str] = options.device.split(",") if options.device is not None else []
    embedder = InstructionEmbedder(
        options.encoder,
        device="cpu" if len(devices) > 1 else options.device,  # the processes of several have copies of their own
        **_of(options, "dtype", "joining", "revision", "max_length"),
    )
    how = _of(options, "batch_size", "max_tokens_per_batch", "truncate_dim", "precision")
    what = _of(options, "chunk_size", "with_text", "restart")
    with ExitStack() as stack:
        pool = stack.enter_context(embedder.start_pool(devices)) if len(devices) > 1 else None
        encode_file(embedder, source, options.output, pool=pool, say=_say, **how, **what)


def _of(options: Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(options, name) for name in names}


def main() -> NoReturn:
    """Console script."""
    options = parser().parse_args()
    sys.exit(told(lambda: work(options)))


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
