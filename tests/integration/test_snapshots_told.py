"""What a snapshot tells of itself and of the source, while it is taken and when it is there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from config import Config
from copying.archive import manifest
from copying.archive.contents import Archive
from copying.archive.places import open_store
from copying.archive.taking import SnapshotRun
from copying.listener import Planned, SilentRun
from copying.results import JobResult, MeasurementResult
from influx.influxql import Location
from influx.written import Written
from influx_client import connect
from tests.integration.archives import Archived
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.test_archive import assert_kept, hourly
from tests.integration.test_snapshots import is_page
from tests.support.proxy import Exchange, Proxy, forward, only, respond


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """The pair's source with an archive."""
    return Archived(pair)


def test_a_snapshot_tells_how_large_it_is(archived: Archived) -> None:
    """As the store sees it: its own files, the new ones, all there are, and what describes them."""
    archived.pair.write(hourly())
    archived.taken()
    before = archived.files()
    archived.pair.write(f"cpu,host=late v=1 {MONDAY + WEEK + 5}")
    taken = archived.run().snapshot
    assert taken
    new = [path for path in archived.files() if path not in before]
    sizes = {path: path.stat().st_size for path in archived.files()}
    assert (taken.new_files, taken.new_bytes) == (1, sizes[new[0]])
    assert (taken.files, taken.points, taken.snapshots) == (3, 3 * 7 * 24 + 1, 2)
    old = next(path for path in before if f"/{MONDAY + WEEK}_" in str(path))
    assert taken.bytes == sum(sizes.values()) - sizes[old]
    assert taken.archive_bytes == sum(sizes.values())
    assert taken.manifest_bytes == archived.snapshots()[-1].stat().st_size
    assert taken.name == archived.snapshots()[-1].stem


@pytest.mark.parametrize(("age", "is_stale"), [(HOUR, False), (2 * HOUR, False), (2 * HOUR + 1, True)])
def test_how_old_the_source_is_is_told_by_what_was_read(age: int, is_stale: bool, archived: Archived) -> None:
    """Not by points of the future; to the nanosecond, measured at the beginning of the run."""
    now = time.time_ns()
    archived.pair.write(f"cpu v=1 {now - age}\ncpu v=1 {now - 9 * DAY}\nmem v=1 {now + HOUR}")
    result = taken_at(archived, now, {"options": {"max_lag": "2h"}})
    (found,) = result.ages
    assert (found.newest, found.is_stale) == (now - age, is_stale)
    assert bool(result.cautions) is is_stale
    (unlimited,) = taken_at(archived, now + 1, {}).ages
    assert (unlimited.newest, unlimited.is_stale) == (now - age, None)


def test_a_source_that_is_written_to_while_it_is_read_is_not_old(archived: Archived) -> None:
    """A file with points that came after the run began has older ones; where nobody tells, nothing is said."""
    now = time.time_ns()
    archived.pair.write(f"cpu v=1 {now - 9 * DAY}\ncpu v=1 {now - HOUR}")

    def write(exchange: Exchange) -> None:
        archived.pair.source.write(f"cpu v=1 {time.time_ns()}", archived.pair.database)
        forward(exchange)

    with Proxy(archived.pair.source.url) as proxy:
        proxy.inject(only(is_page, write), "query", count=None)
        sections = {"source": {"url": proxy.url}, "options": {"max_lag": "2h", "retries": 0}}
        result = taken_at(archived, now, sections)
        assert (result.failures, result.cautions) == ((), ())
        assert [(age.newest, age.is_stale) for age in result.ages] == [(now - HOUR, False)]
        proxy.heal()
        broken = respond(400, b'{"error":"no"}', "application/json")
        proxy.inject(only(lambda question: "last(" in question, broken), "query", count=None)
        result = taken_at(archived, now + 1, sections)
    assert (result.failures, result.cautions, result.snapshot is not None) == ((), (), True)
    assert [(age.newest, age.is_stale) for age in result.ages] == [(None, None)]


def test_a_snapshot_without_one_point_warns(archived: Archived) -> None:
    """Of a database whose measurements the rules select; unless that is allowed, or as soon as there is one."""
    archived.pair.write(f"cpu v=1 {MONDAY}\nmem v=1 {MONDAY}")
    texts = {"specific": {"*": {"fields": {"types": ["string"]}}}}
    warning = (
        f"database {archived.pair.database}: 2 measurements to copy, and not one point where this run reads; "
        "nothing of it is copied"
    )
    for options, expected in (({}, [warning]), ({"allow_empty": True}, [])):
        result = archived.run({"measurements": texts, "options": options})
        assert (result.failures, result.snapshot is not None) == ((), True)
        assert [text for text in result.cautions if "database" in text] == expected
    archived.pair.write(f'mem s="a" {MONDAY}')
    assert archived.run({"measurements": texts}).cautions == ()


@pytest.mark.parametrize("kinds", [["policies"], []])
def test_what_a_database_has_besides_points_is_in_it_where_that_is_wanted(
    kinds: list[str], archived: Archived
) -> None:
    """Of each database, by its name."""
    archived.pair.write(f"cpu v=1 {MONDAY}")
    archived.taken({"options": {"metadata": kinds}})
    content = manifest.parsed(archived.snapshots()[-1].read_bytes(), "x")
    assert list(content.metadata) == [archived.pair.database] * len(kinds)
    assert all('"autogen"' in text for text in content.metadata.values())


class Listening(SilentRun):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard = list[tuple[object, ...]]()

    def databases(self, count: int) -> None:
        """Write it down."""
        self.heard.append(("databases", count))

    def database(self, name: str, number: int) -> None:
        """Write it down."""
        self.heard.append(("database", name, number))

    def phase(self, phase: str) -> None:
        """Write it down."""
        self.heard.append(("phase", phase))

    def planned(self, measurements: Iterable[Planned]) -> None:
        """Write it down."""
        self.heard += [("planned", m.source.measurement, m.begin, m.end) for m in measurements]

    def copying(self) -> None:
        """Write it down."""
        self.heard.append(("copying",))

    def begun(self, source: Location) -> None:
        """Write it down."""
        self.heard.append(("begun", source.measurement))

    def wrote(self, source: Location, written: Written) -> None:
        """Write it down."""
        self.heard.append(("wrote", source.measurement, written.points, written.values, written.repeated))

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """Write it down."""
        self.heard.append(("reached", source.measurement, position, newest))

    def finished(self, source: Location, result: MeasurementResult, *, stopped: bool) -> None:
        """Write it down."""
        self.heard.append(("finished", source.measurement, result.is_whole, stopped))

    def failed(self, problems: Sequence[str]) -> None:
        """Write it down."""
        self.heard.append(("failed", len(problems)))


def taken_at(
    archived: Archived,
    now: int,
    sections: dict[str, Any],
    listener: SilentRun | None = None,
    stopping: StopRequest | None = None,
) -> JobResult:
    """A snapshot of that time, in this process."""
    job = Config(archived.job(sections)).job
    client = connect(job.options, job.source, "source", stopping or StopRequest())
    try:
        archive = Archive(open_store(str(archived.folder)))
        taking = SnapshotRun(
            job, client, archive, path=Path("job.yaml"), now=now, listener=listener, stopping=stopping
        )
        return taking.run()
    finally:
        client.close()


def test_a_stop_when_all_was_read_publishes_nothing(archived: Archived) -> None:
    """And the run is a stopped one, though nothing was interrupted."""
    stopping = StopRequest()

    class Late(SilentRun):
        """Asks for a stop at the end."""

        def finished(self, *_: object, stopped: bool) -> None:
            """Of the only measurement."""
            assert not stopped
            stopping.requested = True

    archived.pair.write(f"cpu v=1 {MONDAY}")
    result = taken_at(archived, time.time_ns(), {}, Late(), stopping)
    assert (result.stopped, result.failures, result.snapshot, archived.snapshots()) == (True, (), None, [])


def test_whoever_listens_hears_what_is_read_and_how_far_it_is(archived: Archived) -> None:
    """What a snapshot before has as well brings nothing new; what nobody wrote to is passed at once."""
    now, name = time.time_ns(), archived.pair.database
    archived.pair.write(f"cpu v=1,w=2 {MONDAY + 1}\ncpu v=1 {MONDAY + WEEK + 1}")
    first, compared, untouched = Listening(), Listening(), Listening()
    for number, listener in enumerate((first, compared, untouched)):
        assert taken_at(archived, now + number, {}, listener).failures == ()
        if listener is first:
            archived.pair.source.restart()
    head = [
        ("databases", 1),
        ("database", name, 1),
        ("phase", "planning"),
        ("planned", "cpu", MONDAY, MONDAY + 2 * WEEK),
        ("copying",),
    ]
    ends = [("reached", "cpu", MONDAY + n * WEEK, None) for n in (1, 2)]
    tail = [("failed", 0), ("finished", "cpu", True, False)]
    read = [
        [("begun", "cpu"), ("wrote", "cpu", 1, values, 0), ("reached", "cpu", time + 1, time)]
        for time, values in ((MONDAY + 1, 2), (MONDAY + WEEK + 1, 1))
    ]
    assert first.heard == [*head, *read[0], ends[0], *read[1], ends[1], *tail]
    assert compared.heard == untouched.heard == [*head, *ends, *tail]


def test_points_of_the_future_are_read_and_are_not_the_newest_ones(archived: Archived) -> None:
    """What is planned ends with the present; of a measurement that has nothing else it is as good as nothing."""
    now = time.time_ns()
    week = now - (now - MONDAY) % WEEK
    archived.pair.write(f"cpu,h=a v=1 {now - 1}\ncpu,h=b v=1 {now}\ncpu,h=a v=1 {now + 1}\ncpu,h=c v=1 {now - 2}")
    archived.pair.source.query(
        f'CREATE RETENTION POLICY "later" ON "{archived.pair.database}" DURATION INF REPLICATION 1'
    )
    archived.pair.write(f"cpu v=1 {week + 9 * WEEK + 5}", "later")
    listener = Listening()
    result = taken_at(archived, now, {}, listener)
    assert (result.failures, result.ages[0].newest) == ((), now)
    planned = [entry for entry in listener.heard if entry[0] == "planned"]
    assert planned == [
        ("planned", "cpu", week, now),
        ("planned", "cpu", week + 9 * WEEK, week + 9 * WEEK + 1),
    ]
    assert ("reached", "cpu", now + 2, now) in listener.heard
    assert ("reached", "cpu", week + 9 * WEEK + 6, None) in listener.heard
    assert_kept(archived, archived.pair.database)


def test_whoever_listens_hears_of_what_failed(archived: Archived) -> None:
    """A database that is not there, and a measurement of which nothing can be kept."""
    none, name = f"{archived.pair.database}_none", archived.pair.database
    archived.pair.write(f"mem v=1 {MONDAY}")
    archived.pair.source.query('SELECT v INTO "#cpu" FROM "mem"', db=name)
    listener = Listening()
    sections = {"source": {"databases": [{"name": none}, {"name": name}]}}
    assert len(taken_at(archived, time.time_ns(), sections, listener).failures) == 2
    places = [("mem", True), ("#cpu", False)]
    week = MONDAY + WEEK
    assert listener.heard == [
        ("databases", 2),
        ("database", none, 1),
        ("failed", 1),
        ("database", name, 2),
        ("phase", "planning"),
        *(("planned", place, MONDAY, week) for place, _ in places),
        ("copying",),
        ("begun", "mem"),
        ("wrote", "mem", 1, 1, 0),
        ("reached", "mem", MONDAY + 1, MONDAY),
        ("reached", "mem", week, None),
        ("failed", 0),
        *(("finished", place, is_whole, False) for place, is_whole in places),
    ]
