"""Limits of a server, and what it says when it meets them."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.facts.harness import BIG, Answer, Database, packed
from tests.support.servers import InfluxServer, Settings


@contextlib.contextmanager
def limited(settings: Settings) -> Iterator[Database]:
    """A database on a server with these settings."""
    with InfluxServer.start("limits", settings=settings) as server:
        server.create_database("db")
        yield Database(server, "db")


@pytest.fixture(scope="module")
def selects() -> Iterator[Database]:
    """A server with limits for queries: `m` has 50 points in ten series, `one` has them in one."""
    limits: Settings = {
        "coordinator.max-select-point": 1000,
        "coordinator.max-select-series": 5,
        "coordinator.max-select-buckets": 50,
        "http.max-row-limit": 7,
    }
    with limited(limits) as db:
        db.put(*(f"m,t={i % 10} v={i} {i}" for i in range(50)), *(f"one v={i} {i}" for i in range(50)))
        yield db


def _slowly(db: Database, query: str, form: str, seconds: float) -> Answer:
    """The answer, the rest of it read only after a while."""
    with db.stream(query, form) as response:
        pieces = response.iter_content(10_000)
        body = next(pieces)
        time.sleep(seconds)
        return Answer(response.status_code, response.headers, body + b"".join(pieces))


def test_select_point(selects: Database) -> None:
    """`max-select-point` is looked at every ten seconds: a long query then ends with `max-select-point limit ...: (N/M)`,
    status 200, a short one never; in CSV there is no error."""
    selects.server.create_database("big")
    big = Database(selects.server, "big")
    big.fill()
    query = "SELECT s FROM big.autogen.m; SHOW DATABASES"
    assert not big.select(query).error
    with ThreadPoolExecutor() as pool:
        msgpack, csv = pool.map(lambda form: _slowly(big, query, form, 10.5), ("msgpack", "csv"))
    assert re.match(r"max-select-point limit exceee?d(ed)?: \(", msgpack.error)
    assert msgpack.status == csv.status == 200
    assert b"max-select-point" not in csv.body
    assert b"databases" not in csv.body


def test_select_series(selects: Database) -> None:
    """`max-select-series`: status 200, and the error `max-select-series limit exceeded: (N/5)`."""
    assert selects.select("SELECT v FROM m").error.startswith("max-select-series limit exceeded: (")


def test_select_buckets(selects: Database) -> None:
    """`max-select-buckets`: status 200, and the error `max-select-buckets limit exceeded: (N/50)`."""
    query = "SELECT count(v) FROM one WHERE time >= 0 AND time < 1000 GROUP BY time(1ns)"
    assert selects.select(query).error.startswith("max-select-buckets limit exceeded: (")


def test_row_limit(selects: Database) -> None:
    """`max-row-limit` cuts answers without `chunked=true`, of SHOW too; with it, none."""
    assert len(selects.ask("SELECT v FROM one", db="db").rows) == 50
    assert len(selects.ask("SELECT v FROM one", db="db", chunked=False).rows) == 7
    selects.put(*(f"k{i} v=1 1" for i in range(20)))
    assert len(selects.ask("SHOW MEASUREMENTS", db="db").rows) == 22
    assert len(selects.ask("SHOW MEASUREMENTS", db="db", chunked=False).rows) == 7


def test_timeout() -> None:
    """`query-timeout`: status 200, and later the error `query-timeout limit exceeded`; in CSV no error."""
    with limited({"coordinator.query-timeout": "300ms"}) as db:
        db.fill()
        query = "SELECT s FROM db.autogen.m; SHOW DATABASES"
        msgpack, csv = (_slowly(db, query, form, 0.5) for form in ("msgpack", "csv"))
    assert (msgpack.status, msgpack.error) == (200, "query-timeout limit exceeded")
    assert 0 < len(msgpack.rows) < BIG
    assert (csv.status, b"databases" in csv.body) == (200, False)


def test_concurrent_queries() -> None:
    """`max-concurrent-queries`: status 200, and the error `max-concurrent-queries limit exceeded(N, M)`."""
    with limited({"coordinator.max-concurrent-queries": 1}) as db:
        db.fill()
        with db.stream("SELECT s FROM db.autogen.m", "msgpack") as response:
            pieces = response.iter_content(1000)
            assert next(pieces)
            assert db.select("SHOW DATABASES").error == "max-concurrent-queries limit exceeded(1, 1)"


def test_body_size(outcome: str) -> None:
    """`max-body-size`: 413 `Request Entity Too Large`, nothing stored; which size of compressed requests counts."""
    with limited({"http.max-body-size": 1000}) as db:
        lines = "\n".join(f"m v=1 {i}" for i in range(200))
        answer = db.send(lines)
        assert (answer.status, answer.error) == (413, "Request Entity Too Large")
        assert db.rows("SELECT v FROM m") == []
        status = db.write(packed(lines), "db", {"Content-Encoding": "gzip"}).status
        assert {204: "compressed", 413: "uncompressed"}[status] == outcome
        assert len(db.rows("SELECT v FROM m")) == (200 if status == 204 else 0)


def _one_by_one(settings: Settings) -> tuple[str, list[int]]:
    """The last error when five series are written one after the other, and all statuses."""
    with limited(settings) as db:
        answers = [db.send(f"m,t={i} v=1 1") for i in range(5)]
        assert len(db.rows("SELECT v FROM m")) == [answer.status for answer in answers].count(204)
    return (answers[-1].error if answers[-1].body else ""), [answer.status for answer in answers]


LIMITED, UNLIMITED = [204, 204, 204, 400, 400], [204] * 5


def test_values_per_tag() -> None:
    """`max-values-per-tag` of an inmem index: 400 `partial write: max-values-per-tag limit exceeded (3/3): ... dropped=N`
    for series beyond it; a tsi1 index has no such limit."""
    error, statuses = _one_by_one({"data.max-values-per-tag": 3, "data.index-version": "inmem"})
    assert statuses == LIMITED
    assert error.startswith('partial write: max-values-per-tag limit exceeded (3/3): measurement="m" tag="t" value="4"')
    assert _one_by_one({"data.max-values-per-tag": 3, "data.index-version": "tsi1"}) == ("", UNLIMITED)


def test_series_per_database() -> None:
    """`max-series-per-database` of an inmem index: 400 `partial write: max-series-per-database ... exceeded ... dropped=N`
    for series beyond it; a tsi1 index has no such limit."""
    error, statuses = _one_by_one({"data.max-series-per-database": 3, "data.index-version": "inmem"})
    assert statuses == LIMITED
    assert re.match(r"partial write: max-series-per-database (limit )?exceeded", error)
    assert _one_by_one({"data.max-series-per-database": 3, "data.index-version": "tsi1"}) == ("", UNLIMITED)


def test_new_series_per_request() -> None:
    """Where new series of one request go beyond `max-series-per-database`, all of them may be refused."""
    with limited({"data.max-series-per-database": 3, "data.index-version": "inmem"}) as db:
        assert db.send(*(f"m,t={i} v=1 1" for i in range(5))).status == 400
        assert len(db.rows("SELECT v FROM m")) <= 3


def test_cache_size() -> None:
    """`cache-max-memory-size`: 500 `engine: cache-max-memory-size exceeded: (N/M)`, nothing of that shard is stored."""
    with limited({"data.cache-max-memory-size": 200_000}) as db:
        answer = db.send(*(f'm s="{"x" * 1000}" {i}' for i in range(1000)))
        assert answer.status == 500
        assert "cache-max-memory-size exceeded: (" in answer.error
        assert db.rows("SELECT s FROM m") == []
