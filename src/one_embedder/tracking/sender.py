"""A program of its own: send one offline W&B run while it is written, and end with whoever started it.

``python -m one_embedder.tracking.sender FOLDER``, with a pipe as standard input that is closed to end it.
"""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Hand over to W&B's own command."""
    threading.Thread(target=_end_with_the_pipe, daemon=True).start()
    from wandb.cli.cli import cli

    cli(["beta", "sync", "--live", sys.argv[1]], standalone_mode=False)


def _end_with_the_pipe() -> None:
    # Not through `sys.stdin`, whose lock would be held when the program ends by itself.
    while os.read(0, 1):
        pass
    os._exit(1)  # W&B's service notices and ends too


if __name__ == "__main__":
    main()
