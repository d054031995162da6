"""Every measurement, tag, field, type, value and nanosecond arrives unchanged: the named nasty cases."""

import time
from collections.abc import Callable

import pytest

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from influx import pages
from influx.influxql import Location
from influx_client import InfluxClient, connect
from tests.integration.harness import DAY, MONDAY, WEEK, Pair, write_job
from tests.support.reader import exact, key, read_policies

CASES: dict[str, tuple[bytes, int]] = {
    "the extremes of integers": (
        b"m i=9223372036854775807i,j=-9223372036854775808i 1\nm i=9007199254740993i 2\nm j=0i 3",
        4,
    ),
    "large integers beside nulls": (
        b"\n".join(
            b"m,s=%d %s=9007199254740993i %d" % (i, b"a" if i % 2 else b"b", i) for i in range(50)
        ),
        50,
    ),
    "floats at the edges": (
        b"m a=-0,b=0,c=1e21,d=5e-324,e=1.7976931348623157e308,f=0.1,g=-1.5e-300,h=123456789012345680 1\n"
        b"m a=0.30000000000000004 2",
        9,
    ),
    "text that is empty": (b'm s="",t="x" 1\nm t="" 2\nm s="" 3', 4),
    "text that looks like something else": (
        b'm a="null",b="NaN",c="NA",d="1",e="true",f="1i",g=" ",h="-0",i="None",j="\\"quoted\\"" 1',
        10,
    ),
    "quotes and backslashes": (b'm a="\\"",b="\\\\",c="\\\\\\"",d="a\\\\nb",e="C:\\\\dir\\\\" 1', 5),
    "newlines, NUL and control characters": (b'm a="one\ntwo\r\nthree\n",b="\x00\x01\x1f",c="\t" 1', 3),
    "emoji and bytes that are not UTF-8": (
        'm,t=çà\U0001f600 a="\U0001f680 ünï" 1\n'.encode() + b'm,t=\xff\xfe a="\xc3(" 2\nm a="\xf0\x9f" 3',
        3,
    ),
    "escapes in names": (
        rb"my\,me\ as=ure,ta\ g\,k\=ey=va\ l\,u\=e fi\ e\,l\=d\"=1,other=2i 1",
        2,
    ),
    "backslashes in names": (
        b"win\\dows,path=C:\\Windows\\System32,drive=D:\\\\x used\\k=1 1\n"
        b"win\\dows,path=C:\\\\server\\share used\\k=2 2\n"
        b"win\\dows,path=plain used\\k=3 3",
        3,
    ),
    "a tag and a field of the same name": (
        b"m,x=tag x=1,y=2i 1\nm,x=other y=3i 2\nm x=4 3\nm,y=t x=5 4",
        5,
    ),
    "names that need a regex": (
        b"cr\rname,ta\rg=v\r1 fi\reld=1,g=2i 1\nnul\x00name,t\x00g=x f\x00=1 1\nm,k\xffx=v g=1 1",
        4,
    ),
    "reserved words and odd characters": (
        b'select,from=where,time\\ =1 group=1,order="by" 1\n"quoted",a="b" "c"="d" 1\n'
        b"; \\,drop\\ database=1 1".replace(b"; \\,drop", b";\\ drop,a=1 \\,drop"),
        4,
    ),
    "sparse tags and fields": (
        b"m,a=1 f=1 1\nm,b=2 g=2i 2\nm,a=1,b=2 h=true 3\nm i=\"s\" 4\nm,c=3 f=1,i=\"t\" 5",
        6,
    ),
    "booleans": (b"m a=true,b=false 1\nm a=f 2\nm b=T 3", 4),
    "nanosecond neighbours": (
        b"\n".join(b"m v=%di %d" % (i, 1_700_000_000_000_000_000 + i) for i in range(100)),
        100,
    ),
    "the ends of time": (
        b"m v=1 -9223372036854775806\nm v=2 -9223372036854775805\nm v=3 -1\nm v=4 0\nm v=5 1\n"
        b"m v=6 9223372036854775805\nm v=7 9223372036854775806",
        7,
    ),
    "around the edges of shard groups": (
        b"\n".join(b"m,s=%d v=%d %d" % (i, i, MONDAY + w * WEEK + i) for w in (0, 1, 4) for i in range(-2, 3)
                   if True).replace(b"s=-", b"s=m"),
        15,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_to_the_source_arrives_unchanged(case: str, pair: Pair) -> None:
    """Each named case holds value by value, and a second run changes nothing."""
    lines, values = CASES[case]
    pair.write(lines)
    first = pair.backup()
    assert first.failures == ()
    pair.assert_equal(points=values)
    assert pair.backup().failures == ()
    pair.assert_equal(points=values)


def test_more_series_at_one_time_than_a_page_holds(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that share a time are never lost between two pages, whatever their number."""
    monkeypatch.setattr(pages, "PAGE_CELLS", 1000)
    lines = [f"m,host=h{h} v={h}i,w={t} {t}" for t in (1, 2, 3, MONDAY) for h in range(1200)]
    pair.write("\n".join(lines))
    result = pair.backup()
    assert result.failures == ()
    assert result.written.points == len(lines)
    pair.assert_equal(points=2 * len(lines))


@pytest.mark.parametrize("cells", [9, 30, 300, 3000])
def test_pages_of_any_size_lose_nothing_at_their_edges(
    cells: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every point is copied exactly once, however the pages fall on times that many series share."""
    monkeypatch.setattr(pages, "PAGE_CELLS", cells)
    monkeypatch.setattr(pages, "CHUNK_CELLS", cells // 2)
    lines = [f"m,host=h{h} v={h}i {MONDAY - 50 + t * (t % 7)}" for t in range(60) for h in range(1 + t % 5)]
    pair.write("\n".join(lines))
    distinct = len({line.split(" ")[0] + line.split(" ")[2] for line in lines})
    result = pair.backup()
    assert result.failures == ()
    assert result.written.points == distinct
    pair.assert_equal(points=distinct)


def test_types_that_change_between_shards(pair: Pair) -> None:
    """Each shard of the destination holds the type that the source's shard holds."""
    times = [MONDAY + w * WEEK for w in range(6)]
    values = ["1", "2i", '"three"', "true", "9007199254740993i", "6.5"]
    lines = [
        f"m,host={h} v={v},steady={i}i {t + d * DAY}"
        for i, (t, v) in enumerate(zip(times, values, strict=True))
        for d in range(3)
        for h in "ab"
    ]
    pair.write("\n".join(lines))
    assert pair.backup().failures == ()
    pair.assert_equal(points=2 * len(lines))
    _, found = pair.snapshots()
    at = key("autogen", "m", {"host": "a"}, "v", times[4])
    assert found.points[at] == exact(9007199254740993)


def test_types_that_change_at_the_edge_of_the_present_shard(pair: Pair) -> None:
    """Incremental runs stay exact when the newest shard group brings another type."""
    pair.write(f"m v=1 {MONDAY}\nm v=2 {MONDAY + 1}")
    assert pair.backup().failures == ()
    pair.write(f"m v=9007199254740993i {MONDAY + WEEK}\nm v=3 {MONDAY + 2}")
    assert pair.backup().failures == ()
    pair.assert_equal(points=4)


def test_all_retention_policies_arrive_with_their_settings(pair: Pair) -> None:
    """Policies, their durations, shard durations and the default flag are the same, and so is their data."""
    pair.source.create_database(pair.database)
    for statement in (
        f'CREATE RETENTION POLICY "short" ON "{pair.database}" DURATION 52w REPLICATION 1 SHARD DURATION 2d',
        f'CREATE RETENTION POLICY "a \\"b" ON "{pair.database}" DURATION INF REPLICATION 1 SHARD DURATION 3h',
        f'CREATE RETENTION POLICY "odd" ON "{pair.database}" DURATION 31536000001ms REPLICATION 1',
        f'CREATE RETENTION POLICY "main" ON "{pair.database}" DURATION INF REPLICATION 1 DEFAULT',
    ):
        pair.source.query(statement)
    now = time.time_ns()
    for number, policy in enumerate(["autogen", "short", 'a "b', "main"]):
        pair.write("\n".join(f"m,p={number} v={i} {now - i * DAY}" for i in range(5)), policy)
    pair.write(f"only_short v=1i {now}", "short")
    assert pair.backup().failures == ()
    pair.assert_equal(points=21)
    expected, found = (
        read_policies(s.url, pair.database, user=s.user, password=s.password)
        for s in (pair.source, pair.destination)
    )
    assert len(expected) == 5
    assert expected == found


def test_a_measurement_of_every_policy_keeps_its_own_types(pair: Pair) -> None:
    """The same field may be a float in one policy and text in another."""
    pair.source.create_database(pair.database)
    pair.source.query(f'CREATE RETENTION POLICY "other" ON "{pair.database}" DURATION INF REPLICATION 1')
    pair.write(f"m v=1.5 {MONDAY}", "autogen")
    pair.write(f'm v="text" {MONDAY}', "other")
    assert pair.backup().failures == ()
    pair.assert_equal(points=2)


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (b"_series v=1 1", "_series"),
        (b"m _name=1,ok=2 1", "_name"),
        (b"m,t=a#!~#b ok=2 1", "#!~#"),
        (b"fine v=1 1\nbad\xff v=1 1", "not UTF-8"),
    ],
)
def test_a_name_that_influxdb_cannot_keep_is_never_sent_and_fails_the_run(
    lines: bytes, named: str, pair: Pair
) -> None:
    """It is counted and named in the summary; what stands beside it is copied."""
    pair.write(b"fine v=1 1\nm ok=1 2")  # the shard must exist: the server fails on such names in a new one
    pair.write(lines)
    result = pair.backup()
    assert len(result.failures) == 1
    assert named in result.failures[0]
    assert "not sent" in result.failures[0]
    kept = {key("autogen", "fine", {}, "v", 1), key("autogen", "m", {}, "ok", 2)}
    if named == "_name":
        kept.add(key("autogen", "m", {}, "ok", 1))
    assert set(pair.found().points) == kept


def test_a_tag_key_that_appears_while_reading_is_read_too(pair: Pair) -> None:
    """Without it, the points of a new series would merge with those of others."""
    pair.write(f"m,a=1 v=1 {MONDAY}\nm,a=1,b=2 v=2 {MONDAY}")
    config = Config(write_job(pair.directory, pair.config()))
    source = connect(config.job.options, config.job.source, "source", StopRequest())
    page = source.read_page(Location(pair.database, "autogen", "m"), {"v": ()}, ["a"], Span(MONDAY, MONDAY + 1))
    assert page.tags == ("a", "b")
    assert page.rows == 2
    assert dict(page.frames[0].tags)["b"].drop_nulls().to_list() == ["2"]


@pytest.mark.parametrize(
    ("value", "measurements", "refused"),
    [("9007199254740993i", 1, False), ('"text"', 1, False), ('"text"', 3, False), ("9007199254740993i", 3, True)],
)
def test_a_type_that_appears_in_an_old_shard_while_reading_is_not_passed_over(
    value: str, measurements: int, refused: bool, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read together with older shards, the integer would be rounded and the text be missing.

    Measurements that travel together are looked at when all are written: by then the rounded integer is there.
    """
    names = [f"m{n}" for n in range(measurements)]
    pair.write("\n".join(f"{name} f={week}.5 {MONDAY + week * WEEK}" for name in names for week in (0, 1, 3, 4)))
    pair.write("\n".join(f"{name} g=1i {MONDAY + 2 * WEEK}" for name in names))
    late = [f"{name} f={value} {MONDAY + 2 * WEEK + 5}" for name in names]

    def write_late() -> None:
        if late:
            pair.write("\n".join(late))
            late.clear()

    for method in ("read_page", "read_together"):
        _before_first_call(monkeypatch, method, write_late)
    result = pair.backup()
    assert not late
    if refused:
        assert len(result.failures) == measurements
        assert all("is integer in the source and float in the destination" in f for f in result.failures)
        return
    assert result.failures == ()
    pair.assert_equal()


def _before_first_call(patch: pytest.MonkeyPatch, method: str, act: Callable[[], object]) -> None:
    """Do something at the source after the planning, before the first page is read."""
    original = getattr(InfluxClient, method)

    def acting(*arguments: object, **named: object) -> object:
        act()
        return original(*arguments, **named)

    patch.setattr(InfluxClient, method, acting)


def test_a_tag_and_a_field_that_no_query_can_tell_apart_are_refused(pair: Pair) -> None:
    """Quotes cannot hold a NUL, so only a regex names it, and that means both of them. The rest is copied."""
    pair.write(f"m,a\0=x a\0=1i {MONDAY}\nother,a=x a=1i {MONDAY}")
    (failure,) = pair.backup().failures
    assert "names that a query cannot tell apart" in failure
    assert pair.destination.rows("SHOW MEASUREMENTS", db=pair.database) == [["other"]]


def test_one_time_that_is_larger_than_a_page_may_be(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that share a time cannot be read apart, so the limit of a page's bytes gives way."""
    monkeypatch.setattr(pages, "PAGE_BYTES", 20_000)
    pair.write("\n".join(f'm,h=h{i} s="{"x" * 1000}" {t}' for t in (MONDAY, MONDAY + 1) for i in range(80)))
    assert pair.backup().failures == ()
    pair.assert_equal(points=160)


def test_points_that_only_the_source_should_have_given_up_are_copied(pair: Pair) -> None:
    """What the source still shows arrives, where the destination's policy keeps it."""
    now = time.time_ns()
    pair.destination.create_database(pair.database)
    pair.write("\n".join(f"m v={i} {now - i * DAY}" for i in range(20)))
    pair.source.query(f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DURATION 8d')
    assert pair.backup().failures == ()
    pair.assert_equal(points=20)
