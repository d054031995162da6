"""Units as a worker carries them out, in the test's own process: real servers, and a scheduler that is played."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import distributed
import pytest

from basics.stopping import StopRequest
from config import Config
from copying import small_measurements
from copying.distribution import copier
from copying.distribution.board import begun_event, stop_event
from copying.distribution.lease import LeaseLost
from copying.distribution.relay import Call, Message, PutAside
from copying.distribution.unit import Done, Unit, opened, packed, without_secrets
from copying.planner import Planner
from influx.influxql import Location
from influx_client import connect
from tests.integration.harness import DAY, MONDAY, Pair, write_job
from tests.support.dask_worker import Worker, working
from tests.support.servers import InfluxServer

NOW = MONDAY + 30 * DAY
WHO = "(worker w1 at tcp://h:1)"


def planned(pair: Pair, sections: Mapping[str, Any] | None = None, **changed: Any) -> Unit:  # noqa: ANN401
    """All measurements of the database as one unit."""
    described = pair.config({"options": {"retries": 0, "distribute": "tcp://127.0.0.1:9"}})
    for name, section in (sections or {}).items():
        described[name] = section
    config = Config(write_job(pair.directory, described))
    job, target = config.job, next(iter(described["source"]["databases"]))["destination"]
    source, destination = (
        connect(job.options, server, name, StopRequest())
        for server, name in ((job.source, "source"), (job.destination, "destination"))
    )
    planner = Planner(job, source, destination, NOW)
    (policy,), _ = planner.policies.prepare(pair.database, target)
    copies = planner.plan(pair.database, policy, source.get_tag_keys(pair.database))
    source.close()
    destination.close()
    folder = pair.directory / "quarantine"
    return replace(Unit("run", without_secrets(job), config.path, NOW, folder, tuple(copies)), **changed)


class Carried:
    """A unit that a worker carries out; `worker` may be changed before it does."""

    def __init__(self, unit: Unit, worker: Worker) -> None:
        self.unit, self.worker = unit, worker

    def out(self) -> Done:
        """What became of it."""
        done = opened(copier.copy_unit("topic", packed(self.unit)))
        assert isinstance(done, Done)
        return done

    @property
    def messages(self) -> list[object]:
        """What the daemon was told."""
        assert {topic for topic, _ in self.worker.told} <= {"topic"}
        return [opened(message) for _, message in self.worker.told]

    @property
    def calls(self) -> list[Call]:
        """All calls of its listener."""
        return [call for message in self.messages if isinstance(message, Message) for call in message.calls]


@pytest.fixture
def carry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Unit], Carried]]:
    """Gives a unit to a worker."""
    with working("") as worker:

        def give(unit: Unit) -> Carried:
            worker.state.tasks = dict.fromkeys([unit.key], *worker.state.tasks.values())
            return Carried(unit, worker)

        monkeypatch.setattr(distributed, "get_worker", lambda: worker)
        yield give


def place(pair: Pair, name: str) -> Location:
    """A measurement of the source."""
    return Location(pair.database, "autogen", name)


def daily(count: int, name: str = "m") -> list[str]:
    """A point for each day."""
    return [f"{name} v={n} {MONDAY + n * DAY}" for n in range(count)]


def test_a_unit_is_copied_as_a_run_copies_it(pair: Pair, carry: Callable[[Unit], Carried]) -> None:
    """Its leases are taken, and given back; how much was written and asked is told, and each step before."""
    pair.write("\n".join([*daily(20), *daily(9, "n")]))
    carried = carry(planned(pair))
    done = carried.out()
    pair.assert_equal(points=29)
    one, other = place(pair, "m"), place(pair, "n")
    assert {s: (r.written.points, r.problems, r.is_whole) for s, r in done.results.items()} == {
        one: (20, (), True),
        other: (9, (), True),
    }
    assert dict(done.newest) == {one: MONDAY + 19 * DAY, other: MONDAY + 8 * DAY}
    assert (done.counted[0], done.counted[1] > 0, dict(done.left)) == (29, True, {})
    told = [arguments[1] for name, arguments in carried.calls if name == "wrote"]
    assert sum(written.points for written in told) == 29  # type: ignore[attr-defined]
    assert done.messages == len(carried.messages) > 0
    assert {message.attempt for message in carried.messages if isinstance(message, Message)} == {done.attempt}
    scheduler = carried.worker.scheduler
    assert scheduler.leases == {}
    assert scheduler.seconds == dict.fromkeys(carried.unit.leases, carried.unit.lease)
    assert begun_event(carried.unit.key) in scheduler.events


def test_small_measurements_are_copied_together_and_others_are_left(
    pair: Pair, carry: Callable[[Unit], Carried], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where all of such a one is acknowledged the daemon hands it out alone."""
    monkeypatch.setattr(small_measurements, "MOST_ROWS", 100)
    large = "\n".join(f"large v={n} {MONDAY + DAY * 7 + n}" for n in range(300))
    pair.write("\n".join([*daily(20), *daily(9, "n"), large]))
    done = carry(planned(pair, together=True)).out()
    assert {s.measurement: r.written.points for s, r in done.results.items()} == {"m": 20, "n": 9}
    assert [source.measurement for source in done.left] == ["large"]
    assert done.left[place(pair, "large")].since <= MONDAY + DAY * 7
    points = pair.found().points
    assert len({at for at in points if at[1] != b"large"}) == 29


def test_who_begins_again_asks_the_destination_how_far_the_one_before_has_come(
    pair: Pair, carry: Callable[[Unit], Carried]
) -> None:
    """What is in older shard groups by now is not read again."""
    pair.write("\n".join(daily(21)))
    unit = planned(pair)
    pair.destination.write("\n".join(daily(15)), pair.database)
    carried = carry(unit)
    carried.worker.scheduler.events.add(begun_event(unit.key))
    assert carried.out().counted[0] == 7
    pair.assert_equal(points=21)


def test_what_fails_names_the_worker(pair: Pair, carry: Callable[[Unit], Carried]) -> None:
    """A server that cannot be reached from there may well be from the daemon."""
    pair.write("\n".join(daily(2)))
    unit = planned(pair)
    nowhere = unit.job.destination.model_copy(update={"url": "http://127.0.0.1:9"})
    done = carry(replace(unit, job=unit.job.model_copy(update={"destination": nowhere}))).out()
    result = done.results[place(pair, "m")]
    (problem,) = result.problems
    assert problem.startswith(f"copy {place(pair, 'm')}")
    assert "127.0.0.1:9" in problem
    assert problem.endswith(WHO)
    assert (result.is_whole, done.counted) == (False, (0, 0))


@pytest.mark.usefixtures("carry")
def test_what_is_no_unit_is_refused() -> None:
    """Nothing of it is carried out."""
    with pytest.raises(TypeError, match="that is no unit of work"):
        copier.copy_unit("topic", packed("text"))


@pytest.mark.parametrize("why", ["stopped", "the daemon is gone", "the worker ends"])
def test_a_unit_that_waits_for_another_writer_can_be_given_up(
    why: str, pair: Pair, carry: Callable[[Unit], Carried]
) -> None:
    """Nothing was written. A stop is no failure; where nobody waits for it, it is no result either."""
    pair.write("\n".join(daily(2)))
    carried = carry(planned(pair))
    worker = carried.worker
    worker.scheduler.leases = dict.fromkeys(carried.unit.leases, "another one's")
    if why == "stopped":
        worker.scheduler.events.add(stop_event("run"))
        result = carried.out().results[place(pair, "m")]
        assert (result.problems, result.is_whole, result.written.points) == ((), False, 0)
    else:
        if why == "the worker ends":
            worker.status.name = "closing"
        else:
            worker.state.tasks.clear()
        with pytest.raises(LeaseLost, match=why):
            carried.out()
    assert len(pair.found()) == 0


# ---------------------------------------------------------------- refused lines


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((1, ""), ""),
        ((0, "No space left on device"), "cannot be written to put it aside: No space left on device"),
        (None, "to put it aside: the daemon has not answered for 0 s"),
    ],
)
def test_refused_lines_are_put_aside_by_the_daemon(
    answer: tuple[int, str] | None,
    problem: str,
    pair: Pair,
    carry: Callable[[Unit], Carried],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who does not hear that they are on its disk has lost them, and fails."""
    monkeypatch.setattr(copier, "KEEPING", 0.1)
    pair.write("\n".join(daily(2)))
    pair.destination.create_database(pair.database)
    unit = planned(pair)
    pair.destination.write(f'm v="text" {MONDAY + 1}', pair.database)
    carried = carry(unit)
    asked = list[PutAside]()

    def hear(topic: str, message: bytes) -> None:
        carried.worker.told.append((topic, message))
        found = opened(message)
        if isinstance(found, PutAside):
            asked.append(found)
            if answer is not None:
                carried.worker.scheduler.variables[found.name] = answer

    monkeypatch.setattr(carried.worker, "log_event", hear)
    result = carried.out().results[place(pair, "m")]
    assert {(found.run, found.place) for found in asked} == {("run", place(pair, "m"))}
    assert {line for found in asked for line in found.lines} <= {
        line.replace(" 17", ".0 17").encode() for line in daily(2)
    }
    assert all("type" in found.answer for found in asked)
    if problem:
        assert problem in result.problems[0]
        assert WHO in result.problems[0]
        assert not result.written.put_aside
    else:
        assert [(part.lines, part.new) for part in result.written.put_aside] == [(2, 1)]
        assert carried.unit.quarantine == Path(result.written.put_aside[0].file).parents[1]


# ---------------------------------------------------------------- passwords


def test_passwords_are_looked_up_where_the_unit_is_carried_out(
    database: str, tmp_path: Path, carry: Callable[[Unit], Carried], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of a variable, or of a file; what is missing is named, and fails the measurements."""
    monkeypatch.setitem(os.environ, "SECRET_OF_UNITS", "geheim")
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER u WITH PASSWORD 'geheim' WITH ALL PRIVILEGES")
        pair = Pair(guarded, guarded, database, tmp_path)
        pair.write("\n".join(daily(2)))
        file = tmp_path / "password"
        file.write_text("geheim\n")
        login = {"url": guarded.url, "user": "u"}
        databases = [{"name": database, "destination": f"{database}_copy"}]
        unit = planned(
            pair,
            {
                "source": {**login, "password_file": str(file), "databases": databases},
                "destination": {**login, "password": "${SECRET_OF_UNITS}"},
            },
        )
        done = carry(unit).out()
        assert {r.problems for r in done.results.values()} == {()}
        file.unlink()
        (problem,) = carry(unit).out().results[place(pair, "m")].problems
        assert "the password of the source is not on this worker: " in problem
        file.write_text("geheim\n")
        monkeypatch.delitem(os.environ, "SECRET_OF_UNITS")
        (problem,) = carry(unit).out().results[place(pair, "m")].problems
        assert "the password of the destination is not on this worker: " in problem
