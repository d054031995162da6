"""When an answer is whole: chunks, statements that fail, queries that are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.facts.harness import BIG, Answer, Client, Database
from tests.support.servers import InfluxServer


def test_statements_in_order(db: Database) -> None:
    """A request of 1,000 statements is answered in their order, each numbered, those without rows too."""
    db.put(*(f"m{i} v={i} 1" for i in range(1, 1000, 2)))
    answer = db.select("; ".join(f"SELECT v FROM m{i}" for i in range(1000)))
    assert [result["statement_id"] for result in answer.results] == list(range(1000))
    assert [row[1] for row in answer.rows] == [float(i) for i in range(1, 1000, 2)]


def test_empty_answer(db: Database) -> None:
    """A statement without rows is `{"statement_id":0}` in JSON, the same with empty `series` in msgpack, and
    nothing in CSV.
    """
    assert db.select("SELECT v FROM m", "json").body == b'{"results":[{"statement_id":0}]}\n'
    assert db.select("SELECT v FROM m").documents == [{"results": [{"statement_id": 0, "series": []}]}]
    assert db.select("SELECT v FROM m", "csv").body == b""


def test_chunks(db: Database) -> None:
    """With `chunked=true` each chunk is a document, and `partial` is true on every chunk of a statement but the
    last.
    """
    db.put(*(f"m v={i} {i}" for i in range(10)))
    answer = db.select("SELECT v FROM m; SHOW DATABASES", chunk_size=3)
    first = [result for result in answer.results if result["statement_id"] == 0]
    assert [len(result["series"][0]["values"]) for result in first] == [3, 3, 3, 1]
    assert [result.get("partial") for result in first] == [True, True, True, None]
    assert len(answer.documents) == 5


def test_exact_chunks(db: Database) -> None:
    """A chunk that is full to the last row is the last one, without `partial`, and no empty chunk follows."""
    db.put(*(f"m v={i} {i}" for i in range(6)))
    answer = db.select("SELECT v FROM m", chunk_size=3)
    assert [(len(r["series"][0]["values"]), r.get("partial")) for r in answer.results] == [(3, True), (3, None)]


def test_chunks_of_many_series(db: Database) -> None:
    """With GROUP BY a chunk holds rows of one series only, and `partial` is true until the last series ends."""
    db.put(*(f"m,t={t} v={i} {i}" for t in "ab" for i in range(3)))
    answer = db.select("SELECT v FROM m GROUP BY *", chunk_size=2)
    found = [
        (r["series"][0]["tags"]["t"], len(r["series"][0]["values"]), r.get("partial")) for r in answer.results
    ]
    assert found == [("a", 2, True), ("a", 1, True), ("b", 2, True), ("b", 1, None)]


def test_chunks_of_lists(db: Database) -> None:
    """SHOW TAG KEYS is a document for each measurement, however long, and none is `partial`; SHOW DATABASES is one
    document.
    """
    tags = ",".join(f"t{i}=x" for i in range(10))
    db.put(*(f"m{n},{tags} v=1 1" for n in range(3)))
    answer = db.select("SHOW TAG KEYS FROM m0, m1, m2; SHOW DATABASES", chunk_size=3)
    assert [result["statement_id"] for result in answer.results] == [0, 0, 0, 1]
    assert [len(result["series"][0]["values"]) for result in answer.results[:3]] == [10, 10, 10]
    assert not any("partial" in result for result in answer.results)
    assert len(answer.documents) == 4


def test_unknown_database(db: Database) -> None:
    """A query of an unknown database: status 200; msgpack and JSON have an error, CSV is empty."""
    for query in ('SELECT v FROM "none"."autogen"."m"', "SHOW RETENTION POLICIES ON none"):
        assert db.select(query).error == db.select(query, "json").error == "database not found: none"
        assert db.select(query, "csv").body == b""


def test_unknown_policy(db: Database) -> None:
    """A query of an unknown retention policy: status 200, `retention policy not found: none`."""
    assert db.select(f'SELECT v FROM "{db.name}"."none"."m"').error == "retention policy not found: none"


def test_parse_errors(db: Database) -> None:
    """A query that cannot be parsed: status 400, and the error in the form that was asked for."""
    answer = db.ask("SELEC")
    assert answer.status == 400
    assert answer.error.startswith("error parsing query: found SELEC, expected SELECT")
    assert db.ask("SELEC", "csv").body.startswith(b'error\n"error parsing query')


def test_parse_errors_run_nothing(db: Database) -> None:
    """When one statement of a request cannot be parsed, none is run."""
    assert db.ask(f"CREATE RETENTION POLICY p ON {db.name} DURATION 1d REPLICATION 1; SELEC").status == 400
    assert db.names(f"SHOW RETENTION POLICIES ON {db.name}") == ["autogen"]


def test_later_statements(db: Database) -> None:
    """A statement after one that failed is not run: `not executed`, and in CSV its table is missing."""
    db.put("m v=1 1")
    query = "SELECT v FROM m; SELECT nope(v) FROM m; SHOW DATABASES"
    errors = [result.get("error") for result in db.select(query).results]
    assert errors == [None, "undefined function nope()", "not executed"]
    assert db.select(query, "csv").body == b"name,tags,time,v\nm,,1,1\n"


def test_errors_have_no_number(db: Database) -> None:
    """In msgpack the error of a statement comes without its `statement_id`; JSON has it."""
    assert db.select("SELECT nope(v) FROM m").results == [{"error": "undefined function nope()"}]
    [result] = db.select("SELECT nope(v) FROM m", "json").results
    assert result["statement_id"] == 0


def test_get_and_post(db: Database) -> None:
    """POST works for `/query` as well as GET, also with two megabytes of query, which GET refuses."""
    db.put("m v=1 1")
    long = f"SELECT v FROM m{' ' * 2_000_000}"
    for query in ("SELECT v FROM m", long):
        assert db.rows(query) == [[1, 1.0]]
    short = db.request("GET", "/query", {"db": db.name, "q": "SELECT v FROM m"})
    assert b'"values":[["1970-01-01T00:00:00.000000001Z",1]]' in short.body
    assert db.request("GET", "/query", {"db": db.name, "q": long}).status >= 400


# ---------------------------------------------------------------- answers that end early


@pytest.fixture(scope="module")
def big(server: InfluxServer) -> Iterator[Database]:
    """A database with a measurement whose answer is larger than what the sockets between hold."""
    with Database.make(server, "big") as database:
        database.fill()
        yield database


def _ends(big: Database, form: str, interrupt: Callable[[], None]) -> Answer:
    """The answer to a query that is interrupted after its first bytes."""
    query = 'SELECT s FROM "big"."autogen"."m"; SHOW DATABASES'
    with big.stream(query, form) as response:
        pieces = response.iter_content(10_000)
        body = [next(pieces)]
        interrupt()
        body += pieces
        return Answer(response.status_code, response.headers, b"".join(body))


def _kill(client: Client) -> None:
    running = client.ask("SHOW QUERIES").series[0]
    [number] = [row[running["columns"].index("qid")] for row in running["values"] if "SELECT s" in str(row)]
    assert not client.ask(f"KILL QUERY {number}").error
    time.sleep(0.1)


def test_killed_query(big: Database) -> None:
    """A query that is killed ends with status 200 and well-formed; a later msgpack document has the error."""
    answer = _ends(big, "msgpack", lambda: _kill(big))
    assert answer.status == 200
    assert 0 < len(answer.rows) < BIG
    assert [result["error"] for result in answer.results if "error" in result] == [
        "query interrupted",
        "not executed",
    ]
    assert "error" in answer.results[-1]


def test_killed_query_in_csv(big: Database) -> None:
    """A query that is killed just ends in CSV, at the end of a line; only the second statement's table is
    missing.
    """
    whole = _ends(big, "csv", lambda: None)
    assert whole.body.count(b"\n") > BIG
    assert b"\n\nname,tags,name\n" in whole.body
    answer = _ends(big, "csv", lambda: _kill(big))
    assert answer.status == 200
    assert 0 < answer.body.count(b"\n") < BIG
    assert answer.body.endswith(b"\n")
    assert b"\n\nname,tags,name\n" not in answer.body


def _terminate(server: InfluxServer) -> None:
    os.kill(server.pid, signal.SIGTERM)
    time.sleep(0.5)


def test_stopped_server(outcome: str) -> None:
    """An answer on its way when the server is stopped (SIGTERM); unless all rows came, the second statement never
    follows.
    """
    with InfluxServer.start("stopped") as server:
        own = Database.make(server, "big")
        own.fill()
        try:
            answer = _ends(own, "msgpack", lambda: _terminate(server))
            rows = sum(len(series["values"]) for series in answer.series if series["name"] == "m")
            proved = [result for result in answer.results if result.get("statement_id") == 1]
        except requests.RequestException:
            rows, proved = 0, []
        server.stop()
    assert bool(proved) == (rows == BIG)
    assert ("goes on to its end" if proved else "breaks off") == outcome
