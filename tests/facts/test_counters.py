"""Counters of shards: what a server tells about who wrote where since it started"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.facts.harness import DAY, HOUR, MONDAY, Client, Database
from tests.support.servers import InfluxServer, Settings

STATISTICS = "SHOW STATS FOR 'shard'"

Counters = dict[str, int]


class Shards:
    """The counters of the shards of one database, by the number of the day since MONDAY."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def read(self) -> dict[int, Counters]:
        """All of them, without those that are 0."""
        days = {row[0]: _day(row[4]) for row in self.db.rows("SHOW SHARDS") if row[1] == self.db.name}
        found = {}
        for series in self.db.select(STATISTICS).series:
            if series["tags"]["database"] == self.db.name:
                counters = dict(zip(series["columns"], series["values"][0], strict=True))
                found[days[int(series["tags"]["id"])]] = {k: v for k, v in counters.items() if v}
        return found

    def moved(self, action: Callable[[], object], *ignored: str) -> dict[int, Counters]:
        """How they move while something is done; without those that all writes move alike."""
        before = self.read()
        action()
        after = self.read()
        skipped = {"diskBytes", "writeBytes", "writeReqOk", "writeValuesOk", *ignored}
        moved = {
            day: {
                name: after.get(day, {}).get(name, 0) - before.get(day, {}).get(name, 0)
                for name in (before.get(day, {}) | after.get(day, {})).keys() - skipped
            }
            for day in before.keys() | after.keys()
        }
        return {
            day: found for day, counters in moved.items() if (found := {k: v for k, v in counters.items() if v})
        }

    def bytes(self) -> dict[int, int]:
        """What each has on the disk."""
        return {day: counters.get("diskBytes", 0) for day, counters in self.read().items()}


def _day(start: str) -> int:
    return int(start[8:10]) - 1


@pytest.fixture
def shards(db: Database) -> Shards:
    """A database with shards of one day: `m,h=a` at the beginning of two days."""
    db.rows(f'ALTER RETENTION POLICY autogen ON "{db.name}" SHARD DURATION 1d')
    db.put(f"m,h=a v=1,w=1i {MONDAY}", f"m,h=a v=1,w=1i {MONDAY + DAY}")
    return Shards(db)


@pytest.fixture(params=["inmem", "tsi1"])
def own(request: pytest.FixtureRequest) -> Iterator[Shards]:
    """The same on a server of its own, which brings everything into files after a second."""
    settings: Settings = {
        "data.index-version": request.param,
        "data.cache-snapshot-write-cold-duration": "1s",
        "retention.check-interval": "1s",
    }
    with InfluxServer.start("counters", settings=settings) as server:
        db = Database.make(server, "own")
        db.rows("ALTER RETENTION POLICY autogen ON own SHARD DURATION 1d")
        db.put(f"m,h=a v=1,w=1i {MONDAY}", f"m,h=a v=1,w=1i {MONDAY + DAY}")
        yield Shards(db)


# ---------------------------------------------------------------- what there is


def test_shard_counters(shards: Shards) -> None:
    """SHOW STATS FOR 'shard' has a series for each shard with the tags `id`, `database`, `retentionPolicy`, and
    `writeReq`, `writePointsOk`, `writePointsDropped`, `seriesCreate`, `fieldsCreate`, `diskBytes`; SHOW SHARDS
    leads from ids to times.
    """
    [one, other] = [s for s in shards.db.select(STATISTICS).series if s["tags"]["database"] == shards.db.name]
    assert (one["name"], one["tags"]["retentionPolicy"], one["tags"]["engine"]) == ("shard", "autogen", "tsm1")
    assert int(other["tags"]["id"]) == int(one["tags"]["id"]) + 1
    wanted = {"diskBytes", "fieldsCreate", "seriesCreate", "writePointsDropped", "writePointsOk", "writeReq"}
    assert wanted <= set(one["columns"])
    [series] = [s for s in shards.db.select("SHOW SHARDS").series if s["name"] == shards.db.name]
    columns = ["id", "database", "retention_policy", "shard_group", "start_time", "end_time"]
    assert series["columns"] == [*columns, "expiry_time", "owners"]
    assert [row[4:6] for row in series["values"]] == [
        ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"],
        ["2024-01-02T00:00:00Z", "2024-01-03T00:00:00Z"],
    ]


def test_value_counter(shards: Shards, outcome: str) -> None:
    """Whether there is `writeValuesOk`, which counts values, beside `writePointsOk`, which counts points."""
    before = shards.read()
    shards.db.put(f"m,h=a v=1,w=1i {MONDAY + 1}", f"m,h=a v=1,w=1i {MONDAY + 2}")
    after = shards.read()
    assert after[0]["writePointsOk"] - before[0]["writePointsOk"] == 2
    values = after[0].get("writeValuesOk", 0) - before[0].get("writeValuesOk", 0)
    assert {0: "no", 4: "yes"}[values] == outcome


def test_all_shards_are_listed(own: Shards) -> None:
    """All shards are listed, those too that nobody has written or read since the server started, with counters of
    0; seriesCreate and diskBytes are what they hold now.
    """
    assert own.read()[0]["writePointsOk"] == 1
    own.db.server.restart()
    found = own.read()
    assert found.keys() == {0, 1}
    assert all(counters.keys() == {"diskBytes", "seriesCreate"} for counters in found.values())
    assert all(counters["seriesCreate"] == 1 for counters in found.values())


def test_debug_vars(shards: Shards) -> None:
    """`/debug/vars` has the same counters as JSON: entries `shard:PATH:ID` with `name`, `tags` and `values`."""
    found = json.loads(shards.db.request("GET", "/debug/vars").body)
    own = {
        int(entry["tags"]["id"]): entry["values"]
        for key, entry in found.items()
        if key.startswith("shard:") and entry["tags"]["database"] == shards.db.name
    }
    listed = {
        int(s["tags"]["id"]): dict(zip(s["columns"], s["values"][0], strict=True))
        for s in shards.db.select(STATISTICS).series
        if s["tags"]["database"] == shards.db.name
    }
    assert own == listed


# ---------------------------------------------------------------- what moves them


def test_writes_move_counters(shards: Shards) -> None:
    """A write moves `writeReq` by one and `writePointsOk` by its points in exactly the shards that it touches:
    late points, values that overwrite others, the same value again, the same point twice in a request.
    """
    db = shards.db
    for lines, points in (
        ([f"m,h=a v=5 {MONDAY + 7}"], 1),
        ([f"m,h=a v=2,w=2i {MONDAY}"], 1),
        ([f"m,h=a v=2,w=2i {MONDAY}"], 1),
        ([f"m,h=a v=2,w=2i {MONDAY}"] * 3, 3),
        ([f"m,h=a v=2 {MONDAY + i}" for i in range(500)], 500),
    ):
        assert shards.moved(partial(db.put, *lines)) == {0: {"writePointsOk": points, "writeReq": 1}}
    both = shards.moved(lambda: db.put(f"m,h=a v=5 {MONDAY + 8}", f"m,h=a v=5 {MONDAY + DAY + 8}"))
    assert both == {0: {"writePointsOk": 1, "writeReq": 1}, 1: {"writePointsOk": 1, "writeReq": 1}}
    new = shards.moved(lambda: db.put(f"m,h=a v=5 {MONDAY + 2 * DAY}"), "fieldsCreate", "seriesCreate")
    assert new == {2: {"writePointsOk": 1, "writeReq": 1}}


def test_new_series_move_counters(shards: Shards) -> None:
    """A new series moves `seriesCreate`, a new field `fieldsCreate`, beside the others."""
    db = shards.db
    assert shards.moved(lambda: db.put(f"m,h=b v=1 {MONDAY}"))[0]["seriesCreate"] == 1
    assert shards.moved(lambda: db.put(f"m,h=b z=1 {MONDAY}"))[0]["fieldsCreate"] == 1


def test_refused_points_move_counters(shards: Shards) -> None:
    """A point of another type moves `writePointsDropped`, and `writeReq` though nothing was stored."""
    moved = shards.moved(lambda: shards.db.send(f"m,h=a v=1i {MONDAY + 1}"))
    assert moved == {0: {"writePointsDropped": 1, "writeReq": 1}}
    assert shards.moved(lambda: shards.db.send("nonsense")) == {}


def test_select_into_moves_counters(shards: Shards) -> None:
    """SELECT INTO, which continuous queries are made of, moves the counters of the shards that it writes."""
    into = f'SELECT v INTO "{shards.db.name}".autogen.copy FROM m'
    moved = shards.moved(lambda: shards.db.rows(into), "fieldsCreate", "seriesCreate")
    assert moved == {day: {"writePointsOk": 1, "writeReq": 1} for day in (0, 1)}


def test_reading_moves_nothing(shards: Shards) -> None:
    """Queries move no counter of a shard, `diskBytes` neither."""

    def read() -> None:
        shards.db.rows("SELECT * FROM m; SELECT count(*) FROM m GROUP BY *; SHOW FIELD KEYS; SHOW TAG KEYS")

    before = shards.bytes()
    assert shards.moved(read) == {}
    assert shards.bytes() == before


def test_counters_at_the_answer(shards: Shards) -> None:
    """When a write is answered 204 its points are counted: 200 writes, each looked at when it is answered."""
    start = shards.read()[0]["writePointsOk"]
    for i in range(200):
        shards.db.put(f"m,h=a v={i} {MONDAY + i}")
        series = shards.db.select(STATISTICS).series
        own = [dict(zip(s["columns"], s["values"][0], strict=True)) for s in series if _is_first(s, shards)]
        assert own[0]["writePointsOk"] == start + i + 1


def _is_first(series: dict[str, Any], shards: Shards) -> bool:
    tags = series["tags"]
    return bool(tags["database"] == shards.db.name) and int(tags["id"]) == min(
        row[0] for row in shards.db.rows("SHOW SHARDS") if row[1] == shards.db.name
    )


def test_restart_of_counters(own: Shards) -> None:
    """After a restart all counters of writes begin at 0 again; so a counter that fell tells of a restart, one that
    was passed again does not.
    """
    own.db.put(f"m,h=a v=1 {MONDAY + 1}")
    assert own.read()[0]["writePointsOk"] == 2
    own.db.server.restart()
    assert "writePointsOk" not in own.read()[0]
    own.db.put(f"m,h=a v=1 {MONDAY + 1}", f"m,h=a v=1 {MONDAY + 2}")
    assert own.read()[0]["writePointsOk"] == 2


# ---------------------------------------------------------------- deletions, and what the server does by itself


def test_delete_before_files(shards: Shards) -> None:
    """DELETE moves no counter; of points that are not in files yet it makes `diskBytes` larger, in shards too in
    which there was nothing to delete.
    """
    shards.db.put(f"m,h=a v=1 {MONDAY + 1}")
    before = shards.bytes()
    assert shards.moved(lambda: shards.db.rows(f"DELETE FROM m WHERE time = {MONDAY}")) == {}
    after = shards.bytes()
    assert all(after[day] > before[day] for day in (0, 1))


def _settled(shards: Shards) -> dict[int, int]:
    """The bytes once all is in files, and stays."""
    found = [shards.bytes()]
    while len(found) < 4 or len({tuple(sorted(one.items())) for one in found[-4:]}) > 1:
        time.sleep(1)
        found.append(shards.bytes())
    return found[-1]


def test_delete_in_files(own: Shards) -> None:
    """DELETE of some points that lie in files moves nothing at all, not `diskBytes` either, until the files are
    compacted, which may be hours later.
    """
    own.db.put(*(f"m,h=a v={i} {MONDAY + i}" for i in range(3000)))
    before = _settled(own)
    own.db.server.restart()  # nothing is left in the cache
    before = _settled(own)
    assert own.moved(lambda: own.db.rows(f"DELETE FROM m WHERE time < {MONDAY + 100}")) == {}
    assert own.db.rows(f"SELECT count(v) FROM m WHERE time < {MONDAY + HOUR}") == [[0, 2900]]
    assert own.bytes() == before


def test_drop_series(shards: Shards) -> None:
    """DROP SERIES, DROP MEASUREMENT, and a DELETE of all points that a series has in a shard, make `seriesCreate`
    smaller, in every shard that they touch.
    """
    shards.db.put(f"m,h=b v=1 {MONDAY}", f"n,h=b v=1 {MONDAY}")
    dropped = shards.moved(lambda: shards.db.rows("DROP SERIES FROM m WHERE h = 'a'"))
    assert dropped == {0: {"seriesCreate": -1}, 1: {"seriesCreate": -1}}
    assert shards.moved(lambda: shards.db.rows("DROP MEASUREMENT n")) == {0: {"seriesCreate": -1}}
    assert shards.moved(lambda: shards.db.rows("DELETE FROM m WHERE h = 'b'")) == {0: {"seriesCreate": -1}}


def test_files_move_bytes(own: Shards) -> None:
    """When points go into files, `diskBytes` changes though nobody wrote; no counter does."""
    own.db.put(*(f"m,h=a v={i} {MONDAY + i}" for i in range(3000)))
    before, counters = own.bytes(), own.read()
    deadline = time.monotonic() + 30
    while own.bytes()[0] == before[0] and time.monotonic() < deadline:
        time.sleep(0.2)
    after = own.read()
    assert after[0]["diskBytes"] < before[0]
    assert {**counters[0], "diskBytes": 0} == {**after[0], "diskBytes": 0}


def test_expired_shards(own: Shards) -> None:
    """A shard that its policy gives up, or whose policy is dropped, is no longer listed."""
    own.db.rows("CREATE RETENTION POLICY p ON own DURATION 0s REPLICATION 1 SHARD DURATION 1d")
    own.db.put(f"m v=1 {MONDAY + 3 * DAY}", rp="p")
    assert own.read().keys() == {0, 1, 3}
    own.db.rows("DROP RETENTION POLICY p ON own")
    assert own.read().keys() == {0, 1}
    own.db.rows("ALTER RETENTION POLICY autogen ON own DURATION 30d")
    deadline = time.monotonic() + 30
    while own.db.select(STATISTICS).series and time.monotonic() < deadline:
        time.sleep(0.2)
    assert own.db.select(STATISTICS).series == []


# ---------------------------------------------------------------- who may ask


def test_who_sees_counters() -> None:
    """SHOW STATS and SHOW SHARDS are for administrators; `/debug/vars` answers everybody, with users too, without
    a password; unless `pprof-auth-enabled` is set, where there is that setting.
    """
    with InfluxServer.start("counters", settings={"http.auth-enabled": True}) as server:
        admin = Client(server)
        admin.ask("CREATE DATABASE db; CREATE USER u WITH PASSWORD 'u'; GRANT ALL ON db TO u")
        user, nobody = Client(server, ("u", "u")), Client(server)
        nobody.login = None
        for query in (STATISTICS, "SHOW STATS", "SHOW SHARDS"):
            assert "requires admin privilege" in user.ask(query, db="db").error
        assert admin.write("m v=1 1", "db").status == 204
        for client in (admin, user, nobody, Client(server, ("u", "wrong"))):
            answer = client.request("GET", "/debug/vars")
            assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
            assert any(key.startswith("shard:") for key in json.loads(answer.body))


def test_guarded_debug_vars(outcome: str) -> None:
    """What `/debug/vars` answers to a user, and without a password, where `pprof-auth-enabled` is set."""
    settings: Settings = {"http.auth-enabled": True, "http.pprof-auth-enabled": True}
    with InfluxServer.start("counters", settings=settings) as server:
        admin = Client(server)
        admin.ask("CREATE DATABASE db; CREATE USER u WITH PASSWORD 'u'; GRANT ALL ON db TO u")
        user, nobody = Client(server, ("u", "u")), Client(server)
        nobody.login = None
        statuses = [client.request("GET", "/debug/vars").status for client in (admin, user, nobody)]
        assert ", ".join(map(str, statuses[1:])) == outcome
        assert statuses[0] == 200
