"""A stand-in for the Hugging Face hub on loopback, so that tests of downloads use the real client and no network."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(?:/(.+))?)?")
_FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")

Files = dict[str, bytes]


@dataclass(frozen=True)
class Request:
    """One request that the hub got; ``range`` is the header of that name, or None."""

    method: str
    path: str
    range: str | None


@dataclass
class Fault:
    """What goes wrong where a request's path contains ``part``.

    Attributes:
        part: piece of the path.
        method: only for this method; None for all.
        status: answer with this status instead of the content.
        error_code: the hub's own word for the error (``RepoNotFound``, ``GatedRepo``, ...), sent with ``status``.
        cut_at: close the connection once this byte of the file is sent; a resumed download ends there too.
        shorten_to: serve the file as if it had only so many bytes.
        delay: seconds before the answer.
        times: how many requests it befalls; None for all.
    """

    part: str
    method: str | None = None
    status: int | None = None
    error_code: str | None = None
    cut_at: int | None = None
    shorten_to: int | None = None
    delay: float = 0.0
    times: int | None = None


@dataclass
class _Repository:
    token: str | None
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)

    def commit_of(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


class StandInHub:
    """Repositories made of local folders, served as the hub serves them to huggingface_hub and datasets.

    Routes, for models and the same with ``datasets`` in their place:

    - ``GET /api/models/{id}`` and ``/api/models/{id}/revision/{revision}``: commit hash and file names
    - ``GET /api/models/{id}/tree/{revision}[/{folder}]?recursive=...``: sizes and blob ids, on one page
    - ``HEAD, GET /{id}/resolve/{revision}/{file}`` (data sets: ``/datasets/{id}/resolve/...``): content with ETag,
      X-Repo-Commit and Content-Length, parts of it by Range

    Unlike the hub it serves large files itself, without a redirect to a storage host and without xet, and it closes
    the connection after each answer, so that nothing answers once it has stopped.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._repositories: dict[tuple[str, str], _Repository] = {}
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> StandInHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Leave: connections are refused from now on."""
        if self._thread.is_alive():
            self._server.stopping.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def commit(
        self, repo_id: str, folder: Path, *, branch: str = "main", kind: str = "models", token: str | None = None
    ) -> str:
        """Add a folder as the newest commit of a branch; the repository is made if needed.

        Args:
            repo_id: ``owner/name``.
            folder: its files are read now; later changes are not served.
            branch: which name points to the commit.
            kind: ``models`` or ``datasets``.
            token: without it, the whole repository is private.

        Returns:
            The commit's hash, another name for it.
        """
        files = {str(path.relative_to(folder).as_posix()): path.read_bytes() for path in _files(folder)}
        content = "".join(f"{name} {_blob_id(data)}\n" for name, data in files.items())
        commit = hashlib.sha1(f"{repo_id} {content}".encode()).hexdigest()
        repository = self._repositories.setdefault((kind, repo_id), _Repository(token))
        repository.commits[commit] = files
        repository.branches[branch] = commit
        return commit

    def fault(self, part: str, **what: Any) -> None:
        """Let requests go wrong from now on; see Fault."""
        self._faults.append(Fault(part, **what))

    def heal(self) -> None:
        """Take all faults away."""
        self._faults.clear()

    def asked(self, part: str = "", method: str | None = None) -> list[Request]:
        """Requests so far whose path contains ``part``."""
        return [request for request in self.requests if part in request.path and method in (None, request.method)]

    def befalls(self, request: Request) -> Fault | None:
        """The first fault that meets a request, counted."""
        with self._lock:
            for fault in self._faults:
                if fault.part in request.path and fault.method in (None, request.method) and fault.times != 0:
                    fault.times = None if fault.times is None else fault.times - 1
                    return fault
        return None

    def repository(self, kind: str, repo_id: str) -> _Repository | None:
        """What is served under an id."""
        return self._repositories.get((kind, repo_id))


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: StandInHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self.stopping = threading.Event()

    def handle_error(self, *where: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that waits no longer is no error
            super().handle_error(*where)


class _Refused(Exception):
    """An answer that is an error: status and the hub's word for it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    fault: Fault

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Tests read ``StandInHub.requests`` instead."""

    def _answer(self) -> None:
        request = Request(self.command, unquote(self.path), self.headers.get("Range"))
        self.server.hub.requests.append(request)
        self.fault = self.server.hub.befalls(request) or Fault("")
        self.server.stopping.wait(self.fault.delay)
        try:
            self._route()
        except _Refused as refused:
            self._send(refused.args[0], json.dumps({"error": "refused"}).encode(), {"X-Error-Code": refused.args[1]})

    def _route(self) -> None:
        if self.fault.status is not None:
            raise _Refused(self.fault.status, self.fault.error_code)
        url = urlsplit(self.path)
        if match := _API.fullmatch(url.path):
            self._send_json(self._describe(*match.groups(), everything="recursive=true" in url.query))
        elif match := _FILE.fullmatch(url.path):
            kind, repo_id, revision, name = match.groups()
            commit, files = self._find(kind or "models", repo_id, unquote(revision))
            self._send_file(commit, files.get(unquote(name)))
        else:
            raise _Refused(404, None)

    def _find(self, kind: str, repo_id: str, revision: str) -> tuple[str, Files]:
        repository = self.server.hub.repository(kind, repo_id)
        if repository is None:
            raise _Refused(404, "RepoNotFound")
        if repository.token not in (None, (self.headers.get("Authorization") or "").removeprefix("Bearer ")):
            # So the client sees it; the hub may leave the word out, which the client makes up for on https alone.
            raise _Refused(401, "RepoNotFound")
        commit = repository.commit_of(revision)
        if commit is None:
            raise _Refused(404, "RevisionNotFound")
        return commit, repository.commits[commit]

    def _describe(
        self, kind: str, repo_id: str, what: str | None, revision: str | None, below: str | None, everything: bool
    ) -> Any:
        commit, files = self._find(kind, repo_id, unquote(revision or "main"))
        if what != "tree":
            return {"id": repo_id, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        folder = unquote(below or "")
        listed = [entry for entry in _entries(files) if _is_below(entry["path"], folder, everything)]
        if folder and not listed:
            raise _Refused(404, "EntryNotFound")
        return listed

    def _send_file(self, commit: str, content: bytes | None) -> None:
        if content is None:
            raise _Refused(404, "EntryNotFound")
        headers = {"ETag": f'"{_blob_id(content)}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.fault.shorten_to is not None:
            content = content[: self.fault.shorten_to]
        wanted = _RANGE.fullmatch(self.headers.get("Range") or "")
        if wanted is None:
            self._send(200, content, headers)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
        if first > last:
            raise _Refused(416, None)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(206, content[first : last + 1], headers, first)

    def _send_json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str | None], first: int = 0) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            cut = self.fault.cut_at
            self.wfile.write(content if cut is None else content[: max(cut - first, 0)])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _blob_id(content: bytes) -> str:
    """Git's hash of a file, which the hub gives as its ETag."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def _entries(files: Files) -> Iterator[dict[str, Any]]:
    """Files and folders as the hub lists them."""
    for folder in sorted({str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}):
        yield {"type": "directory", "path": folder, "oid": hashlib.sha1(folder.encode()).hexdigest(), "size": 0}
    for name, content in files.items():
        yield {"type": "file", "path": name, "oid": _blob_id(content), "size": len(content)}


def _is_below(path: str, folder: str, everything: bool) -> bool:
    parents = [str(parent).removeprefix(".") for parent in PurePosixPath(path).parents]
    return folder in parents if everything else folder == parents[0]
