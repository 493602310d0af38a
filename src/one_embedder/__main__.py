"""``one-embedder VERB ...`` and ``python -m one_embedder VERB ...``: every verb under one name."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module

VERBS = {
    "build_medi": "raw sources -> MEDI, the training data",
    "train": "MEDI -> a checkpoint and its run record",
    "evaluate": "a checkpoint -> one result file per task",
    "evaluate_views": "a model -> how far instructions steer it, one result file per view set",
    "reproduce": "everything up to Table 1 or an ablation's table, with verdicts",
    "demo": "ten sentences and their nearest neighbours, by subject or by type as the instruction says",
    "encode": "a file of texts -> a file of embeddings",
    "compare": "models and a folder of tasks -> one table with intervals",
    "convert": "a model folder -> one that plain sentence-transformers reads right",
    "push": "a run's checkpoint -> a model on the Hugging Face hub, after a question",
}
EXIT_USER_ERROR = 2


def main() -> None:
    """Hand the rest of the command line to the verb, as ``python -m one_embedder.VERB`` gets it."""
    verb, *arguments = sys.argv[1:] or ["--help"]
    if verb in ("--help", "-h"):
        sys.stdout.write(_help())
        return
    if verb not in VERBS:
        sys.stderr.write(f"error: unknown verb {verb!r}: one of {', '.join(VERBS)}{_meant(verb)}\n")
        sys.exit(EXIT_USER_ERROR)
    sys.argv = [f"one-embedder {verb}", *arguments]
    import_module(f"one_embedder.{verb}").main()


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:{width}}  {what}" for verb, what in VERBS.items())
    return f"one-embedder VERB ...\n\n{verbs}\n\none-embedder VERB --help tells the verb's settings.\n"


def _meant(verb: str) -> str:
    close = get_close_matches(verb.replace("-", "_"), VERBS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


if __name__ == "__main__":
    main()
