"""Databases, retention policies, shard groups, measurements and keys."""

from __future__ import annotations

import msgpack
import pytest

from tests.facts.harness import FIRST_TIME, LAST_TIME, MONDAY, WEEK, Database
from tests.support.servers import quoted


@pytest.fixture
def twice(db: Database) -> Database:
    """The policy `autogen` with `m`, and the policy `other` with `n`, each with a tag and fields."""
    db.rows(f'CREATE RETENTION POLICY "other" ON "{db.name}" DURATION 0s REPLICATION 1')
    db.put("m,t=a v=1,a=true 1")
    db.put("n,u=a w=1i 1", "m,s=b x=1 1", rp="other")
    return db


def _policies(db: Database) -> list[dict[str, object]]:
    [series] = db.select(f'SHOW RETENTION POLICIES ON "{db.name}"').series
    return [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]


# ---------------------------------------------------------------- measurements and keys


def test_measurements(twice: Database) -> None:
    """SHOW MEASUREMENTS and SHOW TAG KEYS ignore retention policies, the request's `rp` too."""
    for parameters in ({}, {"rp": "other"}):
        assert twice.names("SHOW MEASUREMENTS", **parameters) == ["m", "n"]
        series = twice.select("SHOW TAG KEYS", **parameters).series
        assert [(s["name"], s["columns"], s["values"]) for s in series] == [
            ("m", ["tagKey"], [["s"], ["t"]]),
            ("n", ["tagKey"], [["u"]]),
        ]


def test_field_keys(twice: Database) -> None:
    """SHOW FIELD KEYS shows one policy: the default one, or that of the request's parameter `rp`."""
    found = [
        [(s["name"], s["columns"], s["values"]) for s in twice.select("SHOW FIELD KEYS", **parameters).series]
        for parameters in ({}, {"rp": "other"})
    ]
    columns = ["fieldKey", "fieldType"]
    assert found[0] == [("m", columns, [["a", "boolean"], ["v", "float"]])]
    assert found[1] == [("m", columns, [["x", "float"]]), ("n", columns, [["w", "integer"]])]


def test_keys_of_one_measurement(twice: Database) -> None:
    """SHOW FIELD KEYS ON ... FROM obeys `rp` too; SHOW TAG KEYS ON ... FROM a, b lists those of these measurements
    alone.
    """
    assert twice.rows(f'SHOW FIELD KEYS ON "{twice.name}" FROM "m"', rp="other") == [["x", "float"]]
    twice.put("k,x=1 v=1 1", "none v=1 1")
    series = twice.select(f'SHOW TAG KEYS ON "{twice.name}" FROM "k", "n", "none"').series
    assert [(s["name"], s["values"]) for s in series] == [("k", [["x"]]), ("n", [["u"]])]


def test_key_order(db: Database) -> None:
    """Measurements, tag keys and field keys come sorted by their bytes."""
    names = ["b", "a", "B", "ä", "_a", "1", "a b"]
    for name in names:
        escaped = name.replace(" ", "\\ ")
        db.put(f"{escaped} v=1 1", f"x,{escaped}=1 v=1 1", f"y {escaped}=1 1")
    expected = sorted(names, key=str.encode)
    assert [name for name in db.names("SHOW MEASUREMENTS") if name not in "xy"] == expected
    assert db.names('SHOW TAG KEYS FROM "x"') == db.names('SHOW FIELD KEYS FROM "y"') == expected


def test_tag_values(db: Database) -> None:
    """SHOW TAG VALUES ... WITH KEY = "t" WHERE "t"::tag =~ /.../ LIMIT 1 gives one value that matches, if there is
    any.
    """
    db.put("m,t=a v=1 1", r"m,t=b#!~#c v=1 1", "m,u=b v=1 1")
    query = 'SHOW TAG VALUES ON "{}" FROM "m" WITH KEY = "{}" WHERE "{}"::tag =~ /#!~#/ LIMIT 1'
    assert db.rows(query.format(db.name, "t", "t")) == [["t", "b#!~#c"]]
    assert db.rows(query.format(db.name, "u", "u")) == []


# ---------------------------------------------------------------- databases and policies


def test_policy_columns(db: Database, outcome: str) -> None:
    """The columns of SHOW RETENTION POLICIES beyond name, duration, shardGroupDuration, replicaN and default."""
    [series] = db.select("SHOW RETENTION POLICIES").series
    known = {"name", "duration", "shardGroupDuration", "replicaN", "default"}
    assert known <= set(series["columns"])
    assert (", ".join(column for column in series["columns"] if column not in known) or "none") == outcome


def test_default_policy(db: Database) -> None:
    """A plain CREATE DATABASE makes `autogen` the default policy: kept for ever, `0s`, shard groups of
    `168h0m0s`.
    """
    [policy] = _policies(db)
    assert [policy[k] for k in ("name", "duration", "shardGroupDuration", "default")] == [
        "autogen",
        "0s",
        "168h0m0s",
        True,
    ]


def test_durations(db: Database) -> None:
    """CREATE RETENTION POLICY takes durations in seconds or nanoseconds, and SHOW prints them as `1h0m0s`,
    `100h30m0s`.
    """
    on = f'ON "{db.name}"'
    db.rows(f"CREATE RETENTION POLICY a {on} DURATION 361800s REPLICATION 1 SHARD DURATION 86400s")
    db.rows(f"CREATE RETENTION POLICY b {on} DURATION 0s REPLICATION 1 SHARD DURATION 3600000000001ns DEFAULT")
    found = {p["name"]: (p["duration"], p["shardGroupDuration"], p["default"]) for p in _policies(db)}
    assert found == {
        "autogen": ("0s", "168h0m0s", False),
        "a": ("100h30m0s", "24h0m0s", False),
        "b": ("0s", "1h0m0.000000001s", True),
    }


def test_shortest_shard_duration(db: Database) -> None:
    """Shard durations under one hour become one hour."""
    db.rows(f'CREATE RETENTION POLICY a ON "{db.name}" DURATION 0s REPLICATION 1 SHARD DURATION 60s')
    assert _policies(db)[-1]["shardGroupDuration"] == "1h0m0s"


def test_create_twice(db: Database) -> None:
    """CREATE DATABASE of an existing one changes nothing; WITH other durations it is an error, with the same ones
    not.
    """
    db.put("m v=1 1")
    [before] = _policies(db)
    db.rows(f'CREATE DATABASE "{db.name}"')
    create = f'CREATE DATABASE "{db.name}" WITH DURATION {{}} REPLICATION 1 SHARD DURATION 604800s NAME "autogen"'
    db.rows(create.format("0s"))
    assert db.select(create.format("30d")).error == "retention policy conflicts with an existing policy"
    assert _policies(db) == [before]


def test_create_policy_twice(db: Database) -> None:
    """CREATE RETENTION POLICY with the same values is fine, with others it is `retention policy already
    exists`.
    """
    create = f'CREATE RETENTION POLICY "p" ON "{db.name}" DURATION {{}} REPLICATION 1 SHARD DURATION 1h'
    db.rows(create.format("7d"))
    db.rows(create.format("7d"))
    assert db.select(create.format("8d")).error == "retention policy already exists"


def test_create_with_policy(db: Database) -> None:
    """CREATE DATABASE WITH ... NAME makes that policy the default, and no `autogen`."""
    name = f"{db.name}_own"
    db.rows(f'CREATE DATABASE "{name}" WITH DURATION 30d REPLICATION 1 SHARD DURATION 86400s NAME "p"')
    [policy] = _policies(Database(db.server, name))
    db.rows(f'DROP DATABASE "{name}"')
    assert [policy[k] for k in ("name", "duration", "shardGroupDuration", "default")] == [
        "p",
        "720h0m0s",
        "24h0m0s",
        True,
    ]


# ---------------------------------------------------------------- shard groups


def _groups(db: Database) -> list[tuple[str, str]]:
    [series] = db.select("SHOW SHARD GROUPS").series
    assert series["columns"] == ["id", "database", "retention_policy", "start_time", "end_time", "expiry_time"]
    return sorted((row[3], row[4]) for row in series["values"] if row[1:3] == [db.name, "autogen"])


def test_shard_groups(db: Database) -> None:
    """SHOW SHARD GROUPS lists those of all databases that hold data, from start to end as
    `2024-01-01T00:00:00Z`.
    """
    db.put(f"m v=1 {MONDAY}", f"m v=1 {MONDAY + 5 * WEEK - 1}")
    assert _groups(db) == [
        ("2024-01-01T00:00:00Z", "2024-01-08T00:00:00Z"),
        ("2024-01-29T00:00:00Z", "2024-02-05T00:00:00Z"),
    ]


@pytest.mark.parametrize(
    ("duration", "start", "end"),
    [
        ("1h", "2024-01-03T07:00:00Z", "2024-01-03T08:00:00Z"),
        ("1d", "2024-01-03T00:00:00Z", "2024-01-04T00:00:00Z"),
        ("7d", "2024-01-01T00:00:00Z", "2024-01-08T00:00:00Z"),
        ("30d", "2023-12-17T00:00:00Z", "2024-01-16T00:00:00Z"),
    ],
)
def test_shard_grid(duration: str, start: str, end: str, db: Database) -> None:
    """Shard groups begin at multiples of their duration since the year 1, so those of 7 days on Mondays at 00:00
    UTC.
    """
    db.rows(f'ALTER RETENTION POLICY "autogen" ON "{db.name}" SHARD DURATION {duration}')
    db.put("m v=1 1704267000000000000")
    assert _groups(db) == [(start, end)]


def test_outermost_groups(db: Database) -> None:
    """The first and the last shard group reach to or beyond the ends of time."""
    db.put(f"m v=1 {FIRST_TIME}", f"m v=1 {LAST_TIME}")
    (first, _), (_, last) = _groups(db)
    assert (first, last) == ("1677-09-20T00:00:00Z", "2262-04-11T23:47:16Z")


def test_altered_duration(db: Database, outcome: str) -> None:
    """A new shard group after ALTER ... SHARD DURATION, where one of the old duration is in its way."""
    db.put(f"m v=1 {MONDAY + WEEK}")
    db.rows(f'ALTER RETENTION POLICY "autogen" ON "{db.name}" SHARD DURATION 30d')
    db.put(f"m v=1 {MONDAY}", f"m v=2 {MONDAY + WEEK + 1}")
    new, old = _groups(db)
    assert old == ("2024-01-08T00:00:00Z", "2024-01-15T00:00:00Z")
    kinds = {"2024-01-16T00:00:00Z": "overlaps it", "2024-01-08T00:00:00Z": "is cut short"}
    assert (new[0], kinds[new[1]]) == ("2023-12-17T00:00:00Z", outcome)


def test_databases(db: Database) -> None:
    """SHOW DATABASES is one series `databases` with the column `name`."""
    [series] = db.select("SHOW DATABASES").series
    assert (series["name"], series["columns"], [db.name] in series["values"]) == ("databases", ["name"], True)


def test_names(db: Database) -> None:
    """Databases and policies may have any printable name without slash and backslash; others are an `invalid
    name`.
    """
    name = 'a "b".c\u00e4\'e; DROP DATABASE x'
    create = f'CREATE RETENTION POLICY {{}} ON "{db.name}" DURATION 0s REPLICATION 1'
    db.rows(create.format(quoted(name)))
    assert [p["name"] for p in _policies(db)] == ["autogen", name]
    db.put("m v=1 1", rp=name)
    assert db.rows(f'SELECT v FROM "{db.name}".{quoted(name)}."m"') == [[1, 1.0]]
    for other in ("a/b", "a\\b", "a\nb", "a\tb", ".."):
        assert db.select(create.format(quoted(other))).error == "invalid name"


def test_diagnostics(db: Database) -> None:
    """SHOW DIAGNOSTICS FOR 'system' and FOR 'network' tell process id, start and host, the same every time."""
    query = "SHOW DIAGNOSTICS FOR 'system'; SHOW DIAGNOSTICS FOR 'network'"
    found = []
    for _ in range(2):
        system, network = db.select(query).series
        assert (system["name"], network["name"]) == ("system", "network")
        values = dict(zip(system["columns"], system["values"][0], strict=True))
        found.append((values["PID"], values["started"], network["columns"], network["values"]))
    assert found[0] == found[1]
    assert found[0][0] == db.server.pid


def test_all_diagnostics(db: Database) -> None:
    """SHOW DIAGNOSTICS of everything breaks off in msgpack, at a value that it has no form for; JSON has all."""
    headers = {"Accept": "application/x-msgpack"}
    body = db.request("POST", "/query", {}, {"q": "SHOW DIAGNOSTICS"}, headers).body
    with pytest.raises(ValueError, match="incomplete input"):
        msgpack.unpackb(body, strict_map_key=False)
    assert "system" in {series["name"] for series in db.ask("SHOW DIAGNOSTICS", "json").series}
