"""How a snapshot is taken: what is asked of the source, and what happens where it is not what it says."""

from __future__ import annotations

import itertools
import json
import random
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from config import Config
from copying.archive import taking
from copying.archive.contents import Archive
from copying.archive.places import open_store
from copying.archive.taking import SnapshotRun
from copying.listener import Planned, SilentRun
from copying.results import JobResult, MeasurementResult
from influx.fingerprints import Fingerprints, Look
from influx.influxql import Location
from influx.written import Written
from influx_client import InfluxClient, connect
from tests.integration.archives import Archived
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.test_archive import assert_kept, hourly
from tests.support.archive_reader import read_snapshot
from tests.support.proxy import Action, Exchange, Proxy, forward, only, respond
from tests.support.servers import InfluxServer


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """The pair's source with an archive."""
    return Archived(pair)


def is_page(question: str) -> bool:
    """Whether it asks for points."""
    return "LIMIT" in question and not is_look(question)


def is_look(question: str) -> bool:
    """Whether it asks for fingerprints."""
    return "count(" in question


def through(archived: Archived, wanted: Callable[[str], object], act: Action) -> JobResult:
    """A snapshot, some of whose questions are met by something."""
    with Proxy(archived.pair.source.url) as proxy:
        proxy.inject(only(wanted, act), "query", count=None)
        return archived.run({"source": {"url": proxy.url}})


class Watched:
    """An archive whose source is asked through a proxy; what was asked since the last look."""

    def __init__(self, archived: Archived, proxy: Proxy) -> None:
        self.archived, self.proxy = archived, proxy
        self._questions = list[str]()
        proxy.inject(self._note, "query", count=None)

    def _note(self, exchange: Exchange) -> None:
        self._questions.append(exchange.text())
        forward(exchange)

    def taken(self) -> tuple[int, int]:
        """A snapshot, which has to succeed; how often it asked for fingerprints, and for points."""
        self._questions.clear()
        self.archived.taken({"source": {"url": self.proxy.url}})
        return sum(map(is_look, self._questions)), sum(map(is_page, self._questions))


@pytest.fixture
def watched(archived: Archived) -> Iterator[Watched]:
    """Three shard groups of a measurement."""
    archived.pair.write(hourly())
    with Proxy(archived.pair.source.url) as proxy:
        yield Watched(archived, proxy)


# ---------------------------------------------------------------- what is asked


def test_of_what_nobody_wrote_to_one_shard_group_is_looked_at(watched: Watched) -> None:
    """By chance, for points that were deleted from files; where somebody wrote, all of it is read again."""
    assert watched.taken() == (3, 3)
    assert watched.taken() == (1, 0)
    watched.archived.pair.write(f"cpu,host=h0 v=1 {MONDAY + 5}")
    looks, pages = watched.taken()
    assert (looks, pages) == (2, 1)


def test_a_file_that_is_lost_is_written_again_though_nobody_wrote(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not only in the group that is looked at by chance; the others stay as they are."""
    monkeypatch.setattr(random, "choice", lambda groups: groups[0])
    watched.taken()
    lost = next(path for path in watched.archived.files() if f"/{MONDAY + 2 * WEEK}_" in str(path))
    content = lost.read_bytes()
    lost.unlink()
    assert watched.taken() == (2, 1)
    assert lost.read_bytes() == content
    assert watched.taken() == (1, 0)


def test_points_that_were_deleted_from_files_are_found_where_it_is_looked(archived: Archived) -> None:
    """No counter moves: the only shard group is the one that is looked at."""
    archived.pair.write(hourly(weeks=1))
    archived.pair.source.restart()
    archived.taken()
    archived.pair.source.query(f"DELETE FROM cpu WHERE time > {MONDAY + 3 * DAY}", db=archived.pair.database)  # noqa: S608
    archived.taken()
    assert_kept(archived, archived.pair.database)


@pytest.mark.parametrize("together", [1, 2, 5])
def test_however_many_measurements_are_asked_about_at_once(
    together: int, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are in the snapshot, by their names."""
    monkeypatch.setattr(taking, "TOGETHER", together)
    archived.pair.write("\n".join(f"m{n},t=x v={n} {MONDAY + n * HOUR}" for n in (3, 1, 4, 0, 2)))
    for _ in range(2):
        archived.taken()
        assert_kept(archived, archived.pair.database)
    (group,) = held(archived)[0]["groups"]
    assert [part["name"] for part in group["measurements"]] == [f"m{n}" for n in range(5)]


def held(archived: Archived) -> list[dict[str, Any]]:
    """The policies of the only database in the newest snapshot."""
    (database,) = json.loads(archived.snapshots()[-1].read_bytes())["snapshot"]["databases"]
    policies: list[dict[str, Any]] = database["policies"]
    return policies


def parts(archived: Archived) -> list[dict[str, Any]]:
    """What the newest snapshot says of each measurement of each shard group."""
    return [part for policy in held(archived) for group in policy["groups"] for part in group["measurements"]]


@pytest.mark.parametrize("longest", [WEEK // 2, DAY])
def test_where_one_answer_cannot_hold_a_shard_group_it_is_proved_in_halves(
    longest: int, archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By numbers alone; the next run sees that it is as it was."""
    real = InfluxClient.get_fingerprints

    def fitting(client: InfluxClient, looks: Sequence[Look]) -> list[Fingerprints | None]:
        found = real(client, looks)
        return [f if look.span.length <= longest else None for f, look in zip(found, looks, strict=True)]

    monkeypatch.setattr(InfluxClient, "get_fingerprints", fitting)
    archived.pair.write("\n".join(f"cpu,host=h{i % 2} v={i}.5 {MONDAY + i * HOUR}" for i in range(300)))
    archived.taken()
    assert_kept(archived, archived.pair.database)
    archived.pair.source.restart()
    again = archived.run()
    assert again.snapshot
    assert (again.failures, again.snapshot.new_files) == ((), 0)
    archived.pair.write(f"cpu,host=h0 v=7 {MONDAY + 5}")
    archived.taken()
    assert_kept(archived, archived.pair.database)


# ---------------------------------------------------------------- what the source says otherwise


def otherwise(times: int) -> Action:
    """An answer with another number in it, so often; whatever it is asked for as."""
    changes = [(b"1.25", b"1.75"), (struct.pack(">d", 1.25), struct.pack(">d", 1.75))]
    left = [times]

    def act(exchange: Exchange) -> None:
        answer = exchange.answer()
        body = answer.whole()
        for old, new in changes if left[0] else ():
            if old in body:
                body = body.replace(old, new)
                left[0] -= 1
                break
        exchange.send(replace(answer, body=[body]).wire())

    return act


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_not_as_the_source_adds_it_up_is_read_again(times: int, archived: Archived) -> None:
    """A value that came otherwise is in no snapshot."""
    archived.pair.write(hourly(weeks=1))
    assert through(archived, is_page, otherwise(times)).failures == ()
    assert_kept(archived, archived.pair.database)
    assert [part["fingerprint"] == "" for part in parts(archived)] == [False]


def test_what_never_is_as_the_source_adds_it_up_is_told(archived: Archived) -> None:
    """Nothing is published; other measurements are read to their end."""
    archived.pair.write(hourly(weeks=1) + f"\nmem v=5 {MONDAY}")
    result = through(archived, is_page, otherwise(-1))
    (problem,) = result.failures
    place = f"copy {archived.pair.database}.autogen.cpu [2024-01-01T00:00:00Z, 2024-01-08T00:00:00Z)"
    assert problem.startswith(
        f"{place}: 3 series are not what the source says, such as that of host=h0; it was read 3 "
    )
    assert " 3 times. Somebody deletes or overwrites there at this moment" in problem
    assert (result.snapshot, archived.snapshots()) == (None, [])
    (database,) = result.databases
    assert {m.name.rpartition(".")[2]: (m.is_whole, m.written.points > 0) for m in database.measurements} == {
        "cpu": (False, True),
        "mem": (True, True),
    }


def test_what_comes_between_the_question_and_the_page_is_in_the_snapshot(archived: Archived) -> None:
    """It is not taken for proved: the next run reads it again, though nobody wrote to it."""
    pair = archived.pair
    pair.write(hourly(weeks=1))
    late = itertools.count(MONDAY)

    def write(exchange: Exchange) -> None:
        pair.source.write(f"cpu,host=late v=1 {next(late)}", pair.database)
        forward(exchange)
        pair.source.write(f"cpu,host=late v=1 {next(late)}", pair.database)

    assert through(archived, is_page, write).failures == ()
    assert [part["fingerprint"] for part in parts(archived)] == [""]
    archived.taken()
    assert_kept(archived, pair.database)
    assert [part["fingerprint"] == "" for part in parts(archived)] == [False]


def test_what_is_deleted_between_the_question_and_the_page_is_no_difference(archived: Archived) -> None:
    """The source is asked once more."""
    pair = archived.pair
    pair.write(hourly(weeks=1))

    def delete(exchange: Exchange) -> None:
        pair.source.query(f"DELETE FROM cpu WHERE time > {MONDAY + DAY}", db=pair.database)  # noqa: S608
        forward(exchange)

    assert through(archived, is_page, delete).failures == ()
    assert_kept(archived, pair.database)
    assert [part["fingerprint"] == "" for part in parts(archived)] == [False]


def test_a_name_that_influxdb_cannot_keep_is_told_and_nothing_is_published(archived: Archived) -> None:
    """With what is wrong with it: it could not be restored."""
    archived.pair.write(f"cpu v=1,a\\\\\\ b=2 {MONDAY}\nmem v=1 {MONDAY}")
    result = archived.run()
    (problem,) = result.failures
    assert f"copy {archived.pair.database}.autogen.cpu: field " in problem
    assert problem.endswith("; rename it at the source")
    assert (result.snapshot, archived.snapshots()) == (None, [])


def test_a_database_that_cannot_be_asked_about_fails_by_name(archived: Archived) -> None:
    """The others are looked at; nothing is published."""
    pair = archived.pair
    pair.write(f"cpu v=1 {MONDAY}")
    none = f"{pair.database}_none"
    databases = {"source": {"databases": [{"name": none}, {"name": pair.database}]}}
    result = archived.run(databases)
    (problem,) = result.failures
    assert problem.startswith(f"database {none}: ")
    assert [(d.name, len(d.measurements)) for d in result.databases] == [(none, 0), (pair.database, 1)]
    assert (result.snapshot, archived.snapshots()) == (None, [])


def test_where_there_is_nothing_it_is_said_where_it_was_looked(pair: Pair) -> None:
    """A job of all databases, of which there may be none."""
    with InfluxServer.start("empty") as empty:
        archived = Archived(Pair(empty, pair.destination, pair.database, pair.directory))
        everything: dict[str, Any] = {"source": {"databases": []}}
        (problem,) = archived.run(everything).failures
        assert f"nothing to keep: {empty.url} shows this user no measurement" in problem
        assert "select in no database but _internal; correct that" in problem
        for name in "ab":
            empty.create_database(name)
        (problem,) = archived.run(everything).failures
        assert "select in a, b; correct that" in problem


# ---------------------------------------------------------------- what is told


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
    archived: Archived, now: int, sections: dict[str, Any], listener: SilentRun | None = None
) -> JobResult:
    """A snapshot of that time, in this process."""
    job = Config(archived.job(sections)).job
    client = connect(job.options, job.source, "source", StopRequest())
    try:
        archive = Archive(open_store(str(archived.folder)))
        return SnapshotRun(job, client, archive, path=Path("job.yaml"), now=now, listener=listener).run()
    finally:
        client.close()


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


@pytest.mark.parametrize(
    ("types", "weeks"), [(["float"], [0]), (["numeric"], [0, 1]), (["string", "integer"], [1, 2])]
)
def test_only_the_types_that_are_wanted_are_kept(types: list[str], weeks: list[int], archived: Archived) -> None:
    """Also where no count tells floats from integers: such a field is read anew in each run, and is the same."""
    values = ["1.5", "2i", '"three"']
    archived.pair.write("\n".join(f"m v={value},w=1 {MONDAY + n * WEEK}" for n, value in enumerate(values)))
    rules = {"measurements": {"specific": {"m": {"fields": {"include": ["v"], "types": types}}}}}
    for new_files in (len(weeks), 0):
        taken = archived.run(rules).snapshot
        assert taken is not None
        assert (taken.new_files, taken.points) == (new_files, len(weeks))
        found = read_snapshot(archived.folder, archived.snapshots()[-1], archived.pair.database).points
        assert sorted((key[3], key[4]) for key in found) == [(b"v", MONDAY + week * WEEK) for week in weeks]
        archived.pair.source.restart()
