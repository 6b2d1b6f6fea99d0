"""A server on this machine that speaks OpenAI's chat completions, well or badly, as a test tells it to."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler, dict[str, Any], int], None]


def good(text: str = "A dog runs along a beach.", finish: str = "stop", **message: Any) -> Reply:
    """An answer as it should be. `{n}` in the text becomes the number of the request."""

    def reply(handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
        choice = {"finish_reason": finish, "message": {"content": text.replace("{n}", str(number)), **message}}
        send(handler, 200, {"choices": [choice], "usage": {"prompt_tokens": 1000, "completion_tokens": 20}})

    return reply


def status(code: int, error: Any = "no", **headers: str) -> Reply:
    return lambda handler, body, number: send(handler, code, {"error": error}, headers)


def raw(data: bytes, kind: str = "application/json", length: int | None = None) -> Reply:
    """These bytes; a length larger than theirs breaks the answer off."""

    def reply(handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)
        handler.close_connection = True

    return reply


def slow(seconds: float, then: Reply) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
        time.sleep(seconds)
        then(handler, body, number)

    return reply


def dripping(seconds: float) -> Reply:
    """A byte now and then: no single wait is long, the whole is."""

    def reply(handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            time.sleep(0.05)

    return reply


def hang_up(handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
    handler.connection.close()


def send(handler: BaseHTTPRequestHandler, code: int, body: Any, headers: dict[str, str] | None = None) -> None:
    data = json.dumps(body).encode()
    handler.send_response(code)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(data)),
        **(headers or {}),
    }.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


class Server:
    """What it was asked. replies: one a request, the last for all that follow."""

    def __init__(self, replies: list[Reply]) -> None:
        self.replies = replies
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.headers.append(dict(handler.headers))
            self.paths.append(handler.path)
            self.times.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.replies[min(number, len(self.replies) - 1)](handler, body, number)
        finally:
            with self.lock:
                self.at_once -= 1


@contextmanager
def listening(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers every request so, each in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            with suppress(OSError):  # the client has gone
                answer(self)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        httpd.server_close()


@contextmanager
def serving(*replies: Reply) -> Iterator[Server]:
    server = Server(list(replies))
    with listening(server.handle) as url:
        server.url = f"{url}/v1"
        yield server
