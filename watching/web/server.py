"""HTTP for the operator's view: read-only, small, with short time limits. What the answers are, others decide."""

import errno
import ipaddress
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from basics.boundary import error_boundary
from basics.text import printable

logger = logging.getLogger(__name__)

DEFAULT_ADDRESS = "127.0.0.1:8186"
"""Where `main.py status` asks when nothing says otherwise."""

PATIENCE = 10.0
"""Seconds that a connection gets from its first byte to its last: a browser needs some milliseconds."""

MOST_CONNECTIONS = 32
"""How many may be open at once; one more, and the oldest is closed."""

SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer, errors too: nothing but what this server itself sends may be loaded, run, framed or kept."""

PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa")
"""Of names that nobody outside can let point to this machine."""


class AddressError(Exception):
    """What was given as address cannot be listened on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen, or whom to ask."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL that reaches it from this machine: of all its addresses, the one that stays inside."""
        here = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- not listened on, but replaced
        return f"http://{Address(here.get(self.host, self.host), self.port)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets."""

    content: bytes
    kind: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Site = Callable[[str], Answer]
"""From the path of a request, without its query and decoded, to the answer."""


# ---------------------------------------------------------------- addresses


def parse_address(text: str) -> Address:
    """`127.0.0.1:8186`, `[::1]:8186`, `name:8186`; port 0 means any free one. Raises AddressError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if not match or int(match[3]) > 65_535 or not _is_host(match[1], match[2]):
        raise AddressError(
            f"{printable(text)!r} is no address for HTTP: write ADDRESS:PORT, such as {DEFAULT_ADDRESS} (for this "
            "machine only) or 0.0.0.0:8186 (for everybody)"
        )
    return Address(match[1] or match[2], int(match[3]))


def _is_host(ipv6: str | None, name: str | None) -> bool:
    try:
        if ipv6:
            ipaddress.IPv6Address(ipv6)
        elif name and re.fullmatch(r"[0-9.]+", name):  # digits and dots only: nothing but an IPv4 address
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def listen(address: Address) -> socket.socket:
    """A listening socket. Raises AddressError when the port is taken or the address is not of this machine."""
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(place[:2], family=family, backlog=MOST_CONNECTIONS)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
        hint = " (by another daemon?)" if error.errno == errno.EADDRINUSE else ""
        raise AddressError(
            f"cannot listen on {address}: {reason}{hint}; choose another address with --http"
        ) from None


def bound_address(listener: socket.socket) -> Address:
    """Where a socket really listens: with the port that was chosen for port 0."""
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def is_own_name(host: str, known: Sequence[str]) -> bool:
    """Whether a request with this Host header can be meant for this server.

    A page of somebody else's, whose name he lets point to this machine (DNS rebinding), could have a browser read
    what only this machine may see. Such a name has dots, and is none of the `known` ones.
    """
    name = re.sub(r":[0-9]*$", "", host.strip()).rstrip(".").lower()
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return "." not in name or name.endswith(PRIVATE_SUFFIXES) or name in (k.lower() for k in known)
    return True


# ---------------------------------------------------------------- the server


class _Handler(BaseHTTPRequestHandler):
    """One connection, one request, one answer."""

    server: "_Server"
    server_version, sys_version = "influxdb-backup", ""
    timeout = PATIENCE

    def do_GET(self) -> None:
        name = self.headers.get("Host", "localhost")
        if not is_own_name(name, self.server.names):
            self.send_error(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"{printable(name)!r} is not known as a name of this daemon: set BACKUP_HTTP_HOSTS for it to "
                "that name, or ask by IP address",
            )
            return
        try:
            path = urlsplit(self.path).path
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        with error_boundary() as outcome:
            answer = self.server.site(unquote(path, errors="surrogateescape"))
        if outcome.problem:
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the daemon's log tells more")
        else:
            self._send(answer)

    do_HEAD = do_GET  # noqa: N815

    def _refuse(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "this server only answers questions: GET and HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """A line of text in place of a page of HTML."""
        status = HTTPStatus(code)
        self._send(Answer(f"{status.value} {message or status.phrase}\n".encode(), status=status))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        for name, value in SAFE_HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        logger.debug("%s: %s", self.client_address[0], printable(format % args))


class _Server(ThreadingHTTPServer):
    """A thread for each connection; none of them lives long, whatever the other side does."""

    def __init__(self, listener: socket.socket, site: Site, names: Sequence[str]) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket, self.site, self.names = listener, site, names
        self.socket.setblocking(False)  # noqa: FBT003 -- a connection that is gone again must not hold up the next
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self._lock:
            if len(self._open) >= MOST_CONNECTIONS:
                oldest = min(self._open, key=lambda connection: self._open[connection])
                del self._open[oldest]
                _cut(oldest)
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Twice a second: end what takes too long, so that no number of slow clients keeps others out."""
        with self._lock:
            for connection, since in self._open.items():
                if time.monotonic() - since > PATIENCE:
                    _cut(connection)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Called in an `except`: mostly a client that went away, which is nothing to speak of."""
        level = logging.DEBUG if isinstance(sys.exc_info()[1], OSError) else logging.ERROR
        logger.log(level, "an HTTP request ended early", exc_info=True)


def _cut(connection: socket.socket) -> None:
    """Whatever its thread waits for, ends."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class HttpServer:
    """Answers requests in threads of its own until it is closed."""

    def __init__(self, listener: socket.socket, site: Site, names: Sequence[str] = ()) -> None:
        """`names`: by which others call this machine, besides its IP addresses and names without dots."""
        self._server = _Server(listener, site, (socket.gethostname(), *names))
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and close the listening socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
