"""Web servers that are no InfluxDB: one answer to everything, written down if need be."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import ClassVar


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on loopback; yields its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Page(BaseHTTPRequestHandler):
    """Answers everything with the same page."""

    status: ClassVar[int] = 200
    answer_headers: ClassVar[Mapping[str, str]] = MappingProxyType({"Content-Type": "text/html"})
    content: ClassVar[bytes] = b"<html>Please log in</html>"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        for name, value in self.answer_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    do_GET = do_POST = do_CONNECT = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """No lines on the console."""


def page(
    status: int, headers: Mapping[str, str], content: bytes = b"", *, requests: list[str] | None = None
) -> type[Page]:
    """A page of one's own; `requests` gets the request line and the headers of each request."""

    class Own(Page):
        def _answer(self) -> None:
            if requests is not None:
                requests.append(f"{self.requestline}\n{self.headers}")
            super()._answer()

        do_GET = do_POST = do_CONNECT = _answer  # noqa: N815

    Own.status, Own.answer_headers, Own.content = status, headers, content
    return Own
