"""``tracking=online``: runs are written offline, and processes of their own send them while they are written.

So whatever a server does (refuse, hang, lose the connection, deny the key, have the run id in use, be full), the run
does not notice. Once something could not be sent, nothing more is tried in this process: a warning, once, says how to
send it later. What a command waits for is bounded: at its end, ``WAIT_SECONDS`` for all senders together.
"""

from __future__ import annotations

import atexit
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

log = logging.getLogger(__name__)

WAIT_SECONDS = 60.0
"""At most so long a command waits for what is still to be sent when it ends."""
BYTES_PER_SECOND = 1e6
"""A checkpoint may take so much longer."""
_SIDE_BY_SIDE = 4


class Senders:
    """The senders of this process.

    Attributes:
        given_up: whether something could not be sent; nothing is started after that.
    """

    def __init__(self) -> None:
        self.given_up = False
        self._running: list[_Sender] = []

    def start(self, run: Path, extra_bytes: int = 0) -> None:
        """Send an offline run from now on, until it is finished.

        Args:
            run: its folder, ``.../wandb/offline-run-...``.
            extra_bytes: of large files that go with it, for which it is given more time.
        """
        self.look()
        if len(self._running) == _SIDE_BY_SIDE:  # those before it are of finished runs: a server that does not answer
            self.wait()
        if self.given_up:
            return
        if not self._running:
            atexit.register(self.wait)
        self._running.append(_Sender(run, WAIT_SECONDS + extra_bytes / BYTES_PER_SECOND))

    def look(self) -> None:
        """Give up if a sender has ended without having sent its run; costs microseconds."""
        for sender in [sender for sender in self._running if sender.process.poll() is not None]:
            self._running.remove(sender)
            if not sender.has_sent():
                self._give_up(sender, sender.reason())

    def wait(self) -> None:
        """Wait for the senders of finished runs, each within its time, and end those that take longer."""
        atexit.unregister(self.wait)
        began = time.monotonic()
        while self._running and not self.given_up:
            sender = self._running[0]
            if not sender.ends_within(sender.seconds - (time.monotonic() - began)):
                self._give_up(sender, f"not sent within {sender.seconds:.0f} s")
            self.look()

    def _give_up(self, sender: _Sender, reason: str) -> None:
        """One warning, whatever else is not sent."""
        for other in [sender, *self._running]:
            other.end()
        self._running = []
        if not self.given_up:
            log.warning(
                "W&B was not reached or did not take a run (%s); from here on its files are only written: "
                "`wandb sync %s` sends them later. Metrics and results are in files anyway",
                reason,
                sender.run.parent / "offline-run-*",
            )
        self.given_up = True


class _Sender:
    """The process that sends one run."""

    def __init__(self, run: Path, seconds: float) -> None:
        self.run, self.seconds = run, seconds
        self._said = run / "logs" / "sender.log"
        self._said.parent.mkdir(parents=True, exist_ok=True)
        # Modes and services that were meant for the run, not for its sending.
        own = {"WANDB_MODE", "WANDB_SERVICE", "WANDB_SILENT", "WANDB_RUN_ID", "WANDB_RESUME"}
        environment = {name: value for name, value in os.environ.items() if name not in own}
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.sender", str(run)],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is the run's; this one ends with the pipe
            )

    def has_sent(self) -> bool:
        """As W&B's command notes it."""
        return any(self.run.glob("*.wandb.synced"))

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended by then, on its own."""
        try:
            self.process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it, if it still runs."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if not self.ends_within(2.0):
            self.process.kill()
            self.process.wait()

    def reason(self) -> str:
        """What it said about what went wrong, else its last words."""
        lines = [line.strip() for line in self._said.read_text(encoding="utf-8", errors="replace").splitlines()]
        told = [line for line in lines if "ERROR" in line or "rror:" in line] or [line for line in lines if line]
        return told[-1].removeprefix("wandb: ").removeprefix("ERROR ")[:300] if told else "its sender said nothing"


SENDERS = Senders()
