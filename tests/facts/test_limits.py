"""Limits of a server, and what it says when it meets them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.facts.harness import BIG, DAY, Answer, Database, packed
from tests.support.servers import InfluxServer, Settings

MEGABYTE = 1_000_000

LIMITS: Settings = {
    "coordinator.max-select-point": 1000,
    "coordinator.max-select-series": 5,
    "coordinator.max-select-buckets": 50,
    "coordinator.max-concurrent-queries": 2,
    "http.max-row-limit": 7,
    "http.max-body-size": 5 * MEGABYTE,
    "data.cache-max-memory-size": 20 * MEGABYTE,
}

SERIES: Settings = {"data.max-values-per-tag": 10, "data.max-series-per-database": 40}


@pytest.fixture(scope="module")
def limited() -> Iterator[InfluxServer]:
    """A server with many limits, and the database `big`, whose answer is large."""
    with InfluxServer.start("limited", settings=LIMITS) as server:
        Database.make(server, "big").fill()
        yield server


@pytest.fixture(scope="module")
def other() -> Iterator[InfluxServer]:
    """A server with a short time for queries, a tsi1 index and limits that this does not have, and the database
    `big`.
    """
    settings: Settings = {"coordinator.query-timeout": "300ms", "data.index-version": "tsi1", **SERIES}
    with InfluxServer.start("other", settings=settings) as server:
        Database.make(server, "big").fill()
        yield server


@pytest.fixture(scope="module")
def capped() -> Iterator[InfluxServer]:
    """A server with an inmem index and the same limits of series."""
    with InfluxServer.start("capped", settings={"data.index-version": "inmem", **SERIES}) as server:
        yield server


@pytest.fixture
def small(limited: InfluxServer) -> Iterator[Database]:
    """A database on the limited server: `m` has 50 points in ten series, `one` has them in one."""
    with Database.make(limited, "small") as database:
        database.put(*(f"m,t={i % 10} v={i} {i}" for i in range(50)), *(f"one v={i} {i}" for i in range(50)))
        yield database


QUERY = "SELECT s FROM big.autogen.m; SHOW DATABASES"


def _slowly(server: InfluxServer, form: str, seconds: float) -> Answer:
    """The answer to QUERY, the rest of it read only after a while."""
    with Database(server, "big").stream(QUERY, form) as response:
        pieces = response.iter_content(10_000)
        body = next(pieces)
        time.sleep(seconds)
        return Answer(response.status_code, response.headers, body + b"".join(pieces))


def test_select_point(limited: InfluxServer) -> None:
    """`max-select-point` is looked at every ten seconds: a long query then ends with status 200 and the error
    `max-select-point limit exceeed: (N/M)` (or `exceeded`), a short one never.
    """
    assert not Database(limited, "big").select(QUERY).error
    answer = _slowly(limited, "msgpack", 10.5)
    assert answer.status == 200
    assert re.match(r"max-select-point limit exceee?d(ed)?: \(", answer.error)
    assert 0 < len(answer.rows) < BIG


def test_select_series(small: Database) -> None:
    """`max-select-series`: status 200, and the error `max-select-series limit exceeded: (N/M)`; in CSV no
    error.
    """
    assert small.select("SELECT v FROM m").error.startswith("max-select-series limit exceeded: (")
    assert small.select("SELECT v FROM m; SHOW DATABASES", "csv").body == b""


def test_what_counts_for_select_series(small: Database) -> None:
    """`max-select-series` counts the series of a shard that the tags in the condition leave, whatever the time,
    LIMIT or SLIMIT; parts by a tag's values can be read, and SHOW TAG VALUES lists these.
    """
    whole = "SELECT count(v) FROM m"
    for rest in ("WHERE time >= 0 AND time < 2", "LIMIT 1", "GROUP BY * SLIMIT 1"):
        assert small.select(f"{whole} {rest}").error.startswith("max-select-series limit exceeded: (")
    assert [row[1] for row in small.rows('SHOW TAG VALUES FROM m WITH KEY = "t"')] == [str(i) for i in range(10)]
    parts = [small.rows(f'{whole} WHERE "t"::tag =~ /^({part})$/')[0][1] for part in ("0|1|2|3|4", "5|6|7|8|9")]
    assert parts == [25, 25]
    small.put(*(f"few,t={i} v=1 {day * DAY}" for i in range(5) for day in range(0, 40, 8)))
    assert small.rows("SELECT count(v) FROM few") == [[0, 25]]


def test_select_buckets(small: Database) -> None:
    """`max-select-buckets`: status 200, and the error `max-select-buckets limit exceeded: (N/M)`."""
    query = "SELECT count(v) FROM one WHERE time >= 0 AND time < 1000 GROUP BY time(1ns)"
    assert small.select(query).error.startswith("max-select-buckets limit exceeded: (")


def test_row_limit(small: Database) -> None:
    """`max-row-limit` cuts answers without `chunked=true`, of SHOW too; with it, none."""
    small.put(*(f"k{i} v=1 1" for i in range(20)))
    for query, rows in (("SELECT v FROM one", 50), ("SHOW MEASUREMENTS", 22)):
        assert len(small.ask(query, db="small").rows) == rows
        assert len(small.ask(query, db="small", chunked=False).rows) == 7


def test_query_timeout(other: InfluxServer) -> None:
    """`query-timeout`: status 200, and after some rows the error `query-timeout limit exceeded`; in CSV no
    error.
    """
    msgpack, csv = (_slowly(other, form, 0.5) for form in ("msgpack", "csv"))
    assert (msgpack.status, msgpack.error) == (200, "query-timeout limit exceeded")
    assert 0 < len(msgpack.rows) < BIG
    assert (csv.status, b"databases" in csv.body, b"limit" in csv.body) == (200, False, False)


def test_concurrent_queries(limited: InfluxServer) -> None:
    """`max-concurrent-queries`: status 200, and the error `max-concurrent-queries limit exceeded(N, M)`."""
    database = Database(limited, "big")
    with database.stream(QUERY, "csv") as one, database.stream(QUERY, "csv") as another:
        reading = [response.iter_content(1000) for response in (one, another)]
        assert all(map(next, reading))
        assert database.select("SHOW DATABASES").error == "max-concurrent-queries limit exceeded(2, 2)"
        assert all(b"".join(pieces) for pieces in reading)  # to their ends, so that other queries find room


@pytest.mark.parametrize(
    ("size", "is_read"), [(10 * 2**20 - 1, True), (10 * 2**20, True), (10 * 2**20 + 1, False)]
)
def test_query_size(size: int, is_read: bool, limited: InfluxServer) -> None:
    """A POST to `/query` may have a form of 10 MB (10485760 bytes); a larger one is answered 400 `missing required
    parameter "q"`.
    """
    form = b"q=SHOW+DATABASES" + b"+" * (size - 16)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/x-msgpack"}
    answer = Database(limited, "big").request("POST", "/query", {"db": "big"}, form, headers)
    expected = (200, "", 1) if is_read else (400, 'missing required parameter "q"', 0)
    assert (answer.status, answer.error, len([row for row in answer.rows if row == ["big"]])) == expected


def test_body_size(small: Database, outcome: str) -> None:
    """`max-body-size`: 413 `Request Entity Too Large`, nothing stored; which size of a compressed request
    counts.
    """
    lines = "\n".join(f'b s="{"x" * 1000}" {i}' for i in range(6000))
    assert len(packed(lines)) < 5 * MEGABYTE < len(lines)
    answer = small.send(lines)
    assert (answer.status, answer.error) == (413, "Request Entity Too Large")
    assert small.rows("SELECT s FROM b") == []
    status = small.write(packed(lines), "small", {"Content-Encoding": "gzip"}).status
    assert {204: "compressed", 413: "uncompressed"}[status] == outcome
    assert len(small.rows("SELECT s FROM b")) == (6000 if status == 204 else 0)


def _one_by_one(server: InfluxServer, lines: list[str]) -> tuple[str, int]:
    """The last error when lines are written one after the other into a new database, and how many are taken."""
    with Database.make(server, "one_by_one") as database:
        answers = [database.send(line) for line in lines]
        stored = len(database.rows("SELECT v FROM /.*/"))
        assert stored == [answer.status for answer in answers].count(204)
        refused = [answer.error for answer in answers if answer.status == 400]
        return (refused[-1] if refused else ""), stored


def test_values_per_tag(capped: InfluxServer, other: InfluxServer) -> None:
    """`max-values-per-tag` of an inmem index: 400 `partial write: max-values-per-tag limit exceeded (N/M): ...`
    for points of further series; a tsi1 index has no such limit.
    """
    lines = [f"m,t={i} v=1 1" for i in range(12)]
    error, stored = _one_by_one(capped, lines)
    assert stored == 10
    assert error.startswith(
        'partial write: max-values-per-tag limit exceeded (10/10): measurement="m" tag="t" value="11"'
    )
    assert _one_by_one(other, lines) == ("", 12)


def test_series_per_database(capped: InfluxServer, other: InfluxServer) -> None:
    """`max-series-per-database` of an inmem index: 400 `partial write: max-series-per-database ...exceeded ...`
    for points of further series; a tsi1 index has no such limit.
    """
    lines = [f"m{i} v=1 1" for i in range(42)]
    error, stored = _one_by_one(capped, lines)
    assert stored == 40
    assert re.match(r"partial write: max-series-per-database (limit )?exceeded", error)
    assert _one_by_one(other, lines) == ("", 42)


def test_new_series_in_one_request(capped: InfluxServer) -> None:
    """For `max-series-per-database` each point of a new series in a request counts: all of it may be refused
    though one series is new, and in smaller requests it is taken.
    """
    with Database.make(capped, "request") as database:
        lines = [f"m v=1 {i}" for i in range(50)]
        answer = database.send(*lines)
        assert (answer.status, database.rows("SELECT v FROM m")) == (400, [])
        database.put(*lines[:25])
        database.put(*lines[25:])
        assert len(database.rows("SELECT v FROM m")) == 50


def test_cache_size(limited: InfluxServer) -> None:
    """`cache-max-memory-size`: 500 `... cache-max-memory-size exceeded: (N/M)`, nothing of that request is
    stored.
    """
    with Database.make(limited, "cache") as database:
        sent = 0
        while (answer := database.send(*(f'm s="{"x" * 4000}" {sent + i}' for i in range(1000)))).status == 204:
            sent += 1000
        assert 0 < sent < 6000
        assert (answer.status, "cache-max-memory-size exceeded: (" in answer.error) == (500, True)
        assert database.rows("SELECT count(s) FROM m") == [[0, sent]]
