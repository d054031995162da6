"""Balance: what the counters of a server tell of all that was done between two moments"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial

from tests.facts.harness import MONDAY, Client, Database
from tests.support.servers import InfluxServer

SHARDS, REQUESTS, SYSTEM = "SHOW STATS FOR 'shard'", "SHOW STATS FOR 'httpd'", "SHOW DIAGNOSTICS FOR 'system'"

Counters = dict[str, int]


def requests(client: Client) -> Counters:
    """What is counted of HTTP, this request included."""
    [series] = client.ask(REQUESTS).series
    return dict(zip(series["columns"], series["values"][0], strict=True))


def shard(db: Database) -> Counters:
    """The counters of the only shard of a database."""
    [series] = [s for s in db.ask(SHARDS).series if s["tags"]["database"] == db.name]
    return dict(zip(series["columns"], series["values"][0], strict=True))


def asked(counters: Counters) -> int:
    """All requests but writes, pings and requests for the status."""
    return counters["req"] - counters["writeReq"] - counters["pingReq"] - counters["statusReq"]


def process(client: Client) -> tuple[str, str]:
    """Which process answers."""
    [series] = client.ask(SYSTEM).series
    found = dict(zip(series["columns"], series["values"][0], strict=True))
    return str(found["PID"]), str(found["started"])


def shown(client: Client) -> str:
    """When it was started, by what it shows everybody."""
    return str(json.loads(client.request("GET", "/debug/vars").body)["system"]["started"])


def grown(client: Client, act: Callable[[], object]) -> Counters:
    """How the counters of HTTP grow while something is done, without the looks at them."""
    before = requests(client)
    act()
    after = requests(client)
    return {
        "queryReq": after["queryReq"] - before["queryReq"] - 1,
        "asked": asked(after) - asked(before) - 1,
    }


# ---------------------------------------------------------------- who has asked anything


def test_process_that_counts() -> None:
    """`PID` and `started` in SHOW DIAGNOSTICS FOR 'system' stay the same until the server is restarted; `started`
    in `/debug/vars`, too.
    """
    with InfluxServer.start("balance") as server:
        client = Client(server)
        before, told = process(client), shown(client)
        assert process(client) == before
        assert shown(client) == told
        server.restart()
        assert process(client)[1] != before[1]
        assert shown(client) != told


def test_requests_are_counted() -> None:
    """`queryReq` in SHOW STATS FOR 'httpd' grows by one with each request to `/query`, as soon as it is answered:
    by GET and POST, with one statement or many, with DELETE and DROP, refused ones too; by nothing else.
    """
    with InfluxServer.start("balance") as server:
        db = Database.make(server, "db")
        db.put(f"m v=1 {MONDAY}")
        texts = ("SELECT v FROM m", "SHOW DATABASES; SHOW DATABASES", "DELETE FROM m WHERE time < 5", "nonsense")
        for text in (*texts, "DROP MEASUREMENT m", "DROP SERIES FROM n", "DROP RETENTION POLICY none ON db"):
            assert grown(db, partial(db.ask, text, db="db")) == {"queryReq": 1, "asked": 1}
            get = partial(db.request, "GET", "/query", {"q": text, "db": "db"})
            assert grown(db, get) == {"queryReq": 1, "asked": 1}
        for method, path in (("GET", "/ping"), ("HEAD", "/ping"), ("GET", "/status")):
            assert grown(db, partial(db.request, method, path)) == {"queryReq": 0, "asked": 0}
        assert grown(db, lambda: db.put(f"m v=2 {MONDAY}")) == {"queryReq": 0, "asked": 0}
        assert grown(db, lambda: db.send("nonsense")) == {"queryReq": 0, "asked": 0}


def test_other_requests_are_counted() -> None:
    """`req` less `writeReq`, `pingReq` and `statusReq` grows by one with each request to another address, whether
    there is such a one or not.
    """
    with InfluxServer.start("balance") as server:
        client = Client(server)
        for method, path in (("GET", "/debug/vars"), ("GET", "/none"), ("POST", "/api/v2/delete")):
            assert grown(client, partial(client.request, method, path)) == {"queryReq": 0, "asked": 1}


def test_deletions_without_a_query(db: Database, outcome: str) -> None:
    """Whether `POST /api/v2/delete` deletes points, which no `queryReq` counts."""
    db.put(f"m,h=a v=1 {MONDAY}", f"m,h=a v=1 {MONDAY + 10**10}")
    body = (
        b'{"start": "2024-01-01T00:00:00Z", "stop": "2024-01-01T00:00:05Z", "predicate": "_measurement=\\"m\\""}'
    )
    db.request("POST", "/api/v2/delete", {"bucket": f"{db.name}/autogen"}, body)
    found = db.rows("SELECT count(v) FROM m")[0][1]
    assert {2: "no", 1: "yes"}[found] == outcome


# ---------------------------------------------------------------- what was written


def test_writes_that_are_answered(db: Database) -> None:
    """When writes are answered, `writeReq` of their shard is the sum of `writeReqOk` and `writeReqErr`, also of
    those of which points were dropped.
    """
    db.put(f"m v=1 {MONDAY}", f"m v=2 {MONDAY + 1}")
    db.send(f'm v="text" {MONDAY + 2}')
    db.send(f'm v="text" {MONDAY + 3}\nm v=5 {MONDAY + 4}')
    found = shard(db)
    assert found["writeReq"] == found["writeReqOk"] + found["writeReqErr"]
    assert found["writeReq"] >= 2
    assert found["writePointsErr"] == 0
    assert found["writePointsOk"] == db.rows("SELECT count(v) FROM m")[0][1]


def test_moments_without_writes(db: Database) -> None:
    """While somebody writes new points: where no write is on its way (`writeReq` is `writeReqOk` and
    `writeReqErr`), and no counter of a shard moves from before a count until after it, the count is exactly
    `writePointsOk`.
    """
    series, stop = 200, threading.Event()
    own = Database(db.server, db.name)
    db.put(f"m,s=first v=1 {MONDAY}")

    def write() -> None:
        moment = 0
        while not stop.is_set():
            moment += 1
            own.put(*(f"m,s={s},r={moment} v=1,w=2i {MONDAY + moment}" for s in range(series)))
            time.sleep(0.05 * (moment % 8))

    writer = threading.Thread(target=write)
    writer.start()
    still = moved = 0
    names = ("writeReq", "writeReqOk", "writeReqErr", "writePointsOk", "writePointsErr")
    try:
        until = time.monotonic() + 60
        while min(still, moved) < 6 and time.monotonic() < until:
            before, (row,), after = shard(db), db.rows("SELECT count(v) FROM m"), shard(db)
            is_idle = before["writeReq"] == before["writeReqOk"] + before["writeReqErr"]
            if is_idle and all(before[name] == after[name] for name in names):
                assert row[1] == before["writePointsOk"]
                still += 1
            else:
                moved += 1
    finally:
        stop.set()
        writer.join()
    assert still > 5
    assert moved > 5


def test_balance_of_counts(db: Database) -> None:
    """From one such moment to another, the count of no field of a measurement grows by more than the points that
    were written: by as many where all were new and had it, by fewer where some were late, twice, or overwritten.
    """
    since = MONDAY + 1000
    db.put(f"m,h=a v=1,w=1i {MONDAY}", f"m,h=a v=1,w=1i {since}")

    def late(*lines: str) -> int:
        before = shard(db)["writePointsOk"], newer(db, since)
        db.put(*lines)
        return shard(db)["writePointsOk"] - before[0] - (newer(db, since) - before[1])

    assert late(f"m,h=a v=1,w=1i {since + 1}", f"m,h=b v=1,w=1i {since + 1}") == 0
    assert late(f"m,h=a v=1,w=1i {since + 2}", f"n,h=b v=1 {since + 2}") == 0
    assert late(f"m,h=a v=1,w=1i {since - 1}") == 1
    assert late(f"m,h=a v=7,w=7i {since}") == 1
    assert late(*[f"m,h=a v=1,w=1i {since + 3}"] * 2) == 1
    assert late(f"m,h=c v=1 {since + 4}", f"m,h=c w=1i {since + 4}") == 1
    assert late(f"m,h=d v=1 {since + 5}", f"m,h=d v=1 {since - 5}", f"m,h=d w=1i {since + 6}") >= 1


def newer(db: Database, since: int) -> int:
    """Of each measurement the values of the fullest field from `since` on."""
    query = f"SELECT count(*) FROM m, n WHERE time >= {since}"
    return sum(max(n or 0 for n in row[1:]) for row in db.rows(query))
