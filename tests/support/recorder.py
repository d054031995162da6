"""A web server that writes down what it is sent, and can refuse, hang or be gone: chat services, checks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request."""

    method: str
    path: str
    body: str

    @property
    def json(self) -> dict[str, str]:
        """The body, as Apprise's json:// sends it: title, message, type."""
        found: dict[str, str] = json.loads(self.body)
        return found


@dataclass
class Recorder:
    """Its address, what it answers, and all that it got while it answered 2xx (`taken`) or at all (`requests`)."""

    port: int = 0
    status: int = 200
    hanging: bool = False
    requests: list[Received] = field(default_factory=list)
    taken: list[Received] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def at(self, path: str) -> list[Received]:
        """What was taken there."""
        return [request for request in self.taken if request.path == path]

    def titles(self, path: str) -> list[str]:
        """Of the messages that were taken there."""
        return [request.json["title"] for request in self.at(path)]

    def answer(self, request: Received) -> int:
        """Write it down."""
        self.requests.append(request)
        if self.hanging:
            self.released.wait(30)
        if 200 <= self.status < 300:
            self.taken.append(request)
        return self.status


@contextmanager
def recorder(port: int = 0) -> Iterator[Recorder]:
    """A server on loopback."""
    found = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            status = found.answer(Received(self.command, self.path, body))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        do_GET = do_HEAD = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """No lines on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that gave up
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        found.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
