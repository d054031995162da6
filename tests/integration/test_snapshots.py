"""How a snapshot is taken: what is asked of the source, and what happens where it is not what it says."""

from __future__ import annotations

import itertools
import json
import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from basics.stopping import StopRequest
from copying.archive import taking
from copying.results import JobResult
from influx.fingerprints import Fingerprints, Look
from influx_client import InfluxClient
from main import run_worker
from tests.integration.archives import Archived
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.test_archive import assert_kept, hourly
from tests.support.archive_reader import read_snapshot
from tests.support.proxy import Action, Exchange, Proxy, forward, only
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


def test_whatever_is_overwritten_is_in_the_next_snapshot(archived: Archived) -> None:
    """Of texts and booleans no fingerprint tells: where somebody wrote they are read."""
    archived.pair.write(hourly(weeks=1))
    archived.taken()
    for line in ('s="another"', "b=true", "v=-1", "n=7i", "b=false", 's="one more"'):
        archived.pair.write(f"cpu,host=h1 {line} {MONDAY + 25 * HOUR}")
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


def test_after_a_stop_no_other_database_is_asked_about(archived: Archived) -> None:
    """The one that was read to its end is no reason to begin the next one."""
    pair, stopping, later = archived.pair, StopRequest(), list[str]()
    names = [pair.database, f"{pair.database}_other"]
    for name in names:
        pair.source.create_database(name)
        pair.source.write(f"cpu v=1 {MONDAY}", name)

    def stop(exchange: Exchange) -> None:
        if stopping.requested:
            later.append(exchange.text())
        stopping.requested = stopping.requested or is_page(exchange.text())
        forward(exchange)

    with Proxy(pair.source.url) as proxy:
        proxy.inject(stop, "query", count=None)
        source = {"url": proxy.url, "databases": [{"name": name} for name in names]}
        result = run_worker(archived.job({"source": source}), stopping)
    pair.source.drop_database(names[1])
    assert (result.outcome, archived.snapshots()) == ("stopped", [])
    assert [question for question in later if question.startswith("SHOW TAG KEYS")] == []


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


@pytest.mark.parametrize(
    ("line", "said", "values"),
    [
        ("cpu v=1,a\\\\\\ b=2", "cpu: field ", 1),
        ("cpu a\\\\\\ b=2", "cpu: field ", 0),
        ("mem w=2", "#cpu: measurement starts with a character", 0),
    ],
)
def test_a_name_that_influxdb_cannot_keep_is_told_and_nothing_is_published(
    line: str, said: str, values: int, archived: Archived
) -> None:
    """With what is wrong with it: it could not be restored; also where nothing else of the measurement is kept."""
    archived.pair.write(f"{line} {MONDAY}\nmem v=1 {MONDAY}")
    archived.pair.source.query('SELECT w INTO "#cpu" FROM "mem"', db=archived.pair.database)
    result = archived.run()
    (problem,) = result.failures
    assert problem.startswith(f"copy {archived.pair.database}.autogen.{said}")
    assert problem.endswith("; rename it at the source")
    assert (result.snapshot, archived.snapshots()) == (None, [])
    (database,) = result.databases
    bad, good = sorted(database.measurements, key=lambda measurement: measurement.is_whole)
    assert (bad.is_whole, bad.written.values, good.is_whole) == (False, values, True)


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
