"""Which rows and columns a SELECT gives, and in which order."""

from __future__ import annotations

import random

import pytest

from tests.facts.harness import DAY, FIRST_TIME, HOUR, LAST_TIME, MONDAY, WEEK, Database

ALL = f"time >= {FIRST_TIME} AND time < {LAST_TIME + 1}"


def test_order(db: Database) -> None:
    """Without GROUP BY the rows of all series come ordered by time, tags as columns, a missing tag as null."""
    times = [MONDAY + i for i in range(300)]
    random.Random(1).shuffle(times)
    db.put(*(f"m,t={time % 7} v={time}i {time}" for time in times), f"m v=0i {MONDAY + WEEK}")
    rows = db.rows('SELECT "v"::field, "t"::tag FROM m')
    assert rows == [[t, t, str(t % 7)] for t in sorted(times)] + [[MONDAY + WEEK, 0, None]]


def test_half_open(db: Database) -> None:
    """`time >= A AND time < B` takes integer nanoseconds, and is half-open."""
    db.put(*(f"m v={i}i {MONDAY + i}" for i in range(5)))
    rows = db.rows(f"SELECT v FROM m WHERE time >= {MONDAY + 1} AND time < {MONDAY + 3}")
    assert [v for _, v in rows] == [1, 2]


def test_limit(db: Database) -> None:
    """Without GROUP BY, LIMIT gives the oldest rows of all series together."""
    db.put(*(f"m,t={i % 3} v={i}i {i}" for i in range(30)))
    assert [v for _, v in db.rows("SELECT v FROM m LIMIT 7")] == list(range(7))


def test_equal_times(db: Database) -> None:
    """Rows of several series at one time all come, and LIMIT may cut between them."""
    db.put(*(f"m,t={i} v={i}i 1" for i in range(50)))
    assert {row[1] for row in db.rows("SELECT v FROM m")} == set(range(50))
    assert len(db.rows("SELECT v FROM m LIMIT 20")) == 20


def test_merged_rows(db: Database) -> None:
    """A query without one of the tags keeps a row for each series; fields of one point are one row."""
    db.put("m,a=1,b=1 v=1,w=1 1", "m,a=1,b=2 v=2 1")
    rows = db.rows('SELECT "v"::field, "w"::field, "a"::tag FROM m')
    assert sorted(rows, key=str) in ([[1, 1.0, 1.0, "1"], [1, 2.0, None, "1"]],)


def test_columns(db: Database) -> None:
    """Columns come in the order asked for; where a tag and a field share a name, `_1` is added to the
    later one.
    """
    db.put("m,x=tag,y=t x=1,y=2 1")
    query = 'SELECT "y"::tag, "x"::field, "x"::tag, "y"::field FROM m'
    assert db.select(query).columns == ["time", "y", "x", "x_1", "y_1"]
    assert db.rows(query) == [[1, "t", 1.0, "tag", 2.0]]


def test_unknown_columns(db: Database) -> None:
    """A quoted field or tag that does not exist is a column of nulls."""
    db.put("m,t=a v=1 1")
    assert db.rows('SELECT "v"::field, "none"::field, "none"::tag FROM m') == [[1, 1.0, None, None]]


def test_kinds(db: Database) -> None:
    """`::field` never gives a tag and `::tag` never a field."""
    db.put("m,t=a v=1 1")
    assert db.rows('SELECT "v"::field, "t"::field, "v"::tag FROM m') == [[1, 1.0, None, None]]


def test_tags_alone(db: Database) -> None:
    """A query of `::tag` columns alone gives nothing."""
    db.put("m,t=a v=1 1")
    assert db.rows('SELECT "t"::tag FROM m') == []


def test_rows_without_values(db: Database) -> None:
    """A point that has none of the selected fields gives no row."""
    db.put("m,t=a v=1 1", "m,t=a w=1 2")
    assert db.rows('SELECT "v"::field, "t"::tag FROM m') == [[1, 1.0, "a"]]


def test_series(db: Database) -> None:
    """With GROUP BY * rows come series by series; a tag that the series lacks is an empty text in its tags."""
    db.put("m,a=1 v=1 1", "m,b=2 v=2 1", "m,a=1 v=3 2")
    found = [(s["tags"], s["values"]) for s in db.select("SELECT v FROM m GROUP BY *").series]
    assert found == [({"a": "", "b": "2"}, [[1, 2.0]]), ({"a": "1", "b": ""}, [[1, 1.0], [2, 3.0]])]


def test_future(db: Database) -> None:
    """With explicit bounds, points later than now are selected, counted and grouped by time like any others."""
    future = 4_102_444_800_000_000_000
    db.put(f"m v=1 {future}", f"m v=2 {future + 1}")
    bounds = f"time >= {MONDAY} AND time < {future + WEEK}"
    assert len(db.rows("SELECT v FROM m")) == len(db.rows(f"SELECT v FROM m WHERE {bounds}")) == 2
    assert db.rows(f"SELECT count(v) FROM m WHERE {bounds}") == [[MONDAY, 2]]
    assert db.rows(f"SELECT count(v) FROM m WHERE {bounds} GROUP BY time(1d) fill(none)") == [[future, 2]]
    assert db.rows(f"SELECT last(v) FROM m WHERE {bounds}") == [[future + 1, 2.0]]
    assert db.rows("SELECT last(v) FROM m") == [[future + 1, 2.0]]


def test_group_by_without_bound(db: Database) -> None:
    """Without an upper bound GROUP BY time() ends now, a SELECT without it does not."""
    db.put(f"m v=1 {MONDAY}", "m v=2 4102444800000000000")
    assert db.rows(f"SELECT count(v) FROM m WHERE time >= {MONDAY} GROUP BY time(1000w) fill(none)")[0][1] == 1
    assert db.rows(f"SELECT count(v) FROM m WHERE time >= {MONDAY}")[0][1] == 2


def test_ends_of_time(db: Database) -> None:
    """Points from -9223372036854775806 to 9223372036854775806 are kept, found by their bounds, and counted."""
    db.put(f"m v=1 {FIRST_TIME}", f"m v=2 {LAST_TIME}", "m v=3 0", "m v=4 -1")
    assert [time for time, _ in db.rows("SELECT v FROM m")] == [FIRST_TIME, -1, 0, LAST_TIME]
    assert len(db.rows(f"SELECT v FROM m WHERE {ALL}")) == 4
    assert db.rows(f"SELECT count(v) FROM m WHERE {ALL}")[0][1] == 4
    assert db.rows(f"SELECT first(v) FROM m WHERE {ALL}")[0][0] == FIRST_TIME
    assert db.rows(f"SELECT last(v) FROM m WHERE {ALL}")[0][0] == LAST_TIME


@pytest.mark.parametrize("edge", ["first", "last"])
def test_one_edge(edge: str, db: Database) -> None:
    """`first(f)` and `last(f)` alone give the time of that point; without a value, no row."""
    db.put(*(f"m,s={i % 3} v={i} {MONDAY + i * DAY}" for i in range(20)), f"m w=1 {MONDAY + WEEK * 9}")
    time, value = {"first": (MONDAY, 0.0), "last": (MONDAY + 19 * DAY, 19.0)}[edge]
    assert db.rows(f"SELECT {edge}(v) FROM m WHERE {ALL}") == [[time, value]]
    assert db.rows(f"SELECT {edge}(v) FROM m WHERE time >= {MONDAY + 20 * DAY} AND time < {LAST_TIME}") == []


def test_edges_of_series(db: Database) -> None:
    """`last(f)` with GROUP BY * gives one row for each series that has a value, with its time."""
    db.put("m,t=a v=1 1", "m,t=a v=2 5", "m,t=b v=3 3", "m,t=c w=1 9")
    found = [
        (s["tags"]["t"], s["values"]) for s in db.select(f"SELECT last(v) FROM m WHERE {ALL} GROUP BY *").series
    ]
    assert found == [("a", [[5, 2.0]]), ("b", [[3, 3.0]])]


def test_several_edges(db: Database) -> None:
    """Two selectors in one statement (`last(a), last(b)`, `last(*)`) give the lower bound or 0, not their points'
    times.
    """
    db.put("m a=1 100", "m b=2 200")
    assert db.rows("SELECT last(a), last(b) FROM m") == [[0, 1.0, 2.0]]
    assert db.rows("SELECT last(*) FROM m") == [[0, 1.0, 2.0]]
    assert db.rows("SELECT last(a), last(b) FROM m WHERE time >= 50") == [[50, 1.0, 2.0]]
    assert [row[0] for row in db.rows("SELECT last(a) FROM m; SELECT last(b) FROM m")] == [100, 200]


def test_counts(db: Database) -> None:
    """Several counts in one statement are exact, the time of the row is the lower bound; without any value, no
    row.
    """
    db.put("m,t=a a=1,b=2 100", "m,t=b a=1 200", "m,t=a c=1 200")
    assert db.rows("SELECT count(a), count(b) FROM m WHERE time >= 50 AND time < 300") == [[50, 2, 1]]
    assert db.rows('SELECT count("a"::float), count("none"::float) FROM m WHERE time >= 50 AND time < 300') == [
        [50, 2, None]
    ]
    assert db.rows('SELECT count("none"::float) FROM m WHERE time >= 50 AND time < 300') == []


def test_windows(db: Database) -> None:
    """GROUP BY time(Nns) has windows since 1970, the first one not cut at the lower bound; fill(none) leaves out
    empty ones.
    """
    db.put(*(f"m v=1 {MONDAY + i * HOUR}" for i in (1, 2, 5, 8)), f"m v=1 {-1}")
    bounds = f"time >= {MONDAY + HOUR} AND time < {MONDAY + DAY}"
    windows = db.rows(f"SELECT count(v) FROM m WHERE {bounds} GROUP BY time({3 * HOUR}ns) fill(none)")
    assert windows == [[MONDAY, 2], [MONDAY + 3 * HOUR, 1], [MONDAY + 6 * HOUR, 1]]
    assert db.rows("SELECT count(v) FROM m WHERE time >= -10 AND time < 0 GROUP BY time(7ns) fill(none)") == [
        [-7, 1]
    ]


def test_windows_of_several_counts(db: Database) -> None:
    """With fill(none) a window without any of the counted fields has no row; one with some of them has null or 0
    for others.
    """
    db.put("m a=1 0", "m b=1 10", "m c=1 20")
    rows = db.rows(
        "SELECT count(a), count(b) FROM m WHERE time >= 0 AND time < 100 GROUP BY time(10ns) fill(none)"
    )
    assert [[row[0], row[1] or 0, row[2] or 0] for row in rows] == [[0, 1, 0], [10, 0, 1]]


def test_windows_of_series(db: Database) -> None:
    """GROUP BY time(), * counts each series apart."""
    db.put("m,t=a v=1 0", "m,t=b v=1 0", "m,t=b v=1 5")
    query = "SELECT count(v) FROM m WHERE time >= 0 AND time < 100 GROUP BY time(10ns), * fill(none)"
    assert [(s["tags"]["t"], s["values"]) for s in db.select(query).series] == [("a", [[0, 1]]), ("b", [[0, 2]])]


def test_means(db: Database) -> None:
    """`mean` of integers is a float; `last` of strings and booleans in windows works beside it."""
    db.put('m i=1i,s="a",b=true 0', 'm i=2i,s="b",b=false 5')
    query = "SELECT mean(i), last(s), last(b) FROM m WHERE time >= 0 AND time < 10 GROUP BY time(10ns) fill(none)"
    assert db.rows(query) == [[0, 1.5, "b", False]]


def test_means_of_large_integers(db: Database) -> None:
    """`mean(f)` of integers adds them in 64 bits and wraps; `mean("f"::float)` of the same is right."""
    base = 1_795_000_000_000_000_000
    db.put(*(f"m i={base + i}i {i}" for i in range(30)))
    window = "WHERE time >= 0 AND time < 30 GROUP BY time(30ns), * fill(none)"
    assert db.rows(f"SELECT mean(i) FROM m {window}") == [[0, (30 * base + 435 - 3 * 2**64) / 30]]
    assert db.rows(f'SELECT mean("i"::float) FROM m {window}') == [[0, float(base)]]


def test_last_bounds(db: Database) -> None:
    """`time < 9223372036854775807` has the last nanosecond that can be stored, `time < 9223372036854775806` has
    not; one more is an error, `time and *influxql.UnsignedLiteral are not compatible`.
    """
    db.put(f"m v=1 {LAST_TIME - 1}", f"m v=2 {LAST_TIME}", f"m v=3 {FIRST_TIME}")
    query = f"SELECT v FROM m WHERE time >= {LAST_TIME - 9} AND time < {{}}"
    assert db.rows(query.format(LAST_TIME)) == [[LAST_TIME - 1, 1.0]]
    assert db.rows(query.format(LAST_TIME + 1)) == [[LAST_TIME - 1, 1.0], [LAST_TIME, 2.0]]
    assert "UnsignedLiteral are not compatible" in db.select(query.format(LAST_TIME + 2)).error
    for bound in (FIRST_TIME, FIRST_TIME - 1, FIRST_TIME - 2):
        assert db.rows(f"SELECT v FROM m WHERE time >= {bound} AND time < 0") == [[FIRST_TIME, 3.0]]


def test_last_window(db: Database) -> None:
    """The last nanosecond lies in no window of GROUP BY time(): a count by hour lacks its points, a count without
    windows has them; the first nanosecond lies in one.
    """
    db.put(f"m v=1 {LAST_TIME - 1}", f"m v=2 {LAST_TIME}", f"m v=3 {FIRST_TIME}", f"m v=4 {FIRST_TIME + 1}")
    for bounds, total, grouped in (
        (f"time >= {LAST_TIME - 9} AND time < {LAST_TIME + 1}", 2, 1),
        (f"time >= {FIRST_TIME} AND time < {FIRST_TIME + 9}", 2, 2),
    ):
        query = f"SELECT count(v) FROM m WHERE {bounds}"
        assert [row[1] for row in db.rows(query)] == [total]
        assert [row[1] for row in db.rows(f"{query} GROUP BY time({HOUR}ns), * fill(none)")] == [grouped]


def test_tag_conditions(db: Database) -> None:
    """`"t"::tag !~ /regex/` leaves out whole series, and keeps those without the tag."""
    db.put("m,t=a v=1 1", "m,t=b v=1 2", "m v=1 3")
    assert [row[0] for row in db.rows("""SELECT v FROM m WHERE "t"::tag !~ /b$/""")] == [1, 3]


@pytest.mark.parametrize("tag", ["t", "unknown"])
def test_shares_of_series(tag: str, db: Database) -> None:
    """`"t"::tag =~ /[ab](?s:.{1})$/` and the same with `!~` part the series: each is in one of both, one without
    the tag or with a shorter value in the second, also where no series has the tag.
    """
    values = [b"xay", b"a", b"xa", b"xby", b"ay", b"xcy", "x😀a😀".encode(), b"b\\y", b"x", b"\xffa\xff", b"a\t"]
    lines = [b"m,t=%b v=%di %d" % (value, n, n) for n, value in enumerate(values)]
    db.put(*lines, f"m,u=1 v={len(values)}i {len(values)}", f"m v={len(values) + 1}i {len(values) + 1}")
    found = [
        {row[1] for row in db.rows(f'SELECT v FROM m WHERE time >= 0 AND "{tag}"::tag {match} /[ab](?s:.{{1}})$/')}
        for match in ("=~", "!~")
    ]
    assert not found[0] & found[1]
    assert found[0] | found[1] == set(range(len(values) + 2))
    texts = [value.decode(errors="replace") for value in values]
    matching = {n for n, text in enumerate(texts) if text[-2:-1] in ("a", "b")}
    assert len(matching) == 6
    assert found[0] == (matching if tag == "t" else set())


def test_conditions_on_tags_that_are_named_like_the_time(db: Database) -> None:
    """A condition on a tag named like `time` in another case is taken for one on the time, in a SELECT however
    it is put, in SHOW TAG VALUES unless the tag stands in parentheses; GROUP BY * tells such tags apart.
    """
    db.put("m,TIME=a v=1 1", "m,TIME=b v=1 1")
    for condition in ("\"TIME\"::tag = 'a'", "(\"TIME\"::tag) = 'a'", "'a' = \"TIME\"::tag", '"TIME"::tag =~ /a/'):
        assert "time and *influxql." in db.ask(f"SELECT v FROM m WHERE {condition}", db=db.name).error
    values = f'SHOW TAG VALUES ON "{db.name}" FROM m WITH KEY = "TIME" WHERE'
    assert db.rows(f'{values} ("TIME"::tag) =~ /a/') == [["TIME", "a"]]
    assert "time and *influxql." in db.ask(f'{values} "TIME"::tag =~ /a/').error
    assert [s["tags"]["TIME"] for s in db.select("SELECT v FROM m GROUP BY *").series] == ["a", "b"]


def test_overlapping_groups(db: Database) -> None:
    """After the shard duration was altered, rows of overlapping shard groups are all found, by SELECT and by
    count.
    """
    policy = f'RETENTION POLICY "autogen" ON "{db.name}"'
    db.put(f"m v=1 {MONDAY}", f"m v=2 {MONDAY + 3 * DAY}")
    db.rows(f"ALTER {policy} SHARD DURATION 1d")
    db.put(f"m v=3 {MONDAY + 9 * DAY}")
    db.rows(f"ALTER {policy} SHARD DURATION 30d")
    db.put(f"m v=4 {MONDAY + 10 * DAY}", f"m v=5 {MONDAY + 1}")
    assert [v for _, v in db.rows("SELECT v FROM m")] == [1.0, 5.0, 2.0, 3.0, 4.0]
    assert db.rows("SELECT count(v) FROM m") == [[0, 5]]
