"""The daemon's side of a cluster: what it hands out, and what it makes of what comes back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from copying.distribution import cluster
from copying.distribution.board import begun_event, stop_event
from copying.distribution.cluster import Cluster
from copying.distribution.lease import LeaseLost
from copying.distribution.relay import Call, PutAside
from copying.distribution.unit import Copied, Done, Unit
from copying.distribution.version import resource
from copying.late import Lateness
from copying.quarantine import Quarantine
from copying.results import MeasurementResult
from copying.small_measurements import GroupProgress
from copying.task import Copy
from influx.influxql import Location
from influx.written import Refusal, Written
from tests.copying.distribution.played import SCHEDULER, SERVER, Dask, Future, Listener, worker
from tests.copying.distribution.test_units import copies, job


def written(count: int) -> Written:
    """So many points."""
    return Written(points=count, values=2 * count)


def done(unit: Unit, count: int = 1, goes_on: int = 0, **changed: Any) -> Future:  # noqa: ANN401
    """All of a unit was copied, each measurement with so many points."""
    results = {s: MeasurementResult(str(s), written(count)) for s in unit.sources}
    return Future(
        value=Done(**{"attempt": "second", "messages": 0, "results": results, **changed}), goes_on=goes_on
    )


def nowhere(place: Location) -> Quarantine:
    """Nothing is refused."""
    raise AssertionError(place)


class Run:
    """A run of a job by such workers."""

    def __init__(self, work: Callable[[Dask, Unit], Future]) -> None:
        self.dask = Dask(work)
        self.listener = Listener()
        self.stopping = StopRequest()
        client: Any = self.dask
        self.cluster = Cluster(job(), Path("job.yaml"), client, self.stopping, self.listener)

    def copy(
        self,
        chosen: tuple[Copy, ...],
        lateness: Mapping[Location, Lateness] | None = None,
        quarantine: Callable[[Location], Quarantine] = nowhere,
    ) -> Copied:
        """Copy these."""
        return self.cluster.copy(
            chosen, lateness or {}, now=7, is_marked=True, directory=Path("quarantine"), quarantine=quarantine
        )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for what does not come."""
    monkeypatch.setattr(cluster, "TICK", 0.01)
    monkeypatch.setattr(cluster, "STOPPING", 0.1)
    monkeypatch.setattr(cluster, "ASKING", 300.0)
    monkeypatch.setattr(cluster, "LOOK_EVERY", 300.0)


# ---------------------------------------------------------------- what is handed out


def test_all_measurements_are_handed_out_and_what_became_of_them_adds_up() -> None:
    """To workers that hold this program and may write to the server, each unit with all that it needs."""
    chosen = copies(25)
    late = {chosen[0].source: Lateness(extra=3)}
    newest = {copy.source: number for number, copy in enumerate(chosen)}

    def work(_: Dask, unit: Unit) -> Future:
        return done(unit, 3, newest={s: newest[s] for s in unit.sources}, counted=(10, 1))

    run = Run(work)
    run.dask.workers["tcp://2"] = worker("w2")
    found = run.copy(chosen, late)
    assert [(len(unit.copies), unit.together) for unit in run.dask.units] == [(12, True), (12, True), (1, False)]
    assert {name: result.written for name, result in found.results.items()} == dict.fromkeys(newest, written(3))
    assert (dict(found.newest), found.counted, found.warnings) == (newest, (30, 3), ())
    for unit, how in zip(run.dask.units, run.dask.how, strict=True):
        needs = {SERVER: 1, resource(): 1}
        assert how == {"key": unit.key, "resources": needs, "retries": cluster.AGAIN, "pure": False}
        assert (unit.now, unit.quarantine, unit.file) == (7, Path("quarantine"), Path("job.yaml"))
        assert unit.is_marked
        assert unit.job.source.password.get_secret_value() == ""
    assert run.dask.units[2].lateness == late
    assert run.dask.looks == 1
    assert run.dask.events == [("clear", begun_event(unit.key)) for unit in run.dask.units]
    run.cluster.close()
    assert run.dask.events[3:] == [("clear", stop_event(run.dask.units[0].run))]
    assert run.dask.status == "closed"


def test_what_an_attempt_wrote_before_its_worker_died_counts_once() -> None:
    """The one that carried it out tells it all once more at its end; what it told meanwhile is not added."""
    (copy,) = copies(1)

    def work(dask: Dask, unit: Unit) -> Future:
        for attempt, count in (("died", 3), ("died", 1), ("second", 5)):
            dask.tell(unit.run, unit.key, attempt, ("wrote", (copy.source, written(count))))
        return done(unit, 6, messages=1)

    run = Run(work)
    assert run.copy((copy,)).results[copy.source].written == written(10)
    assert run.listener.heard == [("wrote", (copy.source, written(count))) for count in (3, 1, 5)]


def test_those_that_are_not_small_are_handed_out_alone_and_all_counts() -> None:
    """What they have got together with the others, and then by themselves; refusals come again."""
    chosen = copies(3)
    large = chosen[1].source
    before = Written(4, 8, refusals=(Refusal("x", "y", 1),))

    def work(dask: Dask, unit: Unit) -> Future:
        if not unit.together:
            return done(unit, 7)
        dask.tell(unit.run, unit.key, "first", ("wrote", (large, written(2))))
        return done(unit, left={large: GroupProgress(before, 100)}, goes_on=20)

    run = Run(work)
    copied = run.copy(chosen)
    found = copied.results
    assert copied.counted == (0, 0)
    assert [(unit.sources, unit.together) for unit in run.dask.units[1:]] == [((large,), False)]
    assert run.dask.units[1].copies[0].starts == {"v": 100}
    assert found[large].written == Written(13, 26)
    assert found[chosen[0].source].written == written(1)


# ---------------------------------------------------------------- what becomes of units


@pytest.mark.parametrize(
    ("future", "problem"),
    [
        (Future("error", error=LeaseLost("the lease is lost: why")), "the lease is lost: why"),
        (Future("error", error=KeyError("x")), "unexpected KeyError: 'x'"),
        (Future("lost"), f"Dask's scheduler {SCHEDULER} has forgotten it; was it started anew?"),
    ],
)
def test_a_unit_that_nobody_carries_out_fails_its_measurements(
    future: Future, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others go on. What had been written of it counts."""
    first, second = copies(2)

    def work(dask: Dask, unit: Unit) -> Future:
        if first.source not in unit.sources:
            return done(unit)
        dask.tell(unit.run, unit.key, "died", ("wrote", (first.source, written(3))))
        return future

    run = Run(work)
    found = run.copy((first, second), {copy.source: Lateness() for copy in (first, second)}).results
    assert found[first.source] == MeasurementResult(
        str(first.source), written(3), (f"copy {first.source}: {problem}",), is_whole=False
    )
    assert found[second.source] == MeasurementResult(str(second.source), written(1))
    assert f"{first.source}: {problem}" in caplog.text
    assert len(run.dask.events) == 2


def test_a_worker_that_killed_itself_is_named() -> None:
    """As often as Dask has tried."""
    from distributed import KilledWorker

    died: Any = KilledWorker("key", "tcp://1", 3)
    run = Run(lambda _, __: Future("error", error=died))
    (copy,) = copies(1)
    assert run.copy((copy,)).results[copy.source].problems == (
        f"copy {copy.source}: its worker died, 4 times; see what became of worker tcp://1",
    )


def test_what_is_lost_with_its_worker_is_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    """Dask has another one do it."""
    caplog.set_level("INFO")
    run = Run(lambda _, unit: Future(value=done(unit).value, goes_on=3, is_lost=2))
    (copy,) = copies(1)
    assert run.copy((copy,)).results[copy.source].problems == ()
    assert caplog.messages == ["what became of a unit is lost with its worker: its worker is gone"] * 2


def test_what_is_no_result_is_a_mistake_of_the_program() -> None:
    """It is never taken for one."""
    with pytest.raises(TypeError, match="that is no result of a unit"):
        Run(lambda _, __: Future(value="fine")).copy(copies(1))


def test_a_result_that_is_not_whole_is_never_ok() -> None:
    """Where nobody has stopped the run, and no problem says why; one that says why keeps its words."""
    chosen = copies(3)
    results = {
        chosen[0].source: MeasurementResult("m0", is_whole=False),
        chosen[1].source: MeasurementResult("m1", problems=("why",), is_whole=False),
        chosen[2].source: MeasurementResult("m2"),
    }
    found = Run(lambda _, unit: done(unit, results=results)).copy(chosen).results
    assert [found[copy.source].problems for copy in chosen] == [
        ("copy m0: its worker has given it up",),
        ("why",),
        (),
    ]


# ---------------------------------------------------------------- what is told meanwhile


def test_what_workers_tell_is_passed_on_and_what_concerns_others_is_not(caplog: pytest.LogCaptureFixture) -> None:
    """Of another run, of a unit that is over, or no message at all."""
    (copy,) = copies(1)
    told: list[Call] = [
        ("begun", (copy.source,)),
        ("reached", (copy.source, 5, 4)),
        ("acknowledged", ()),
        ("retrying", ("slow",)),
        ("settled", ()),
    ]
    caplog.set_level("INFO")

    def work(dask: Dask, unit: Unit) -> Future:
        dask.tell("other", unit.key, "second", ("acknowledged", ()))
        dask.tell(unit.run, "other", "second", ("acknowledged", ()))
        dask.send("no message")
        dask.tell(unit.run, unit.key, "second", *told, ("log", ("copying.reading", logging.WARNING, "100 %s")))
        return done(unit, messages=1)

    run = Run(work)
    run.copy((copy,))
    assert run.listener.heard == told
    assert ("copying.reading", logging.WARNING, "100 %s") in caplog.record_tuples


def test_refused_lines_are_kept_and_the_worker_hears_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Or why not; the answers are gone with the run. Nobody who does not hear it spoils the run."""
    (copy,) = copies(1)
    (tmp_path / "full").write_text("a file, where a folder should be")
    kept = {
        "m0": Quarantine(tmp_path, "job", "http://b:8086", copy.source, "now"),
        "full": Quarantine(tmp_path / "full", "job", "http://b:8086", copy.source, "now"),
    }

    def work(dask: Dask, unit: Unit) -> Future:
        full = Location("db", "autogen", "full")
        dask.send(PutAside("other", "z", full, [b"m v=9 9"], "no"))
        for name, place, lines in (("x", copy.source, 2), ("y", copy.source, 3), ("w", full, 1)):
            dask.send(PutAside(unit.run, name, place, [b"m v=1 %d" % n for n in range(lines)], "no"))
        return done(unit, goes_on=20)

    run = Run(work)
    run.copy((copy,), quarantine=lambda place: kept[place.measurement])
    assert run.dask.variables == {"x": (2, ""), "y": (1, ""), "w": (0, "Not a directory")}
    assert kept["m0"].file.read_bytes().endswith(b"\nm v=1 0\nm v=1 1\nm v=1 2\n")
    run.cluster.close()
    assert run.dask.variables == {}

    def silent(dask: Dask, unit: Unit) -> Future:
        dask.send(PutAside(unit.run, "x", copy.source, [b"m v=1 1"], "no"))
        dask.is_silent = True
        return done(unit, goes_on=20)

    caplog.set_level("INFO")
    run = Run(silent)
    assert run.copy((copy,), quarantine=lambda _: kept["m0"]).results[copy.source].problems == ()
    assert "a worker does not hear that its lines are kept: timed out" in caplog.text


def test_a_trouble_is_over_when_no_unit_has_one_any_more() -> None:
    """Be it because it has settled, or because the unit has ended, however."""
    chosen = copies(3)

    def work(dask: Dask, unit: Unit) -> Future:
        name = unit.sources[0].measurement
        dask.tell(unit.run, unit.key, "second", ("retrying", (name,)))
        if name == "m2":
            dask.tell(unit.run, dask.units[0].key, "second", ("settled", ()), ("acknowledged", ()))
        return Future("error" if name == "m1" else "finished", done(unit).value, KeyError())

    run = Run(work)
    run.copy(chosen, {copy.source: Lateness() for copy in chosen})
    heard = [name for name, _ in run.listener.heard]
    assert heard == ["retrying", "retrying", "retrying", "acknowledged", "settled"]


def test_what_was_told_before_the_end_is_heard_though_it_comes_later() -> None:
    """It is waited for, as it says how many messages there are of this attempt; but not for ever."""
    (copy,) = copies(1)

    def work(dask: Dask, unit: Unit) -> Future:
        dask.tell(unit.run, unit.key, "died", ("acknowledged", ()))

        later = (("wrote", (copy.source, written(1))), ("begun", (copy.source,)))
        for number, call in enumerate(later):
            threading.Timer(0.2 + number / 5, dask.tell, [unit.run, unit.key, "second", call]).start()
        return done(unit, 1, messages=2)

    run = Run(work)
    assert run.copy((copy,)).results[copy.source].written == written(1)
    assert [name for name, _ in run.listener.heard] == ["acknowledged", "wrote", "begun"]


def test_a_message_that_never_comes_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was copied is known without it."""
    monkeypatch.setattr(cluster, "ASKING", 0.05)
    (copy,) = copies(1)
    found = Run(lambda _, unit: done(unit, messages=9)).copy((copy,))
    assert found.results[copy.source].problems == ()


# ---------------------------------------------------------------- the end before the end


def test_a_stop_lets_units_end_and_gives_up_those_that_do_not(caplog: pytest.LogCaptureFixture) -> None:
    """They are told by an event of the run. Neither is a failure, and neither counts as whole."""
    first, second, third = copies(3)

    def work(dask: Dask, unit: Unit) -> Future:
        run.stopping.requested = True
        dask.tell(unit.run, unit.key, "second", ("wrote", (unit.sources[0], written(2))))
        if second.source in unit.sources:
            return Future(goes_on=10**9)
        results = {s: MeasurementResult(str(s), written(5), is_whole=s == first.source) for s in unit.sources}
        return done(unit, results=results, messages=1)

    run = Run(work)
    found = run.copy((first, second, third), {c.source: Lateness() for c in (first, second, third)}).results
    assert found == {
        first.source: MeasurementResult(str(first.source), written(5)),
        second.source: MeasurementResult(str(second.source), written(2), is_whole=False),
        third.source: MeasurementResult(str(third.source), written(5), is_whole=False),
    }
    assert run.dask.events[0] == ("set", stop_event(run.dask.units[0].run))
    assert {event for event, _ in run.dask.events[1:]} == {"clear"}
    assert caplog.text == ""


def test_after_a_stop_nothing_is_handed_out_any_more() -> None:
    """What is not small keeps what it has got."""
    chosen = copies(2)

    def work(_: Dask, unit: Unit) -> Future:
        run.stopping.requested = True
        return done(unit, results={}, left={copy.source: GroupProgress(written(4), 100) for copy in chosen})

    run = Run(work)
    found = run.copy(chosen).results
    assert len(run.dask.units) == 1
    assert found == {c.source: MeasurementResult(str(c.source), written(4), is_whole=False) for c in chosen}


GONE = f"Dask's scheduler {SCHEDULER} is gone; the next run goes on from what is there"


@pytest.mark.parametrize("end", ["pending", "cancelled"])
def test_a_scheduler_that_is_gone_fails_what_is_not_done(end: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is asked of it any more, and the next measurements are not even handed out."""
    first, second = copies(2)

    def work(dask: Dask, unit: Unit) -> Future:
        if first.source in unit.sources:
            return done(unit)
        dask.status = "closed"
        return Future(end)

    run = Run(work)
    found = run.copy((first, second), {copy.source: Lateness() for copy in (first, second)}).results
    assert [found[copy.source].problems for copy in (first, second)] == [(), (f"copy {second.source}: {GONE}",)]
    assert run.dask.events == []
    caplog.clear()
    again = run.copy((first,)).results[first.source]
    assert again == MeasurementResult(
        str(first.source), Written(), (f"copy {first.source}: {GONE}",), is_whole=False
    )
    assert (len(run.dask.units), GONE in caplog.text) == (2, True)
    run.cluster.close()
    assert run.dask.events == []


def test_a_scheduler_that_does_not_answer_at_the_end_spoils_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What was copied is copied."""
    caplog.set_level("INFO")
    (copy,) = copies(1)

    def work(dask: Dask, unit: Unit) -> Future:
        dask.is_silent = True
        return done(unit)

    run = Run(work)
    assert run.copy((copy,)).results[copy.source].problems == ()
    run.cluster.close()
    assert run.dask.status == "closed"
    assert caplog.messages == ["event_clear: timed out"] * 2


def test_without_a_worker_for_too_long_what_is_left_has_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The listener hears of it once, and so does the log."""
    monkeypatch.setattr(cluster, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    (copy,) = copies(1)
    run = Run(lambda _, __: Future(goes_on=10**9))
    run.dask.workers.clear()
    (problem,) = run.copy((copy,)).results[copy.source].problems
    assert problem.startswith(f"copy {copy.source}: after 0 s {SCHEDULER} has no workers; start some: dask worker")
    (heard,) = run.listener.heard
    assert heard[0] == "retrying"
    assert run.dask.events == [("clear", begun_event(run.dask.units[0].key))]
    assert caplog.text.count("waiting for workers: ") == 1


def test_workers_that_come_in_time_go_on_and_the_trouble_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with another program get nothing, which is a warning; so is it with one that does not answer."""
    monkeypatch.setattr(cluster, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(cluster, "PATIENCE", 300.0)
    (copy,) = copies(1)

    def work(dask: Dask, unit: Unit) -> Future:
        def one_comes() -> None:
            dask.is_silent = False
            dask.workers["tcp://2"] = worker("w2")
            future.goes_on = 30

        threading.Timer(0.2, one_comes).start()
        future = Future(value=done(unit).value, goes_on=10**9)
        return future

    run = Run(work)
    run.dask.workers = {"tcp://3": worker("w3", source="influxdb-backup, source other")}
    run.dask.is_silent = True
    found = run.copy((copy,))
    assert found.results[copy.source].problems == ()
    assert [name for name, _ in run.listener.heard] == ["retrying", "settled"]
    assert run.listener.heard[0][1] == (f"waiting for workers: {SCHEDULER} does not answer: timed out",)
    (warning,) = found.warnings
    assert warning.startswith("worker w3 at tcp://3 gets nothing: it holds the source code other")
