"""A server on this machine that serves repositories as the hub does, well or badly, as a test tells it to."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from servers import listening

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Fault = Callable[[BaseHTTPRequestHandler, bytes, int], None]  # (handler, the file, where it should begin)


def cut_after(count: int) -> Fault:
    """Promise all of it, give so many bytes, hang up."""

    def fault(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
        head(handler, data, start)
        handler.wfile.write(data[start : start + count])
        handler.wfile.flush()
        handler.connection.close()

    return fault


def wrong_bytes(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
    head(handler, data, start)
    handler.wfile.write(bytes(byte ^ 1 for byte in data[start:]))


def status(code: int, **headers: str) -> Fault:
    def fault(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def page(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
    """What a hotel's network answers: 200 and a login page."""
    body = b"<html>please log in</html>"
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def no_ranges(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
    """Always from the beginning, whatever was asked for."""
    head(handler, data, 0)
    handler.wfile.write(data)


def silent(seconds: float) -> Fault:
    def fault(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
        time.sleep(seconds)
        handler.connection.close()

    return fault


def dripping(seconds: float) -> Fault:
    """A byte now and then: no wait is long, the whole is."""

    def fault(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
        head(handler, data, start)
        end = time.monotonic() + seconds
        for at in range(start, len(data)):
            if time.monotonic() > end:
                return
            handler.wfile.write(data[at : at + 1])
            handler.wfile.flush()
            time.sleep(0.02)

    return fault


def head(handler: BaseHTTPRequestHandler, data: bytes, start: int) -> None:
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - start))
    handler.end_headers()


class Hub:
    """repositories: id -> {path: bytes}. faults: path -> what to do with its next requests, one each, then well.

    asked: (path, Range) of every request. secrets: Authorization headers that came.
    """

    def __init__(self, repositories: dict[str, dict[str, bytes]]) -> None:
        self.repositories = repositories
        self.faults: dict[str, list[Fault]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.secrets: list[str] = []
        self.redirect = False  # as the hub does: to another server that holds the bytes
        self.url = ""

    def starts(self, name: str) -> list[int]:
        """Where the requests for a file began."""
        found = [reach for path, reach in self.asked if path.endswith(f"/{name}") and not path.startswith("/elsewhere")]
        return [int(reach.removeprefix("bytes=").partition("-")[0]) if reach else 0 for reach in found]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        reach = handler.headers.get("Range")
        self.asked.append((path, reach))
        if "Authorization" in handler.headers:
            self.secrets.append(handler.headers["Authorization"])
        elsewhere, path = path.startswith("/elsewhere/"), path.removeprefix("/elsewhere")
        api = path.startswith("/api/models/")
        repository = "/".join(path.removeprefix("/api/models").split("/")[1:3])
        files = self.repositories.get(repository)
        if files is None:
            status(404)(handler, b"", 0)
            return
        name = "api" if api else path.split("/", 5)[5]
        data = self.description(repository, "blobs=true" in query) if api else files.get(name, b"")
        start = int(reach.removeprefix("bytes=").partition("-")[0]) if reach else 0
        queue = self.faults.get(name, [])
        if self.redirect and not api and not elsewhere:
            status(302, Location=f"/elsewhere{path}")(handler, data, 0)
        elif queue:
            queue.pop(0)(handler, data, start)
        elif name not in files and not api:
            status(404)(handler, b"", 0)
        elif start >= len(data) > 0:
            status(416)(handler, data, start)
        else:
            head(handler, data, start)
            handler.wfile.write(data[start:])

    def description(self, repository: str, blobs: bool) -> bytes:
        siblings = [
            self.entry(name, data) if blobs else {"rfilename": name}
            for name, data in self.repositories[repository].items()
        ]
        return json.dumps({"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}).encode()

    @staticmethod
    def entry(name: str, data: bytes) -> dict[str, Any]:
        """Weights are kept outside Git and known by their SHA-256, small files by Git's own name for them."""
        git = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        found: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": git}
        if name.endswith((".safetensors", ".model")):
            found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        return found


@contextmanager
def serving(repositories: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    hub = Hub(repositories)
    with listening(hub.answer) as hub.url:
        yield hub
