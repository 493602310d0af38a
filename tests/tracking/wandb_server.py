"""Stands for a W&B server on this machine: one that takes runs, or one with a trouble."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """What reached the server.

    Attributes:
        url: where it is.
        requests: path and decoded body, in order; of a server that answers.
        connections: of one that does not.
    """

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0

    def history(self) -> list[dict[str, Any]]:
        """The rows of metrics."""
        bodies = [json.loads(body) for path, body in self.requests if path.endswith("/file_stream")]
        chunks = [
            body["files"]["wandb-history.jsonl"] for body in bodies if "wandb-history.jsonl" in body.get("files", {})
        ]
        return [json.loads(line) for chunk in chunks for line in chunk["content"]]


@contextmanager
def wandb_server(trouble: str | None) -> Iterator[Seen]:
    """Run one.

    Args:
        trouble: ``refuse``, ``hang`` or ``reset`` connections, an HTTP status, or None.
    """
    if trouble is None or trouble.isdigit():
        yield from _answering(200 if trouble is None else int(trouble))
    else:
        yield from _silent(trouble)


def _answering(status: int) -> Iterator[Seen]:
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            body = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
            seen.requests.append((self.path, body.decode(errors="replace")))
            answer = _answer(self.path, body, seen.url) if status == 200 else {"errors": [{"message": "no"}]}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # a client that is killed resets its connections
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield seen
        server.shutdown()


def _answer(path: str, body: bytes, url: str) -> dict[str, Any]:
    if path != "/graphql":
        return {}
    asked = json.loads(body)
    variables = asked.get("variables") or {}
    match asked.get("operationName"):
        case "RunResumeStatus":
            return {"data": {"model": None}}
        case "UpsertBucket":
            project = {"id": "P", "name": variables["project"], "entity": {"id": "E", "name": "somebody"}}
            bucket = {"id": "R", "name": variables["name"], "displayName": "a run", "historyLineCount": 0}
            return {"data": {"upsertBucket": {"bucket": bucket | {"project": project}, "inserted": True}}}
        case "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{url}/upload/{name}"} for name in variables["files"]]
            return {"data": {"createRunFiles": {"runID": "R", "uploadHeaders": [], "files": files}}}
        case _:
            return {"data": {}}


def _silent(trouble: str) -> Iterator[Seen]:
    seen, held = Seen(), []
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    seen.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    if trouble == "refuse":
        listening.close()
        yield seen
        return

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            seen.connections += 1
            if trouble == "hang":
                held.append(connection)
            else:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    listening.listen(64)
    threading.Thread(target=accept, daemon=True).start()
    yield seen
    listening.close()
    for connection in held:
        connection.close()
