"""Asks a server as plainly as HTTP allows: a fact shows InfluxDB's own bytes, not what the tool makes of them."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgpack
import requests
from requests.adapters import HTTPAdapter

from tests.support.servers import InfluxServer

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WEEK = 7 * DAY
MONDAY = 1_704_067_200 * SECOND
"""2024-01-01T00:00:00Z, where a shard group of seven days begins."""

FIRST_TIME, LAST_TIME = -9_223_372_036_854_775_806, 9_223_372_036_854_775_806

FORMS = {"msgpack": "application/x-msgpack", "csv": "text/csv", "json": "application/json"}

Login = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents of a msgpack or JSON answer; stray bytes of msgpack are surrogates."""
        if "msgpack" not in self.headers.get("Content-Type", ""):
            return [json.loads(line) for line in self.body.splitlines() if line.strip()]
        unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape", max_buffer_size=0)
        unpacker.feed(self.body)
        return list(unpacker)

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results of all documents, one after the other."""
        return [result for document in self.documents for result in document.get("results", [])]

    @property
    def series(self) -> list[dict[str, Any]]:
        """The series of all results."""
        return [series for result in self.results for series in result.get("series", [])]

    @property
    def rows(self) -> list[list[Any]]:
        """The rows of all series."""
        return [row for series in self.series for row in series.get("values", [])]

    @property
    def columns(self) -> list[str]:
        """The columns of the first series."""
        return list(self.series[0]["columns"])

    @property
    def error(self) -> str:
        """The first error anywhere; empty where there is none."""
        parts = [part for document in self.documents for part in (document, *document.get("results", []))]
        return next((str(part["error"]) for part in parts if "error" in part), "")


class _SmallBuffers(HTTPAdapter):
    """Connections that hold little, so that a server cannot finish a large answer before it is read."""

    def init_poolmanager(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 -- as in requests
        small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        return super().init_poolmanager(*args, socket_options=[small], **more)


class Client:
    """One server, as somebody who may have to log in."""

    def __init__(self, server: InfluxServer, login: Login | None = None) -> None:
        self.server = server
        self.login = login or ((server.user, server.password) if server.user else None)
        self._session = requests.Session()
        self._session.trust_env = False

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str | int] | None = None,
        data: bytes | Mapping[str, str | bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any request at all."""
        response = self._session.request(
            method, self.server.url + path, params=params, data=data, headers=headers, auth=self.login, timeout=60
        )
        return Answer(response.status_code, response.headers, response.content)

    def ask(self, query: str, form: str = "msgpack", *, chunked: bool = True, **params: str | int) -> Answer:
        """A query as the tool sends it, POST, `epoch=ns`, `chunked=true`; the answer in msgpack, csv or json."""
        return self._ask(query, form, {**params, **({"chunked": "true"} if chunked else {})})

    def _ask(self, query: str, form: str, params: Mapping[str, str | int]) -> Answer:
        text = {"q": query.encode("utf-8", "surrogateescape")}
        return self.request("POST", "/query", {"epoch": "ns", **params}, text, {"Accept": FORMS[form]})

    @contextmanager
    def stream(self, query: str, form: str, **params: str | int) -> Iterator[requests.Response]:
        """The same, not yet read."""
        settings = {"epoch": "ns", "chunked": "true", "chunk_size": 1000, **params}
        url = f"{self.server.url}/query"
        headers = {"Accept": FORMS[form], "Accept-Encoding": "identity"}
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", _SmallBuffers())
            with session.post(url, {"q": query}, params=settings, headers=headers, stream=True) as response:
                yield response

    def write(
        self, lines: bytes | str, db: str, headers: Mapping[str, str] | None = None, **params: str | int
    ) -> Answer:
        """Write line protocol, in nanoseconds."""
        return self._write([lines], {"db": db, **params}, headers)

    def _write(
        self, lines: Sequence[bytes | str], params: Mapping[str, str | int], headers: Mapping[str, str] | None
    ) -> Answer:
        body = b"\n".join(x.encode("utf-8", "surrogateescape") if isinstance(x, str) else x for x in lines)
        return self.request("POST", "/write", {"precision": "ns", **params}, body, headers)


BIG = 60_000
"""How many rows of `fill` are more than what the buffers between server and client hold."""


class Database(Client):
    """A database of the fact's own."""

    def __init__(self, server: InfluxServer, name: str) -> None:
        super().__init__(server)
        self.name = name

    @classmethod
    def make(cls, server: InfluxServer, name: str) -> Database:
        """A new one, which a `with` drops at its end."""
        server.create_database(name)
        return cls(server, name)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.drop_database(self.name)

    def put(self, *lines: bytes | str, **params: str | int) -> None:
        """Write lines that must be accepted, when the server surely keeps them."""
        self.server.keep_clear_of_freeing(sum(map(len, lines)))
        answer = self._write(lines, {"db": self.name, **params}, None)
        assert answer.status == 204, answer

    def send(self, *lines: bytes | str, **params: str | int) -> Answer:
        """Write lines, whatever the answer."""
        return self._write(lines, {"db": self.name, **params}, None)

    def fill(self) -> None:
        """Write BIG points of 150 characters of text into `m`."""
        for start in range(0, BIG, 20_000):
            self.put(*(f'm s="{"x" * 150}" {i}' for i in range(start, start + 20_000)))

    def select(self, query: str, form: str = "msgpack", **params: str | int) -> Answer:
        """A query in this database; status 200."""
        answer = self._ask(query, form, {"db": self.name, "chunked": "true", **params})
        assert answer.status == 200, answer
        return answer

    def rows(self, query: str, **params: str | int) -> list[list[Any]]:
        """The rows of an answer without an error, times first."""
        answer = self._ask(query, "msgpack", {"db": self.name, "chunked": "true", **params})
        assert (answer.status, answer.error) == (200, "")
        return answer.rows

    def names(self, query: str, **params: str | int) -> list[str]:
        """The first column."""
        return [row[0] for row in self.rows(query, **params)]


def packed(text: bytes | str) -> bytes:
    """As gzip."""
    return gzip.compress(text.encode() if isinstance(text, str) else text)


def plain(message: str) -> str:
    """A message with its numbers replaced: `dropped=N`."""
    return re.sub(r"\d+", "N", message)


def choice(observed: Iterable[tuple[str, bool]]) -> str:
    """The name of the first thing that was observed."""
    return next((name for name, seen in observed if seen), "something else")
