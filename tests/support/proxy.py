"""A proxy between the tool and a server that breaks exchanges on purpose, and counts how often it did.

    with Proxy(server.url) as proxy:
        fault = proxy.inject(cut_response(100), endpoint="query", first=3, count=2)
        ...  # work through proxy.url
        assert fault.injected == 2

Without a fault it is transparent. It knows HTTP/1.1 well enough to tell where bodies begin and end, so it can also
break an answer in ways that HTTP does not notice. What a fault does is an `Action`; the functions below make them.
Places in a body or an answer are counts of bytes, from the end when negative, or shares of its length when floats.
"""

from __future__ import annotations

import gzip
import http.client
import itertools
import random
import select
import socket
import struct
import sys
import threading
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import msgpack

Place = int | float
FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
"""Headers that belong to one of the two connections; the proxy makes its own."""
BODILESS = frozenset({204, 304})
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Login</title></head><body>Please log in.</body></html>"


@dataclass(frozen=True)
class Answer:
    """An answer of the server's, without its framing; `body` can be gone through once."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: Iterable[bytes]
    chunked: bool

    def whole(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.body)

    def wire(self) -> Iterator[bytes]:
        """The answer as it is sent, properly framed, in pieces."""
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]
        if self.chunked:
            yield _head([*lines, "Transfer-Encoding: chunked"])
            for piece in self.body:
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
            yield b"0\r\n\r\n"
        elif self.status in BODILESS:
            yield _head(lines)
        else:
            body = self.whole()
            yield _head([*lines, f"Content-Length: {len(body)}"])
            yield body


def _head(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


class Exchange:
    """One request on its way through, and all that an action can do with it."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._proxy = handler.server.proxy
        self.fault: Fault | None = None
        self._upstream: http.client.HTTPConnection | None = None
        self._unread = self.length = int(handler.headers.get("Content-Length", 0))
        self._ahead = b""
        self.endpoint = urllib.parse.urlsplit(handler.path).path.rsplit("/", 1)[-1]

    @property
    def parameters(self) -> dict[str, str]:
        """What stands in the address."""
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self._handler.path).query))

    def read(self, most: int | None = None) -> bytes:
        """The rest of the request's body, or so many bytes of it."""
        wanted = self._unread if most is None else min(most, self._unread)
        found, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        found += self._handler.rfile.read(wanted - len(found))
        if len(found) < wanted:
            raise ConnectionAbortedError("the client left in the middle of its request")
        self._unread -= wanted
        return found

    def text(self) -> str:
        """What a query asks, or the lines of a write; the body can be read afterwards all the same."""
        self._ahead = body = self.read()
        self._unread = len(body)
        if self.endpoint != "query":
            is_packed = self._handler.headers.get("Content-Encoding") == "gzip"
            return (gzip.decompress(body) if is_packed else body).decode("utf-8", "replace")
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(self._handler.path).query)
        return "; ".join((asked | urllib.parse.parse_qs(body.decode())).get("q", []))

    def ask(self, pieces: Iterable[bytes], length: int) -> None:
        """Send the request upstream: `length` is what its head says, `pieces` are what comes."""
        upstream = self._proxy.connect()
        self._upstream = upstream
        upstream.putrequest(self._handler.command, self._handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self._handler.headers.items():
            if name.lower() not in FRAMING | {"accept-encoding"}:
                upstream.putheader(name, value)
        encoding = "gzip" if self._proxy.compressed else self._handler.headers.get("Accept-Encoding")
        if encoding:
            upstream.putheader("Accept-Encoding", encoding)
        if length or self._handler.command == "POST":
            upstream.putheader("Content-Length", str(length))
        upstream.endheaders()
        for piece in pieces:
            upstream.send(piece)

    def answer(self) -> Answer:
        """What the server answers; the body of a chunked answer is still on its way."""
        if self._upstream is None:
            body = self.read()
            self.ask([body], len(body))
        assert self._upstream is not None
        response = self._upstream.getresponse()
        chunked = response.chunked is True
        return Answer(
            response.status,
            response.reason,
            tuple((name, value) for name, value in response.getheaders() if name.lower() not in FRAMING),
            iter(lambda: response.read1(1 << 16), b"") if chunked else [response.read()],
            chunked,
        )

    def send(self, pieces: Iterable[bytes]) -> None:
        """Send bytes to the client, a packet for each piece."""
        for piece in pieces:
            self._handler.connection.sendall(piece)

    def reset(self) -> None:
        """End both connections at once, by a reset."""
        connections = [self._handler.connection, self._upstream and self._upstream.sock]
        for connection in filter(None, connections):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._handler.close_connection = True

    def pass_unharmed(self) -> None:
        """There is nothing that the action could break: it does not count, and another request may be hit."""
        if self.fault is not None:
            self._proxy.take_back(self.fault)

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the proxy lives."""
        self._proxy.closing.wait(seconds)

    def wait_for(self, event: threading.Event) -> None:
        """Wait for it, but not longer than the proxy lives."""
        while not (event.wait(0.02) or self.is_abandoned()):
            continue

    def is_abandoned(self) -> bool:
        """Whether the proxy closes: what has not arrived by now never does."""
        return self._proxy.closing.is_set()

    def keep_silent(self) -> None:
        """Say nothing until the client has left."""
        self._handler.close_connection = True
        connection = self._handler.connection
        while not self._proxy.closing.is_set():
            if select.select([connection], [], [], 0.05)[0] and not connection.recv(1, socket.MSG_PEEK):
                return

    def close(self) -> None:
        """Close the connection to the server."""
        if self._upstream is not None:
            self._upstream.close()


Action = Callable[[Exchange], None]
"""Serves an exchange, in a broken way; or tells it that there was nothing to break."""


@dataclass
class Fault:
    """An action, and the requests that it is for. `injected` says how often it was done.

    Of the requests to `endpoint` (all, when empty) the ones from the `first` on, until it was injected `count`
    times (or without an end); of these a random `share`.
    """

    act: Action
    endpoint: str = ""
    first: int = 1
    count: int | None = 1
    share: float = 1.0
    seed: int = 0
    injected: int = 0
    _seen: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def takes(self, endpoint: str) -> bool:
        """Whether it breaks this request; it is counted."""
        if self.endpoint not in {"", endpoint}:
            return False
        self._seen += 1
        if self._seen < self.first or self.injected == self.count or self._random.random() >= self.share:
            return False
        self.injected += 1
        return True


class Proxy:
    """Listens on a loopback port in front of the server at `upstream`, from the start until `close()`.

    `compressed` has the server compress its answers, as it does for clients on other machines.
    """

    def __init__(self, upstream: str, *, compressed: bool = False) -> None:
        self.compressed = compressed
        self.closing = threading.Event()
        self.seen: Counter[str] = Counter()
        self.bugs: list[BaseException] = []
        self._where = urllib.parse.urlsplit(upstream)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._listener = _Listener(self)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return self._listener.connections

    def inject(
        self,
        act: Action,
        endpoint: str = "",
        *,
        first: int = 1,
        count: int | None = 1,
        share: float = 1.0,
        seed: int = 0,
    ) -> Fault:
        """Break some of the requests that come from now on; Fault says which. Faults injected before go first."""
        fault = Fault(act, endpoint, first, count, share, seed)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """No faults any more, and count the requests anew."""
        with self._lock:
            self._faults.clear()
            self.seen.clear()

    def connect(self) -> http.client.HTTPConnection:
        """A new connection to the server."""
        assert self._where.hostname is not None
        connection = http.client.HTTPConnection(self._where.hostname, self._where.port or 80)
        connection.connect()
        return connection

    def serve(self, exchange: Exchange) -> None:
        """Let one exchange through, or break it."""
        with self._lock:
            self.seen[exchange.endpoint] += 1
            fault = next((fault for fault in self._faults if fault.takes(exchange.endpoint)), None)
        if fault is None:
            forward(exchange)
        else:
            exchange.fault = fault
            fault.act(exchange)

    def take_back(self, fault: Fault) -> None:
        """The fault was not injected after all."""
        with self._lock:
            fault.injected -= 1

    def close(self) -> None:
        """Stop listening, and raise what went wrong in the proxy itself."""
        self.closing.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.close_connections()
        self._listener.server_close()
        if self.bugs:
            raise self.bugs[0]

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Listener(ThreadingHTTPServer):
    """A thread for each connection."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 -- as inherited
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 -- as inherited
        """Close without the polite end that is usual here, so that a reset is a reset."""
        self._connections.discard(request)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 -- as inherited
        """A lost connection is everyday life here; anything else is a mistake of the proxy's."""
        error = sys.exception()
        if error and not isinstance(error, (ConnectionError, http.client.HTTPException)):
            self.proxy.bugs.append(error)

    def close_connections(self) -> None:
        """End the threads that wait for another request."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was just closed by its own thread


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client's."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return self.send_error(411)
        exchange = Exchange(self)
        try:
            return self.server.proxy.serve(exchange)
        finally:
            exchange.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as inherited
        """Nothing: the proxy counts, it does not talk."""


# ---- what can be done to an exchange


def forward(exchange: Exchange) -> None:
    """Nothing: the transparent proxy."""
    exchange.send(exchange.answer().wire())


def only(wanted: Callable[[str], object], act: Action) -> Action:
    """The action for requests whose text is wanted; it does not count for others."""

    def chosen(exchange: Exchange) -> None:
        if wanted(exchange.text()):
            return act(exchange)
        exchange.pass_unharmed()
        return forward(exchange)

    return chosen


class Gate:
    """An action that holds requests until it is opened: so long their client stays in the middle of its work.

    `first` of `Proxy.inject` says which is the first that is held. Those that it holds when the proxy closes never
    arrive.
    """

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        """Serve a request."""
        self._reached.set()
        exchange.wait_for(self._opened)
        if exchange.is_abandoned():
            exchange.reset()
        else:
            forward(exchange)

    def is_reached(self) -> bool:
        """Whether a request came."""
        return self._reached.is_set()

    def is_open(self) -> bool:
        """Whether nothing is held any more."""
        return self._opened.is_set()

    def open(self) -> None:
        """All of them go on."""
        self._opened.set()


def when(holds: Callable[[], object], act: Action) -> Action:
    """The action for requests that come while the condition holds; it does not count for others."""

    def chosen(exchange: Exchange) -> None:
        if holds():
            return act(exchange)
        exchange.pass_unharmed()
        return forward(exchange)

    return chosen


def before(happens: Callable[[], object]) -> Action:
    """Something happens just before the server gets the request, which nothing else is done to."""

    def act(exchange: Exchange) -> None:
        happens()
        forward(exchange)

    return act


def reset_request(at: Place) -> Action:
    """A reset after a part of the request's body; the server sees the same part and the same reset."""

    def act(exchange: Exchange) -> None:
        part = exchange.read(_index(at, exchange.length))
        if part:
            exchange.ask([part], exchange.length)
        exchange.reset()

    return act


def reset_response(at: Place) -> Action:
    """A reset after a part of the answer: 0 swallows an answer whose request the server has carried out."""

    def act(exchange: Exchange) -> None:
        wire = b"".join(exchange.answer().wire())
        exchange.send([wire[: _index(at, len(wire))]])
        exchange.reset()

    return act


def black_hole(*, carried_out: bool = False) -> Action:
    """No answer, ever; `carried_out`: the server got the request, and only its answer is lost."""

    def act(exchange: Exchange) -> None:
        if carried_out:
            exchange.answer().whole()
        else:
            exchange.read()
        exchange.keep_silent()

    return act


def delay(request: float = 0.0, response: float = 0.0) -> Action:
    """Seconds on the way to the server, and on the way back."""

    def act(exchange: Exchange) -> None:
        body = exchange.read()
        exchange.pause(request)
        exchange.ask([body], len(body))
        answer = exchange.answer()
        exchange.pause(response)
        exchange.send(answer.wire())

    return act


def throttle(bytes_per_second: int = 1000) -> Action:
    """A thin line, both ways."""

    def act(exchange: Exchange) -> None:
        def slowly(pieces: Iterable[bytes]) -> Iterator[bytes]:
            size = max(1, bytes_per_second // 20)
            for piece in _sliced(pieces, size):
                exchange.pause(len(piece) / bytes_per_second)
                yield piece

        exchange.ask(slowly([exchange.read()]), exchange.length)
        exchange.send(slowly(exchange.answer().wire()))

    return act


def slices(size: int = 1) -> Action:
    """So few bytes in each packet, both ways."""

    def act(exchange: Exchange) -> None:
        exchange.ask(_sliced([exchange.read()], size), exchange.length)
        exchange.send(_sliced(exchange.answer().wire(), size))

    return act


def cut_request(at: Place) -> Action:
    """The end of the request's body is missing, and its Content-Length says that this is all."""
    return _changed_request(lambda body: body[: _index(at, len(body))])


def damage_request(at: Place) -> Action:
    """One byte of the request's body arrives as another."""

    def flip(body: bytes) -> bytes:
        place = min(_index(at, len(body)), len(body) - 1)
        return body[:place] + bytes([body[place] ^ 0x55]) + body[place + 1 :] if body else body

    return _changed_request(flip)


def _changed_request(change: Callable[[bytes], bytes]) -> Action:
    def act(exchange: Exchange) -> None:
        body = exchange.read()
        changed = change(body)
        if changed == body:
            exchange.pass_unharmed()
        exchange.ask([changed], len(changed))
        exchange.send(exchange.answer().wire())

    return act


def cut_response(at: Place) -> Action:
    """The end of the answer's body is missing, and the framing says that this is all."""
    return _changed_response(lambda body: body[: _index(at, len(body))])


def cut_documents(at: int) -> Action:
    """Of an answer in msgpack only the first so many documents (or all but the last, when negative)."""
    return _changed_response(lambda body: b"".join(documents(body)[:at]))


def error_document(text: str, after: int = 0) -> Action:
    """After so many documents (of all, when there are fewer) comes an error instead of the rest: status 200."""
    error: bytes = msgpack.packb({"results": [{"statement_id": 0, "error": text}]})
    return _changed_response(lambda body: b"".join([*documents(body)[:after], error]))


def _changed_response(change: Callable[[bytes], bytes]) -> Action:
    def act(exchange: Exchange) -> None:
        answer = exchange.answer()
        body = answer.whole()
        changed = change(body)
        if changed == body:
            exchange.pass_unharmed()
        exchange.send(replace(answer, body=[changed] if changed else []).wire())

    return act


def respond(
    status: int, body: bytes = b"", kind: str = "text/html", *, carried_out: bool = False, **headers: str
) -> Action:
    """Another answer than the server's, who never saw the request (or did: `carried_out`)."""

    def act(exchange: Exchange) -> None:
        if carried_out:
            exchange.answer().whole()
        else:
            exchange.read()
        lines = [("Content-Type", kind)] * bool(body) + list(headers.items())
        reason = http.client.responses[status]
        exchange.send(Answer(status, reason, tuple(lines), [body], chunked=False).wire())

    return act


def forget() -> Action:
    """A write is acknowledged and never done, as InfluxDB does with one into a shard whose cache it is freeing."""

    def act(exchange: Exchange) -> None:
        exchange.read()
        exchange.send(Answer(204, "No Content", (("X-Influxdb-Version", "1.6.7"),), [], chunked=False).wire())

    return act


def documents(body: bytes) -> list[bytes]:
    """The documents of an answer in msgpack, as they are."""
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(body)
    ends = [0, *(unpacker.tell() for _ in unpacker)]
    return [body[a:b] for a, b in itertools.pairwise(ends)]


def _index(at: Place, length: int) -> int:
    place = int(at * length) if isinstance(at, float) else at + length if at < 0 else at
    return min(max(place, 0), length)


def _sliced(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    return (piece[i : i + size] for piece in pieces for i in range(0, len(piece), size))
