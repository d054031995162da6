"""The HTTP connection to one InfluxDB server: requests, retries, whole answers, acknowledged writes.

Knows what a request and an answer are, not what is asked. Every error is an `InfluxError` (errors.py draws the
tree); retries.py makes failed requests again.
"""

import gzip
import logging
import re
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth

from basics.sessions import PlainSession
from basics.stopping import StopRequest
from basics.urls import same_host, without_credentials
from influx import answers, error_texts
from influx.answers import Series
from influx.errors import (
    AccessDenied,
    IncompleteAnswer,
    InfluxError,
    Overloaded,
    QueryRefused,
    QueryTooLarge,
    Unreachable,
)
from influx.listener import RequestListener
from influx.retries import Retries
from settings.keys import Server

logger = logging.getLogger(__name__)
T = TypeVar("T")

VERSION = "X-Influxdb-Version"
"""The header that every answer of InfluxDB has, errors too; those that a proxy makes do not have it."""

LONGEST_TARGET = 200
"""How many characters of a redirect's target a message shows."""

DOCUMENT_ROWS = 10_000
"""How many rows one document of an answer holds, unless fewer are asked for."""

PROOF = "SHOW DATABASES"
"""The last statement of a request, whose answer is one document. Those that list tag keys are several, and none
says that another one follows.
"""

STORED_BLOCK = 0xFFFF
"""How many bytes a block of gzip holds at most when it is not compressed."""

_GZIP_HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_BLOCK_HEAD = struct.Struct("<BHH")
_GZIP_END = struct.Struct("<II")

STORED_MOST = 10_000_000
"""How many bytes of a request are sent as they are, within one machine."""

CSV_ROWS = 1000
"""How many rows the server sends at a time as CSV, which has no documents: few, to see when it begins."""


@dataclass(slots=True)
class Meter:
    """What an answer takes: how many bytes it has, and how many seconds until the first and the last of them."""

    size: int = 0
    waited: float = 0.0
    seconds: float = 0.0
    _begun: float = field(default_factory=time.monotonic)

    def see(self, piece: bytes) -> None:
        """Count a piece as it comes."""
        self.seconds = time.monotonic() - self._begun
        if not self.size:
            self.waited = self.seconds
        self.size += len(piece)


class Transport:
    """Safe to use from several threads. `role` names the server in messages ("source", "destination").

    `stopping` interrupts waits between attempts, and answers on their way.
    """

    def __init__(
        self,
        server: Server,
        role: str,
        *,
        timeout: float,
        retries: int,
        retry_delay: float,
        threads: int,
        stopping: StopRequest,
        listener: RequestListener,
    ) -> None:
        self.name = f"{role} {server.url}"
        self._role = role
        self.url = server.url
        self._timeout = timeout
        self._retries = Retries(retries, retry_delay, stopping, listener)
        self._stopping = stopping
        self._answered, self._counting = Counter[str](), threading.Lock()
        # compressing costs more than it saves within one machine
        self._is_local = same_host(server.host) == "localhost"
        self._threads = threads
        self.session = _session(server, "identity" if self._is_local else "gzip")
        self.mount()

    def mount(self) -> None:
        """Let the session have a connection for each thread."""
        self.session.mount(f"{self.url.partition(':')[0]}://", HTTPAdapter(pool_maxsize=self._threads))

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def answered(self, *endpoints: str) -> int:
        """How many requests to these the server has taken so far, as far as it counts them."""
        return sum(self._answered[endpoint] for endpoint in endpoints)

    def count_elsewhere(self, endpoint: str, answered: int) -> None:
        """So many requests to it were answered to others who work for the same run."""
        with self._counting:
            self._answered[endpoint] += answered

    def attempts(self, what: str, request: Callable[[], T]) -> T:
        """Make a request until it succeeds, fails for good, or has failed too often (influx/retries.py)."""
        return self._retries.attempts(f"{self.name}: {what}", request)

    def ping(self) -> requests.Response:
        """The answer to a ping, which names the server's version, in one attempt."""
        response = self._send("ping", {}, method="GET")
        if newer := error_texts.newer_version(response.headers):
            raise QueryRefused(f"that is InfluxDB {newer}, and this tool copies from and to InfluxDB 1.x only")
        if response.status_code in (401, 403):
            raise error_texts.http_error(response.status_code, self._body(response), self._role)
        version = response.headers.get(VERSION)
        if response.status_code not in (200, 204) or not version:
            if response.status_code >= 500:
                raise Overloaded(f"HTTP {response.status_code}")
            needs_tls = error_texts.needs_tls(self.url, self._body(response))
            remedy = needs_tls or error_texts.names_no_port(self.url) or "check the url"
            raise QueryRefused(f"no InfluxDB answers there (HTTP {response.status_code}); {remedy}")
        return response

    def query(self, params: Mapping[str, str | int | None], method: str) -> requests.Response:
        """A whole answer of one msgpack document, in one attempt; errors inside it are the caller's to find."""
        response = self._send("query", params, method=method)
        self._check_answer(response, "application/x-msgpack")
        return response

    def debug_vars(self) -> object:
        """The document of `/debug/vars`, in one attempt; None where it is not shown to this user."""
        response = self._send("debug/vars", {}, method="GET")
        if response.status_code != 200:
            self._body(response)
            return None
        try:
            return response.json()
        except ValueError:
            return None

    def stream(
        self,
        query: str,
        database: str = "",
        policy: str = "",
        *,
        statements: int = 1,
        chunk_rows: int = DOCUMENT_ROWS,
        most_bytes: int | None = None,
        timed_out: type[InfluxError] = Unreachable,
        meter: Meter | None = None,
    ) -> Iterator[tuple[int, Series]]:
        """The series of an answer with the number of their statement, as they arrive.

        The iterator raises IncompleteAnswer at its end unless the answer was whole. The proof is a last
        statement of ours: the server does not run it when one before it failed, and an answer that was cut
        off, even at a document's edge, lacks it. `timed_out` is what a server that falls silent is taken for.
        Series whose number is `statements` are the proof's own.
        """
        params = _query_parameters(database, policy, chunk_rows)
        response = self._send("query", params, {"q": f"{query}; {PROOF}"}, stream=True, timed_out=timed_out)
        with response:
            self._check_answer(response, "application/x-msgpack")
            complete = -1
            for result in answers.results(self._pieces(response, most_bytes, timed_out, meter or Meter())):
                statement = result[b"statement_id"]
                for series in result.get(b"series", ()):
                    yield statement, answers.series_of(series)
                complete = statement
            if complete != statements:
                raise IncompleteAnswer("the answer ended before it was complete")

    def fetch_csv(
        self,
        query: str,
        database: str,
        policy: str,
        *,
        most_bytes: int | None,
        timed_out: type[InfluxError],
        meter: Meter,
    ) -> bytes:
        """The text of an answer, whole or not: csv_answers.py tells."""
        params = _query_parameters(database, policy, CSV_ROWS)
        kind = {"Accept": "text/csv"}  # asked for application/csv, servers from 1.8 on say that it is that
        response = self._send("query", params, {"q": query}, kind, stream=True, timed_out=timed_out)
        with response:
            self._check_answer(response, "text/csv")
            return b"".join(self._pieces(response, most_bytes, timed_out, meter))

    def _check_answer(self, response: requests.Response, kind: str) -> None:
        """Raise the error of an answer that is none, or not InfluxDB's."""
        if response.status_code != 200:
            text = self._body(response)
            is_own = error_texts.influxdb_message(response.content) is not None
            raise error_texts.query_error(response.status_code, text, is_influxdb=is_own, role=self._role)
        found = response.headers.get("Content-Type")
        if found != kind:
            raise IncompleteAnswer(f"the answer is {found}, not InfluxDB's; is a proxy in the way?")

    def _pieces(
        self, response: requests.Response, most_bytes: int | None, timed_out: type[InfluxError], meter: Meter
    ) -> Iterator[bytes]:
        try:
            for piece in response.iter_content(1 << 18):
                meter.see(piece)
                if most_bytes and meter.size > most_bytes:
                    raise QueryTooLarge(f"the answer is larger than {most_bytes} bytes")
                if self._stopping.is_set():
                    raise Unreachable("given up in order to stop")
                yield piece
        except requests.RequestException as error:
            raise self._lost(error, timed_out) from error

    def write(self, body: bytes, database: str, policy: str) -> int:
        """Write line protocol, in one attempt; how many of its points were older than the policy allows.

        Raises the error for everything else that is not acknowledged.
        """
        params = {"db": database, "rp": policy, "precision": "ns"}
        # a single huge value may only get past the server's max-body-size when it is compressed
        packed = _Stored(body) if self._is_local and len(body) <= STORED_MOST else gzip.compress(body, 1)
        response = self._send("write", params, packed, {"Content-Encoding": "gzip"})
        text = self._body(response)
        has_version = VERSION in response.headers
        has_message = response.status_code == 204 or error_texts.influxdb_message(response.content) is not None
        is_own = has_version and has_message
        return error_texts.expired(response.status_code, text, is_influxdb=is_own, role=self._role)

    def _send(
        self,
        endpoint: str,
        params: Mapping[str, str | int | None],
        data: Mapping[str, str] | bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "POST",
        stream: bool = False,
        timed_out: type[InfluxError] = Unreachable,
    ) -> requests.Response:
        """One request. Redirects are not followed: a backup must not end up elsewhere."""
        self._stopping.before_request()
        try:
            response = self.session.request(
                method,
                f"{self.url}/{endpoint}",
                params={k: v for k, v in params.items() if v != ""},
                data=data,
                headers=headers,
                timeout=self._timeout,
                stream=stream,
            )
        except requests.exceptions.SSLError as error:
            raise _untrusted(error) from error
        except requests.RequestException as error:
            raise self._lost(error, timed_out) from error
        except OSError as error:  # how requests tells that ca_file is gone
            raise _untrusted(error) from error
        # what a proxy answers, or what is turned away at the door, the server has not counted either
        if VERSION in response.headers and response.status_code != 401:
            with self._counting:
                self._answered[endpoint] += 1
        if 300 <= response.status_code < 400:
            response.close()  # it may be a stream, of which nobody will read the end
            target = without_credentials(response.headers.get("Location", "elsewhere"))[:LONGEST_TARGET]
            # a server that has answered to its ping once does not redirect: that is a proxy, for now
            kind = QueryRefused if endpoint == "ping" else IncompleteAnswer
            raise kind(f"the server redirects to {target}; put the final address into url")
        return response

    def _lost(self, error: requests.RequestException, timed_out: type[InfluxError]) -> InfluxError:
        """The error of a request that got no answer, or only a part of one.

        A server that falls silent may only be asked for too much; one that does not answer a ping either is gone.
        """
        reason = error_texts.reason(error)
        if "timed out" not in reason or isinstance(error, requests.ConnectTimeout):
            no_port = error_texts.names_no_port(self.url) if "refused" in reason else ""
            remedy = error_texts.needs_tls(self.url, reason) or no_port
            return Unreachable(f"{reason}; {remedy}" if remedy else reason)
        if timed_out is not Unreachable and not self._answers():
            return Unreachable(f"no byte received for too long ({reason}), nor an answer to a ping")
        return timed_out(f"no byte received for too long ({reason})")

    def _answers(self) -> bool:
        try:
            self.ping()
        except InfluxError:
            return False
        return True

    def _body(self, response: requests.Response) -> str:
        """The error text of an answer."""
        try:
            return error_texts.error_text(response.content)
        except requests.RequestException as error:
            raise self._lost(error, Unreachable) from error


_TLS_REMEDIES = (
    ("expired", "renew the server's certificate"),
    ("not yet valid", "renew the server's certificate, or correct the clock here"),
    ("mismatch", "let url name the host as the certificate does, or renew the certificate"),
    (
        "wrong version number|record layer|packet length",
        "no TLS is spoken there: write http://",
    ),
    ("no certificate or crl|invalid path|permission denied|no such file", "ca_file must be a readable PEM file"),
    (
        "key usage|key identifier|basic constraints|path length|issuer name empty|empty subject",
        "from 3.13 on Python takes only certificates that keep to RFC 5280: make that one again, an authority's "
        "with the extensions basicConstraints (critical), keyUsage (keyCertSign) and subjectKeyIdentifier, a "
        "server's with authorityKeyIdentifier; or run this with Python 3.11 or 3.12",
    ),
    ("", "for a private certificate authority set ca_file to its certificate"),
)
"""The first pattern that the reason holds tells what to do.

What the Python that runs this refuses is refused. Since 3.13 it refuses certificates that do not keep to RFC 5280,
such as an authority's without key usage. We do not lower what it asks for, not even for an authority that
`ca_file` names: whoever could make that certificate can make it again, with the same key.
"""


def _untrusted(error: OSError) -> AccessDenied:
    """The error of a connection that was given up before anything was sent on it."""
    reason = error_texts.reason(error)
    remedy = next(remedy for pattern, remedy in _TLS_REMEDIES if re.search(pattern, reason.lower()))
    return AccessDenied(f"TLS: {reason}; {remedy}")


class _Stored:
    """A body as gzip (RFC 1952) that is not compressed: its checksum still tells when it is cut on its way.

    Three times as fast as level 0 of zlib, and made block by block as it is sent: several requests may be on their
    way, and none of them is in memory twice.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._blocks = range(0, max(1, len(body)), STORED_BLOCK)

    def __len__(self) -> int:
        return len(_GZIP_HEAD) + len(self._blocks) * _BLOCK_HEAD.size + len(self._body) + _GZIP_END.size

    def __iter__(self) -> Iterator[bytes]:
        body, view = self._body, memoryview(self._body)
        head = _GZIP_HEAD
        for begin in self._blocks:
            block = view[begin : begin + STORED_BLOCK]
            is_last = begin + STORED_BLOCK >= len(body)
            end = _GZIP_END.pack(zlib.crc32(body), len(body) & 0xFFFFFFFF) if is_last else b""
            yield b"".join((head, _BLOCK_HEAD.pack(is_last, len(block), len(block) ^ 0xFFFF), block, end))
            head = b""


def _query_parameters(database: str, policy: str, chunk_rows: int) -> dict[str, str | int]:
    return {"db": database, "rp": policy, "epoch": "ns", "chunked": "true", "chunk_size": chunk_rows}


def _session(server: Server, encoding: str) -> requests.Session:
    """A session with the server's certificates and password."""
    session = PlainSession()
    session.verify = str(server.ca_file) if server.ca_file else server.verify_ssl
    if not session.verify:
        logger.warning("%s: its certificate is not verified (verify_ssl: false)", server.url)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    session.headers.update({"Accept": "application/x-msgpack", "User-Agent": "influxdb-backup"})
    session.headers["Accept-Encoding"] = encoding
    if server.user:
        password = server.password.get_secret_value()
        session.auth = HTTPBasicAuth(server.user.encode(), password.encode())
    return session
