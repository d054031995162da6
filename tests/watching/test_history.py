"""What is remembered over restarts: runs, days and verdicts, and a file that may be gone, full or broken."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from basics.times import DAY
from copying.results import SourceAge
from tests.support.states import MINUTE, NOW, SECOND, archived, failing, fine, recovered, runs, state_of, warned
from watching.days import KEPT, Day, day_of, good_days, strip, with_difference, with_run
from watching.events import (
    HISTORY,
    Drilled,
    Event,
    JobKnown,
    JobRemoved,
    Proved,
    RunFinished,
    RunRecord,
    Totals,
    Verified,
)
from watching.history import History, history_file, last_runs
from watching.state import State, applied

TODAY = date(2026, 11, 24)


def run(outcome: str = "ok", *, days_ago: int = 0, warned: int = 0) -> RunRecord:
    """A run that ended so many days ago."""
    return RunRecord(NOW - days_ago * DAY, 3.0, outcome, warned=warned)


def told(history: History, events: Iterable[Event], state: State | None = None) -> State:
    """The state after these events, all of which the history saw and wrote."""
    state = state or State()
    for event in events:
        before, state = state, applied(state, event)
        history.see(event, before, state)
    history.look(state)
    return state


# ---------------------------------------------------------------- days


def test_a_day_is_as_good_as_its_worst_run() -> None:
    """One that was stopped says nothing."""
    assert Day().word == "no run"
    assert Day(good=3).word == "good"
    assert Day(good=3, warned=1).word == "warned"
    assert Day(good=3, differs=True).word == "warned"
    assert Day(good=3, failed=1).word == "partly failed"
    assert Day(failed=1).word == "failed"
    days = with_run(with_run({}, run(), "UTC"), run("stopped"), "UTC")
    assert days == {TODAY: Day(good=1)}


def test_days_are_those_of_the_schedules_zone_and_ninety_of_them_are_kept() -> None:
    """A run at 23:30 UTC is one of the next day in Berlin."""
    late = RunRecord(NOW - 5 * 3_600 * SECOND, 3.0, "ok")
    assert list(with_run({}, late, "UTC")) == [date(2026, 11, 23)]
    assert day_of(NOW - 4 * 3_600 * SECOND - 1_800 * SECOND, "Europe/Berlin") == TODAY
    days = {TODAY - timedelta(days=n): Day(good=1) for n in range(200)}
    kept = with_difference(days, NOW, "UTC")
    assert len(kept) == KEPT
    assert kept[TODAY] == Day(good=1, differs=True)


def test_the_strip_has_all_days_and_the_share_those_with_runs() -> None:
    """The newest last."""
    days = with_run(with_run(with_run({}, run("FAILED", days_ago=2), "UTC"), run(days_ago=1), "UTC"), run(), "UTC")
    shown = strip(days, TODAY)
    assert len(shown) == KEPT
    assert [word for _, word in shown[-4:]] == ["no run", "failed", "good", "good"]
    assert good_days(days) == (2, 3)


# ---------------------------------------------------------------- the file


def test_everything_is_known_again_after_a_restart(tmp_path: Path) -> None:
    """Runs with all they hold, days, the last success, what verify found."""
    file = tmp_path / "state" / "history.sqlite"
    ages = (SourceAge("db", 5, is_stale=True),)
    record = RunRecord(NOW, 2.0, "ok", Totals(points=7), (), ("w",), 1, ages, 3)
    differs = Verified("telegraf", NOW, "differs", "DIFFERENT: 1 value missing", missing=1)
    events = [*fine(), *recovered(), RunFinished("telegraf", NOW + 2 * SECOND, record), differs]
    before = told(History(file), events)
    after = State(remembered=History(file).remembered())
    for name in ("telegraf", "weather"):
        after = applied(after, JobKnown(name, NOW + MINUTE, timezone="Europe/Berlin"))
        for key in ("history", "days", "last_success", "complete_at", "verification", "difference"):
            assert getattr(after.jobs[name], key) == getattr(before.jobs[name], key), key
    assert after.jobs["telegraf"].history[-1] == record
    assert after.jobs["telegraf"].warnings == ("verify: DIFFERENT: 1 value missing", "w")
    assert after.jobs["weather"].condition == "starting"


def test_a_job_whose_last_run_failed_is_failing_after_a_restart(tmp_path: Path) -> None:
    """Since the first of the runs that failed in a row, and until one succeeds."""
    told(History(tmp_path / "h"), failing())
    state = State(remembered=History(tmp_path / "h").remembered())
    state = applied(state, JobKnown("billing", NOW))
    job = state.jobs["billing"]
    assert (job.condition, job.failing_since) == ("failing", job.history[-3].ended)
    state = state_of(*runs("billing", [5], until=NOW + MINUTE))
    assert not state.jobs["billing"].is_failing


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """The last runs and verdicts, ninety days."""
    file, now = tmp_path / "h", NOW
    history, state = History(file), State()
    for number in range(200):
        at = now - (200 - number) * DAY
        events = [RunFinished("a", at, RunRecord(at, 1.0, "ok")), Verified("a", at)]
        state = told(history, events, state)
    with closing(sqlite3.connect(file)) as database, database:
        query = "SELECT (SELECT count(*) FROM run), (SELECT count(*) FROM verdict), (SELECT count(*) FROM day)"
        ((run_count, verdict_count, day_count),) = database.execute(query)
    assert run_count == verdict_count == HISTORY
    assert day_count <= KEPT + 1


def test_a_job_that_comes_back_has_its_history_again() -> None:
    """Its file was away for a while."""
    state = applied(state_of(*fine()), JobRemoved("telegraf", NOW))
    assert not state.jobs
    again = applied(state, JobKnown("telegraf", NOW + MINUTE))
    assert len(again.jobs["telegraf"].history) == 25
    assert again.jobs["telegraf"].condition == "starting"


def test_the_last_runs_are_those_that_nobody_stopped(tmp_path: Path) -> None:
    """Of each job one; a file that is not there, or none of ours, has none, and is left alone."""
    file = tmp_path / "h"
    assert last_runs(file) == {}
    assert not file.exists()
    failed = RunRecord(NOW - 2 * MINUTE, 1.0, "FAILED", failures=("why",))
    records = {"a": [run(days_ago=1), failed, run("stopped")], "b": [run(warned=1)], "c": [run("stopped")]}
    told(History(file), [RunFinished(name, NOW, record) for name, found in records.items() for record in found])
    assert last_runs(file) == {"a": failed, "b": run(warned=1)}
    file.write_bytes(b"no database at all, but text")
    assert last_runs(file) == {}


@pytest.mark.parametrize("content", [b"no database at all, but text", b"SQLite format 3\0" + b"x" * 5000])
def test_a_broken_file_is_put_aside(content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The history is lost, and a new one begins."""
    file = tmp_path / "history.sqlite"
    file.write_bytes(content)
    assert History(file).remembered() == {}
    assert "a new one begins" in caplog.text
    assert (tmp_path / "history.broken").read_bytes() == content
    told(History(file), warned())
    assert set(History(file).remembered()) == {"plant"}


def test_a_file_that_cannot_be_written_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was to be written is, as soon as it can be."""
    (tmp_path / "state").write_text("in the way")
    history = History(tmp_path / "state" / "history.sqlite")
    state = told(history, fine())
    history.look(state)
    assert caplog.text.count("cannot be kept") == 1
    (tmp_path / "state").unlink()
    history.look(state)
    assert set(History(tmp_path / "state" / "history.sqlite").remembered()) == {"telegraf"}


def test_rows_that_are_not_ours_are_passed_over(tmp_path: Path) -> None:
    """Changed by hand, or of a version with other keys."""
    file = tmp_path / "h"
    told(History(file), [*fine("a"), *fine("b")])
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE run SET record = '{\"sauce\": 1}' WHERE job = 'a'")
    assert set(History(file).remembered()) == {"b"}


def test_the_environment_says_where(tmp_path: Path) -> None:
    """Without it nothing is remembered."""
    assert history_file({}) is None
    assert history_file({"BACKUP_STATE_DIR": str(tmp_path)}) == tmp_path / "history.sqlite"


def test_an_archive_and_its_drills_are_known_again_after_a_restart(tmp_path: Path) -> None:
    """The last drill, the last that passed however long ago that was, damage, and the newest snapshot."""
    file = tmp_path / "h"
    events: list[Event] = [*archived(), Proved("nightly", NOW, "damaged", "x is missing")]
    events += [Drilled("nightly", NOW + n, "not done", "no answer") for n in range(HISTORY + 5)]
    before = told(History(file), events).jobs["nightly"]
    after = applied(State(remembered=History(file).remembered()), JobKnown("nightly", NOW + MINUTE)).jobs[
        "nightly"
    ]
    for key in ("snapshot", "proof", "damage", "drill", "rehearsed"):
        assert getattr(before, key) is not None
    assert (after.drill, after.rehearsed, after.damage) == (before.drill, before.rehearsed, before.damage)
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM drill").fetchone() == (HISTORY,)


def test_a_file_of_a_version_without_drills_goes_on(tmp_path: Path) -> None:
    """It gets what it lacks."""
    file = tmp_path / "h"
    told(History(file), fine())
    with closing(sqlite3.connect(file)) as database, database:
        database.executescript("DROP TABLE proof; DROP TABLE drill; DROP TABLE lasting")
    assert History(file).remembered().keys() == {"telegraf"}
    told(History(file), archived())
    assert History(file).remembered().keys() == {"nightly", "telegraf"}
