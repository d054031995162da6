"""Fingerprints: what aggregates tell of the points of a series without moving them"""

from __future__ import annotations

import math
import random
import struct
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.facts.harness import DAY, HOUR, MONDAY, SECOND, Client, Database
from tests.support.servers import InfluxServer, Settings, quoted

STEP = 90 * SECOND
DAYS = 2
WHERE = f"WHERE time >= {MONDAY} AND time < {MONDAY + DAYS * DAY}"
BY_HOUR = f"{WHERE} GROUP BY time({HOUR}ns), * fill(none)"
BY_SERIES = f"{WHERE} GROUP BY *"

Found = dict[tuple[tuple[str, str], ...], list[list[Any]]]
"""The rows of each series, floats as their bits."""


def _exactly(value: object) -> object:
    return struct.pack(">d", value) if isinstance(value, float) else value


def _ask(client: Client, query: str, db: str) -> Found:
    """An answer by series, so that it can be compared with that of another server."""
    answer = client.ask(query, db=db)
    assert (answer.status, answer.error) == (200, ""), query
    return {
        tuple(sorted((k, v) for k, v in series["tags"].items() if v)): [
            [_exactly(value) for value in row] for row in series["values"]
        ]
        for series in answer.series
    }


# ---------------------------------------------------------------- the same points at two servers

SOONEST: Settings = {
    "data.cache-snapshot-write-cold-duration": "1s",
    "data.compact-full-write-cold-duration": "2s",
}


class Twins:
    """The same points in three databases: `plain`, written once in order; `same`, with the same shard duration,
    and `short`, with shards of one day, on a server where they came in other orders, in overlapping requests,
    twice and with other values first, between restarts, into several files and the cache.
    """

    def __init__(self, first: InfluxServer, second: InfluxServer) -> None:
        self.second = second
        self.databases = {"plain": Client(first), "same": Client(second), "short": Client(second)}
        for name, client in self.databases.items():
            client.ask(f"CREATE DATABASE {name}")
        self.databases["short"].ask("ALTER RETENTION POLICY autogen ON short SHARD DURATION 1d")
        rng = random.Random(14)
        self.points = {
            (series, MONDAY + i * STEP + series): self._value(rng)
            for series in range(5)
            for i in range(DAYS * DAY // STEP)
            if rng.random() < 0.9
        }
        self._put("plain", self.points)
        for number in range(4):
            for name in ("same", "short"):
                self._disturb(name, number)
            if number == 1:
                second.restart()
            elif number == 2:
                time.sleep(2.5)  # into files, so that the last values lie in the cache before them
        for name in ("same", "short"):
            points = list(self.points.items())
            rng.shuffle(points)
            self._put(name, dict(points))

    def _value(self, rng: random.Random) -> float:
        exponent = rng.choice([0, 0, 2, 16, -16, 300])
        return rng.choice([1, -1]) * rng.random() * 10.0**exponent

    def _disturb(self, name: str, number: int) -> None:
        rng = random.Random(number)
        some = rng.sample(list(self.points.items()), len(self.points) // 2)
        if number % 2:
            some.sort(reverse=True)
        self._put(name, {key: value if rng.random() < 0.5 else rng.random() for key, value in some})

    def _put(self, name: str, points: Mapping[tuple[int, int], float]) -> None:
        lines = [f"m,h={h} v={v!r},w={int(h)}i {t}" for (h, t), v in points.items()]
        for start in range(0, len(lines), 2500):
            request = "\n".join(lines[max(0, start - 200) : start + 2500])
            assert self.databases[name].write(request, name).status == 204

    def ask(self, query: str) -> dict[str, Found]:
        """What each of the three says."""
        return {name: _ask(client, query, name) for name, client in self.databases.items()}

    def are_equal(self, query: str) -> bool:
        """Whether all three say the same, to the last bit."""
        plain, same, short = self.ask(query).values()
        assert plain
        return plain == same == short


@pytest.fixture(scope="module", params=["inmem", "tsi1"])
def twins(request: pytest.FixtureRequest) -> Iterator[Twins]:
    """Two servers with the same points."""
    index: Settings = {"data.index-version": request.param}
    one = InfluxServer.start("one", settings=index)
    with one, InfluxServer.start("other", settings={**index, **SOONEST}) as other:
        yield Twins(one, other)


HOURLY = f"SELECT count(v), sum(v), min(v), max(v), count(w), sum(w) FROM m {BY_HOUR}"
SQUARES = f"SELECT sum(y) FROM (SELECT elapsed(v, 1ns) * elapsed(v, 1ns) AS y FROM m {BY_SERIES}) {BY_SERIES}"


def test_hourly_fingerprints(twins: Twins) -> None:
    """Per series and hour, `count`, `sum`, `min` and `max` of the same points are equal to the last bit at two
    servers, with other shard durations too, whatever order, repetitions, overwritten values, restarts and
    compactions brought the points there.
    """
    first = twins.ask(HOURLY)["plain"]
    assert sum(len(rows) for rows in first.values()) == 5 * 24 * DAYS
    assert twins.are_equal(f"SELECT v, w FROM m {BY_SERIES}")
    assert twins.are_equal(HOURLY)
    twins.second.restart()
    assert twins.are_equal(HOURLY)
    time.sleep(5)  # all into files, and these made one
    assert twins.are_equal(HOURLY)
    assert twins.ask(HOURLY)["plain"] == first


def test_sums_across_shards(twins: Twins) -> None:
    """A float sum, and a mean, of a range that lies in several shards at one of the servers differs in its last
    bits; with the same shards it is equal.
    """
    for function in ("sum", "mean"):
        plain, same, short = twins.ask(f"SELECT {function}(v) FROM m {BY_SERIES}").values()
        assert plain == same != short


@pytest.mark.parametrize(
    "columns",
    ["count(v), count(w)", "min(v), max(v)", "sum(w)", 'sum("v"::integer)', "stddev(v)", "count(distinct(v))"],
)
def test_exact_aggregates(columns: str, twins: Twins) -> None:
    """Over any range, whatever the shards, these are equal: `count`, `min`, `max`, `spread`, `stddev`,
    `count(distinct(f))`, integer sums and `sum("f"::integer)` of floats; and the time of `first` and `last`.
    """
    assert twins.are_equal(f"SELECT {columns} FROM m {BY_SERIES}")
    assert twins.are_equal(f"SELECT spread(v), count(v) FROM m {BY_SERIES}")
    for edge in ("first", "last"):
        assert twins.are_equal(f"SELECT {edge}(v) FROM m {BY_SERIES}")


def test_sums_of_sub_queries(twins: Twins) -> None:
    """Sums over `elapsed` and `cumulative_sum` in a sub-query are equal over any range, whatever the shards,
    floats too: they add up in the order of time.
    """
    assert twins.are_equal(SQUARES)
    running = f"SELECT cumulative_sum(v) AS y FROM m {BY_SERIES}"
    assert twins.are_equal(f"SELECT sum(y) FROM ({running}) {BY_SERIES}")
    since = f"SELECT cumulative_sum(x) AS y FROM (SELECT elapsed(v, 1ns) AS x FROM m {BY_SERIES}) {BY_SERIES}"
    assert twins.are_equal(f"SELECT sum(z) FROM (SELECT y * y AS z FROM ({since}) {BY_SERIES}) {BY_SERIES}")


# ---------------------------------------------------------------- what they feel

TIMES = [MONDAY + n * SECOND for n in (0, 10, 30, 60, 100, 150, 210, 280)]

FINGERPRINTS = {
    "count, sum, min, max": f"SELECT count(v), sum(v), min(v), max(v) FROM m {BY_HOUR}",
    "first": f"SELECT first(v) FROM m {BY_SERIES}",
    "last": f"SELECT last(v) FROM m {BY_SERIES}",
    "elapsed": f"SELECT sum(x) FROM (SELECT elapsed(v, 1ns) AS x FROM m {BY_SERIES}) {BY_SERIES}",
    "squares": SQUARES,
    "moments": (
        "SELECT sum(z) FROM (SELECT y * y AS z FROM (SELECT cumulative_sum(x) AS y FROM "
        f"(SELECT elapsed(v, 1ns) AS x FROM m {BY_SERIES}) {BY_SERIES}) {BY_SERIES}) {BY_SERIES}"
    ),
    "running": f"SELECT sum(y) FROM (SELECT cumulative_sum(v) AS y FROM m {BY_SERIES}) {BY_SERIES}",
}
"""`squares`: of the times between two points. `moments`: squares of the times since the first point."""


def _prints(db: Database, times: list[int], values: list[float]) -> dict[str, Found]:
    db.rows("DROP MEASUREMENT m")
    db.put(*(f"m,h=a v={v} {t}" for t, v in zip(times, values, strict=True)))
    return {name: _ask(db, query, db.name) for name, query in FINGERPRINTS.items()}


@pytest.mark.parametrize(
    ("moved", "felt"),
    [
        pytest.param({2: 1}, {"squares", "moments"}, id="one point by a nanosecond"),
        pytest.param({2: 10 * SECOND}, {"moments"}, id="one point to its mirror image between its neighbours"),
        pytest.param({2: 7, 5: -7}, {"squares", "moments"}, id="two points oppositely"),
        pytest.param({7: 1}, {"last", "elapsed", "squares", "moments"}, id="the last point"),
        pytest.param({0: 1}, {"first", "elapsed", "squares", "moments"}, id="the first point"),
    ],
)
def test_moved_points(moved: dict[int, int], felt: set[str], db: Database) -> None:
    """A point of the same value at another time inside a window is not felt by count, sum, min, max, first and
    last, but by `sum(y)` of `elapsed(f, 1ns) * elapsed(f, 1ns) AS y`, unless it swaps the two times beside it, and
    always by the squares of the times since the first point.
    """
    after = [t + moved.get(i, 0) for i, t in enumerate(TIMES)]
    base, other = (_prints(db, times, [7.5] * len(times)) for times in (TIMES, after))
    assert {name for name in FINGERPRINTS if base[name] != other[name]} == felt


def test_swapped_values(db: Database) -> None:
    """Two values of one window that changed places are felt by `sum(y)` of `cumulative_sum(f) AS y` alone."""
    base = _prints(db, TIMES, [1, 2, 3, 4, 5, 6, 7, 8])
    other = _prints(db, TIMES, [1, 2, 3, 5, 4, 6, 7, 8])
    assert {name for name in FINGERPRINTS if base[name] != other[name]} == {"running"}


def test_elapsed_types(db: Database) -> None:
    """`elapsed` works on numbers, strings and booleans, also on a field that is read as one of its types."""
    db.put(*(f'm,h=a f={i}.5,i={i}i,s="x",b=true {MONDAY + i * i}' for i in range(4)))
    for name, type_ in (("f", "float"), ("i", "integer"), ("s", "string"), ("b", "boolean")):
        inner = f'SELECT elapsed("{name}"::{type_}, 1ns) * elapsed("{name}"::{type_}, 1ns) AS y FROM m {BY_SERIES}'
        assert db.rows(f"SELECT sum(y) FROM ({inner}) {BY_SERIES}") == [[MONDAY, 1 + 9 + 25]]


def test_time_as_a_value(db: Database) -> None:
    """The time of a point cannot be reckoned with: `sum(time)`, `time * 2` and a sub-query of it give nothing."""
    db.put("m v=1 1", "m v=2 5")
    for query in (
        "SELECT sum(time) FROM m",
        "SELECT time * 2 FROM m",
        "SELECT sum(time) FROM (SELECT v FROM m)",
        "SELECT sum(x) FROM (SELECT time AS x, v FROM m)",
    ):
        assert db.rows(query) == []


# ---------------------------------------------------------------- extremes


def test_sum_of_too_much(db: Database) -> None:
    """A float sum beyond the range is infinite: `inf` in msgpack, `+Inf` in CSV, and an error of JSON."""
    db.put(*(f"m v=1e308 {i}" for i in range(2)), *(f"n v=-1e308 {i}" for i in range(2)))
    assert db.rows("SELECT sum(v) FROM m; SELECT sum(v) FROM n") == [[0, math.inf], [0, -math.inf]]
    assert db.select("SELECT sum(v) FROM m", "csv").body.splitlines()[-1] == b"m,,0,+Inf"
    assert b"unsupported value: +Inf" in db.select("SELECT sum(v) FROM m", "json").body


def test_sum_of_infinities(db: Database) -> None:
    """Where the sum of one shard is infinite and that of another one is so the other way, their sum is null,
    though there is a count.
    """
    db.put(*(f"m v={v} {t}" for v, t in (("1e308", 1), ("1e308", 2), ("-1e308", MONDAY), ("-1e308", MONDAY + 1))))
    assert db.rows("SELECT count(v), sum(v) FROM m") == [[0, 4, None]]
    assert db.select("SELECT count(v), sum(v) FROM m", "csv").body.splitlines()[-1] == b"m,,0,4,"


def test_zeros(db: Database) -> None:
    """A sum has no negative zero, and `min` and `max` give the first of both zeros, with its sign: only comparing
    as numbers is fair.
    """
    db.put("m,h=a v=-0.0 1", "m,h=a v=0.0 2", "m,h=b v=0.0 1", "m,h=b v=-0.0 2", "m,h=c v=-0.0 1")
    rows = db.rows("SELECT sum(v), min(v), max(v) FROM m GROUP BY *")
    assert [[math.copysign(1, value) for value in row[1:]] for row in rows] == [
        [1, -1, -1],
        [1, 1, 1],
        [1, -1, -1],
    ]


def test_subnormal_sums(db: Database) -> None:
    """Subnormal floats add up exactly, also in CSV; `stddev` of them is 0."""
    db.put("m v=5e-324 1", "m v=5e-324 2", "m v=1e-310 3")
    assert db.rows("SELECT sum(v), stddev(v) FROM m") == [[0, 5e-324 + 5e-324 + 1e-310, 0.0]]
    assert float(db.select("SELECT sum(v) FROM m", "csv").body.split(b",")[-1]) == 5e-324 + 5e-324 + 1e-310


def test_integer_sums(db: Database) -> None:
    """Integer sums are exact above 2^53 and wrap at 64 bits, over several shards too."""
    top, bottom = 2**63 - 1, -(2**63)
    db.put(f"m v={top}i 1", f"m v={top}i {MONDAY}", "m v=5i 2", f"n v={bottom}i 1", "n v=-1i 2", f"o v={2**53}i 1")
    db.put("o v=1i 2")
    rows = db.rows("SELECT sum(v) FROM m; SELECT sum(v) FROM n; SELECT sum(v) FROM o")
    assert rows == [[0, 3], [0, top], [0, 2**53 + 1]]


def test_unsigned_sums(db: Database, outcome: str) -> None:
    """`sum`, `min`, `max` of unsigned integers."""
    answer = db.send(f"m v={2**64 - 1}u 1", "m v=2u 2")
    if answer.status == 400:
        assert outcome == "refused"
        return
    assert db.rows("SELECT count(v), sum(v), min(v), max(v) FROM m") == [[0, 2, 1, 2, 2**64 - 1]]
    assert db.rows('SELECT sum("v"::unsigned), sum("v"::integer) FROM m') == [[0, 1, 1]]
    assert outcome == "the sum wraps at 64 bits, the others are exact"


def test_cast_sums(db: Database) -> None:
    """`sum("f"::integer)` of floats adds their whole parts: nothing of what lies between -1 and 1; far beyond 64
    bits each counts as -2^63.
    """
    db.put("m v=1.9 1", "m v=-1.9 2", "m v=0.9 3", "m v=40.5 4", "n v=1e300 1", "n v=1 2")
    assert db.rows('SELECT sum("v"::integer) FROM m; SELECT sum("v"::integer) FROM n') == [[0, 40], [0, 1 - 2**63]]


def test_first_values_and_sums_of_mixed_numbers(db: Database) -> None:
    """`sum("f"::float)`, `sum("f"::integer)` and `first("f"::field)` stand in one question; the last has the type
    of the shard that is asked, an integer or a float.
    """
    db.put(f"m v=1.9 {MONDAY}", f"m v=2 {MONDAY + 1}", f"m v=3i {MONDAY + 7 * DAY}")
    asked = 'SELECT sum("v"::float), sum("v"::integer), first("v"::field) FROM m WHERE'
    for begin, expected in ((MONDAY, [3.9, 3, 1.9]), (MONDAY + 7 * DAY, [3.0, 3, 3])):
        ((_, *found),) = db.rows(f"{asked} time >= {begin} AND time < {begin + DAY}")
        assert (found, [type(value) for value in found]) == (expected, [type(value) for value in expected])


# ---------------------------------------------------------------- types


def test_string_aggregates(db: Database) -> None:
    """Of strings there are `count`, `count(distinct(f))`, `first`, `last` and `mode`; `sum`, `min`, `max` and
    `spread` are an error: `unsupported ... iterator type`.
    """
    db.put('m s="b" 1', 'm s="a" 2', 'm s="b" 3')
    assert db.rows("SELECT count(s) FROM m; SELECT count(distinct(s)) FROM m") == [[0, 3], [0, 2]]
    assert db.rows("SELECT first(s) FROM m; SELECT last(s) FROM m; SELECT mode(s) FROM m") == [
        [1, "b"],
        [3, "b"],
        [0, "b"],
    ]
    for function in ("sum", "min", "max", "spread", "stddev", "mean"):
        assert "unsupported" in db.select(f"SELECT {function}(s) FROM m").error


def test_boolean_aggregates(db: Database) -> None:
    """Booleans have `min` and `max` besides; no `sum`, nor can they be read as numbers."""
    db.put("m b=true 1", "m b=false 2", "m b=true 3")
    assert db.rows("SELECT count(b), min(b), max(b), first(b), last(b) FROM m") == [
        [0, 3, False, True, True, True]
    ]
    assert db.rows("SELECT count(distinct(b)) FROM m") == [[0, 2]]
    assert "unsupported" in db.select("SELECT sum(b) FROM m").error
    assert db.rows('SELECT sum("b"::integer) FROM m') == []


def test_aggregates_of_all_fields(db: Database) -> None:
    """`sum(*)` leaves out strings and booleans, `min(*)` strings; where nothing is left there is no row."""
    db.put('m v=1,s="a",b=true 1', 'n s="a" 1')
    assert db.select("SELECT sum(*), count(*) FROM m").columns == [
        "time",
        "sum_v",
        "count_b",
        "count_s",
        "count_v",
    ]
    assert db.select("SELECT min(*) FROM m").columns == ["time", "min_b", "min_v"]
    assert db.rows("SELECT sum(*) FROM n") == []


def test_aggregates_of_several_types(db: Database) -> None:
    """Of a field with several types in its shards `count(*)`, `count(f)` and `sum(f)` see numbers alone where
    there are any; read as one of its types (`"f"::float`, `::string`) it has all numbers, all strings or all
    booleans.
    """
    values = ("1.5", "3i", '"x"', "true")
    db.rows(f'ALTER RETENTION POLICY autogen ON "{db.name}" SHARD DURATION 1d')
    db.put(*(f"m,h=a f={value} {MONDAY + i * DAY}" for i, value in enumerate(values)))
    assert db.rows("SELECT count(*), count(f), sum(f) FROM m") == [[0, 2, 2, 4.5]]
    counts = [db.rows(f'SELECT count("f"::{t}) FROM m')[0][1] for t in ("float", "integer", "string", "boolean")]
    assert counts == [2, 2, 1, 1]
    assert db.rows('SELECT sum("f"::float) FROM m; SELECT sum("f"::integer) FROM m') == [[0, 4.5], [0, 4]]
    edges = [db.rows(f'SELECT last("f"::{t}) FROM m GROUP BY *')[0] for t in ("float", "string", "boolean")]
    assert edges == [[MONDAY + DAY, 3.0], [MONDAY + 2 * DAY, "x"], [MONDAY + 3 * DAY, True]]


# ---------------------------------------------------------------- rows


def test_series_without_values(db: Database) -> None:
    """With GROUP BY * a series that has none of the aggregated fields in the range has no row; one that has some
    has null for the others, counts too.
    """
    db.put("m,h=a a=1,b=2 1", "m,h=b a=1 1", "m,h=c b=1 1", "m,h=d c=1 1", "m,h=e a=1 99")
    columns = "count(a), sum(a), count(b), sum(b), min(b)"
    for query in ("GROUP BY *", "GROUP BY time(10ns), * fill(none)"):
        rows = db.rows(f"SELECT {columns} FROM m WHERE time >= 0 AND time < 10 {query}")
        assert rows == [[0, 1, 1.0, 1, 2.0, 2.0], [0, 1, 1.0, None, None, None], [0, None, None, 1, 1.0, 1.0]]


def test_empty_windows(db: Database) -> None:
    """Without `fill(none)` each series has a row for each window of the range, with count 0 and null sums."""
    db.put("m,h=a v=1 15", "m,h=b v=1 25")
    query = "SELECT count(v), sum(v) FROM m WHERE time >= 0 AND time < 30 GROUP BY time(10ns), *"
    assert len(db.rows(query)) == 6
    assert db.rows(query)[0] == [0, 0, None]
    assert db.rows(f"{query} fill(none)") == [[10, 1, 1.0], [20, 1, 1.0]]


def test_times_of_selectors(db: Database) -> None:
    """Without GROUP BY time `first`, `last`, `min` and `max`, alone in their statement, have the time of their
    point, of the earliest of equals; beside another function the lower bound.
    """
    db.put("m,h=a v=1 3", "m,h=a v=1 5", "m,h=a v=2 7", "m,h=a v=2 9")
    rows = [db.rows(f"SELECT {f}(v) FROM m GROUP BY *")[0] for f in ("first", "last", "min", "max")]
    assert rows == [[3, 1.0], [9, 2.0], [3, 1.0], [7, 2.0]]
    assert db.rows("SELECT first(v), count(v) FROM m WHERE time >= 2 GROUP BY *") == [[2, 1.0, 4]]
    assert db.rows("SELECT first(v) FROM m WHERE time >= 0 AND time < 10 GROUP BY time(10ns), *") == [[0, 1.0]]


def test_tags_of_series(db: Database) -> None:
    """With GROUP BY * msgpack has the tags of each series exactly, whatever their names and values, in an order
    that differs from answer to answer; the series come in the same order at every server.
    """
    odd = ["a b,c=d\"e'f\\g/", "\u00e4\U0001f600", "a\rb", "a\0b", "a\udcffb", "a\\\nb"]
    texts = [(name.replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\="), name) for name in odd]
    db.put(*(f"m,{text}={text} v=1 1" for text, _ in texts), "m v=1 1", "m,A=1,a=2,B=3 v=1 1", "m,A=2 v=1 1")
    found = [
        {k: v for k, v in series["tags"].items() if v}
        for series in db.select("SELECT count(v), sum(v) FROM m GROUP BY *").series
    ]
    expected = [{}, *({name: name} for name in odd), {"A": "1", "a": "2", "B": "3"}, {"A": "2"}]
    assert len(found) == len(expected)
    assert all(tags in found for tags in expected)
    with Database.make(db.server, f"{db.name}_again") as again:
        lines = [
            "m,A=2 v=1 1",
            "m,B=3,a=2,A=1 v=1 1",
            "m v=1 1",
            *(f"m,{t}={t} v=1 1" for t, _ in reversed(texts)),
        ]
        for line in lines:
            again.put(line)
        series = again.select("SELECT count(v), sum(v) FROM m GROUP BY *").series
        assert [{k: v for k, v in one["tags"].items() if v} for one in series] == found


def test_overlapping_sums(db: Database) -> None:
    """Where shard groups overlap, sums and counts of an hour have the points of all of them."""
    policy = f'RETENTION POLICY "autogen" ON {quoted(db.name)}'
    db.put(f"m,h=a v=0.1 {MONDAY}")
    db.rows(f"ALTER {policy} SHARD DURATION 30d")
    db.put(f"m,h=a v=0.2 {MONDAY + 9 * DAY}", f"m,h=a v=0.7 {MONDAY + 1}")
    assert db.rows(f"SELECT count(v), sum(v) FROM m WHERE time < {MONDAY + HOUR} GROUP BY *") == [
        [0, 2, 0.1 + 0.7]
    ]
