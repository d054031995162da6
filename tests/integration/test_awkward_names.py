"""Tags and fields named like the time or like InfluxQL's words: every statement that is built of them holds."""

import itertools
import random
from collections.abc import Iterator

import pytest

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from influx.counting import Count
from influx.influxql import Location
from influx.line_protocol import Point
from influx_client import InfluxClient, connect
from tests.integration.harness import MONDAY, Pair, write_job

WORDS = """
all alter analyze and any as asc begin by cardinality continuous create database databases default delete desc
destinations diagnostics distinct drop duration end every exact explain false field fill for from grant grants
group groups id in inf insert into key keys kill limit measurement measurements name no now offset on or order password
policies policy privileges queries query read replication resample retention revoke select series set shard shards
show slimit soffset stats subscription subscriptions tag tags to true tz user users values where with write
"""
KEYWORDS = WORDS.split()
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


def test_counts_leave_out_tag_values_that_cannot_be_kept(client: InfluxClient, pair: Pair) -> None:
    """Whatever the tag is called: in a condition where it can stand in one, else series by series."""
    load(pair)
    pair.write("\n".join(f"t{number},{name}=a#!~#b v=9 {MONDAY}" for number, name in enumerate(NAMES)))
    places = [Location(pair.database, "autogen", f"t{number}") for number in range(len(NAMES))]
    assert all(client.get_unstorable_tags(list(zip(places, NAMES, strict=True))))
    assert not any(client.get_unstorable_tags([(place, "o") for place in places]))
    span = Span(MONDAY, MONDAY + 1)
    for step, by_series in ((0, False), (10, False), (0, True)):
        counts = [
            Count(place, {"v": ("float",)}, span, step, by_series=by_series, without=(name,))
            for place, name in zip(places, NAMES, strict=True)
        ]
        found = client.count_windows(counts)
        assert [sum(windows[MONDAY].values()) for windows in found] == [3] * len(NAMES)
        assert {len(windows[MONDAY]) for windows in found} == {3 if by_series else 1}


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
