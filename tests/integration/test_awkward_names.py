"""Tags and fields named like the time or like InfluxQL's words: every statement that is built of them holds."""

import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from influx.fingerprints import Look
from influx.influxql import Location
from influx.line_protocol import Point
from influx_client import InfluxClient, connect
from tests.integration.harness import DAY, HOUR, MONDAY, Pair, run_main, write_job

WORDS = """
all alter analyze and any as asc begin by cardinality continuous create database databases default delete
desc destinations diagnostics distinct drop duration end every exact explain false field fill for from grant
grants group groups id in inf insert into key keys kill limit measurement measurements name no now offset on
or order password policies policy privileges queries query read replication resample retention revoke select
series set shard shards show slimit soffset stats subscription subscriptions tag tags to true tz user users
values where with write
"""
KEYWORDS = WORDS.split()
MINUTE = HOUR // 60
TIMES = sorted({"".join(cs) for cs in itertools.product(*zip("time", "TIME", strict=True))} - {"time"})
NAMES = [*TIMES, "TİME", "tİme", "times", "time_", *(w for k in KEYWORDS for w in (k, k.upper(), k.title()))]
"""What InfluxDB takes as a name: of the cases of `time` all but the one in lower case."""


@pytest.fixture
def client(pair: Pair) -> Iterator[InfluxClient]:
    """A client of the source, whose answers are not asked for twice."""
    config = Config(write_job(pair.directory, pair.config({"options": {"retries": 0}})))
    found = connect(config.job.options, config.job.source, "source", StopRequest())
    yield found
    found.close()


def load(pair: Pair) -> None:
    """For each name a measurement with a tag of that name, and one with a field of it."""
    lines = []
    for number, name in enumerate(NAMES):
        lines += [f"t{number},{name}=x,o=1 v=1 {MONDAY}", f"t{number},{name}=y,o=1 v=2 {MONDAY}"]
        lines += [f"t{number},o=2 v=3 {MONDAY}", f"f{number},o=1 {name}=1,g=2i {MONDAY}"]
    pair.write("\n".join(lines))


def test_a_database_of_such_names_is_copied_and_resumed(pair: Pair) -> None:
    """Every request is looked for by the tags of a point of it; then nothing is missing, and late points come."""
    load(pair)
    assert pair.backup().failures == ()
    pair.assert_equal(points=5 * len(NAMES))
    random.seed(3)
    for number in random.sample(range(len(NAMES)), 20):
        pair.write(f"t{number},{NAMES[number]}=z v=4 {MONDAY - 1}\nt{number},{NAMES[number]}=x v=5 {MONDAY + 1}")
    assert pair.backup().failures == ()
    pair.assert_equal(points=5 * len(NAMES) + 40)


def test_one_point_is_told_from_all_others_by_its_tags(client: InfluxClient, pair: Pair) -> None:
    """A point that is there is found, one of another value, of fewer tags or of another time is not."""
    load(pair)
    for number, name in enumerate(NAMES):
        there = [Point(f"t{number}", tags, {"v": 1.0}, MONDAY) for tags in ({name: "x", "o": "1"}, {"o": "2"})]
        there.append(Point(f"f{number}", {"o": "1"}, {name: 1.0}, MONDAY))
        missing = [
            Point(f"t{number}", {name: "no", "o": "1"}, {"v": 1.0}, MONDAY),
            Point(f"t{number}", {name: "x", "o": "1"}, {"v": 1.0}, MONDAY + 1),
            Point(f"f{number}", {name: "x"}, {name: 1.0}, MONDAY),
        ]
        sent = [(Span(i, i + 1), point) for i, point in enumerate(there + missing)]
        lost = client.find_lost(sent, pair.database, "autogen")
        assert lost == [Span(i, i + 1) for i in range(3, 6)], name


def test_fingerprints_leave_out_tag_values_that_cannot_be_kept(client: InfluxClient, pair: Pair) -> None:
    """Whatever the tag is called: in a condition where it can stand in one, else series by series."""
    load(pair)
    pair.write("\n".join(f"t{number},{name}=a#!~#b v=9 {MONDAY}" for number, name in enumerate(NAMES)))
    places = [Location(pair.database, "autogen", f"t{number}") for number in range(len(NAMES))]
    assert all(client.get_unstorable_tags(list(zip(places, NAMES, strict=True))))
    assert not any(client.get_unstorable_tags([(place, "o") for place in places]))
    looks = [
        Look(place, {"v": ("float",)}, Span(MONDAY, MONDAY + 1), without=(name,))
        for place, name in zip(places, NAMES, strict=True)
    ]
    found = client.get_fingerprints(looks)
    assert [len(series or ()) for series in found] == [3] * len(NAMES)
    whole = client.get_fingerprints([replace(look, without=()) for look in looks])
    assert [len(series or ()) for series in whole] == [4] * len(NAMES)


def test_edges_types_pages_and_windows_hold_for_such_fields(client: InfluxClient, pair: Pair) -> None:
    """Every other statement with the time in its condition."""
    load(pair)
    places = [Location(pair.database, "autogen", f"f{number}") for number in range(len(NAMES))]
    asked = [(place, name, ["float"]) for place, name in zip(places, NAMES, strict=True)]
    assert client.get_edges("first", asked) == client.get_edges("last", asked) == [MONDAY] * len(NAMES)
    assert client.get_newest_by_series(asked, MONDAY + 1) == [{(("o", "1"),): MONDAY}] * len(NAMES)
    span = Span(MONDAY, MONDAY + 10)
    for number, (place, name, _) in enumerate(asked):
        assert client.get_field_type(place, name, span) == "float"
        assert client.read_page(place, {name: ("float",), "g": ("integer",)}, ["o"], span).rows == 1
        windows = client.read_windows(place, [name, "g"], [], span, 10)
        assert [frame.values for frame in windows.frames] == [2]
        tagged = Location(pair.database, "autogen", f"t{number}")
        assert client.read_page(tagged, {"v": ("float",)}, ["o", name], span).rows == 3
        assert client.read_windows(tagged, ["v"], [], span, 10).rows == 3


ODD = ("\ta", "\0b", "\t", "\0\t c")
"""Names of fields that the server skips a part of where they stand in front in their line."""


def test_fields_that_begin_with_a_tab_or_nul_stay_beside_others(pair: Pair) -> None:
    """Nothing of them is lost or renamed: at first, when one is new, when others are late."""
    values = ",".join(f"{name.replace(' ', chr(92) + ' ')}={i}" for i, name in enumerate(ODD))
    begin = time.time_ns() - 3 * HOUR
    pair.write(
        "\n".join(f"m,h={h} v=1,{values} {begin + i}\nother w={i},\t=2i {i}" for i in range(50) for h in "ab")
    )
    assert pair.backup().failures == ()
    pair.assert_equal(points=50 * 2 * 5 + 2 * 50)
    pair.write(
        f'm,h=a v=1,\tnew="x" {begin - 40 * DAY}\nm,h=a v=1,{values} {begin + HOUR}'
    )  # a field resumes apart
    assert pair.backup().failures == ()
    pair.assert_equal()
    pair.write(f"m,h=late v=1,{values} {begin + 5 * MINUTE}\nm,h=b v=2,\ta=9 {begin + 6 * MINUTE}")
    assert pair.backup().late == 7
    pair.assert_equal()
    assert run_main("verify", "--full", "--config", pair.directory / "job.yaml").returncode == 0


def test_points_of_nothing_but_such_fields_are_named_and_never_sent(pair: Pair) -> None:
    """The rules leave out the field beside them: they must not come under another name."""
    pair.write(f"m v=1,\ta=2 {MONDAY}\nm w=1,\ta=3 {MONDAY + 1}\nn v=1,\0b=2 {MONDAY}")
    rules = {"m": {"fields": {"exclude": ["v"]}}, "n": {"fields": {"exclude": ["v"]}}}
    result = pair.backup({"measurements": {"specific": rules}})
    assert len(result.failures) == 2
    for failure, number in zip(sorted(result.failures), ("1", "1"), strict=True):
        assert "starts with a character that the server skips" in failure
        assert f": {number} not sent" in failure
    assert {(at[1], at[3]) for at in pair.found().points} == {(b"m", b"w"), (b"m", b"\ta")}


def test_a_type_conflict_beside_such_a_field_puts_whole_lines_aside(pair: Pair) -> None:
    """They are not taken apart, since the field could not stand alone."""
    pair.write(f"m v=1,\ta=2 {MONDAY}\nm w=1,\ta=2 {MONDAY + 1}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1i {MONDAY + 2}", pair.database)
    assert not pair.backup().succeeded
    assert {at[3] for at in pair.found().points} <= {b"v", b"w", b"\ta"}
    assert (MONDAY + 1, b"w") in {(at[4], at[3]) for at in pair.found().points}


def test_a_tag_called_name_of_the_system_is_copied_and_looked_for(pair: Pair) -> None:
    """In a condition `_name` is the name of the measurement: it would find nothing, and say so to nobody."""
    pair.write("\n".join(f"m,_name={n % 3},o=1 v={n}i {MONDAY + n * MINUTE}" for n in range(100)))
    assert pair.backup().failures == ()
    pair.write(f"m,_name=1,o=1 v=7i {MONDAY + 1}")
    assert pair.backup().late == 1
    pair.assert_equal(points=101)
