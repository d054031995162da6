"""The state as events make it: conditions, troubles, totals, history, lag."""

from __future__ import annotations

from dataclasses import replace

from watching.events import (
    HISTORY,
    Event,
    FileChecked,
    JobEnded,
    JobKnown,
    JobRemoved,
    MeasurementsChanged,
    MeasurementState,
    NextRun,
    RunFinished,
    RunProgress,
    RunRecord,
    RunStarted,
    RunState,
    Totals,
    Verified,
    WaitingForServer,
    WorkerDied,
    WorkerStarted,
)
from watching.state import BUCKETS, Durations, JobState, State, applied

SECOND = 1_000_000_000


def after(*events: Event, state: State | None = None) -> State:
    """The state after all of them."""
    state = state or State()
    for event in events:
        state = applied(state, event)
    return state


def job(*events: Event) -> JobState:
    """The job `a` after all of them."""
    return after(JobKnown("a", 1, schedule="* * * * *"), WorkerStarted("a", 2, pid=7), *events).jobs["a"]


def finished(
    at: int, *failures: str, started: int | None = None, outcome: str = "", points: int = 0
) -> RunFinished:
    """A run that is over."""
    totals = Totals(points=points, failures=len(failures))
    record = RunRecord(started or at - 1, 1.0, outcome or ("FAILED" if failures else "ok"), totals, failures)
    return RunFinished("a", at, record, worker=1, totals=totals)


def measurement(name: str, run: int, newest: int | None = None, database: str = "db") -> MeasurementState:
    """A measurement that is done."""
    return MeasurementState(database, "autogen", name, run, "done", newest=newest)


def test_a_job_goes_from_starting_to_idle_to_running_and_back() -> None:
    """Its condition has the time since when."""
    events = (NextRun("a", 3, when=60), RunStarted("a", 60), finished(70, started=60), NextRun("a", 71, when=120))
    found = [(j.condition, j.since) for j in (job(*events[:n]) for n in range(len(events) + 1))]
    assert found == [("starting", 1), ("idle", 3), ("running", 60), ("idle", 70), ("idle", 70)]
    last = job(*events)
    assert (last.last_attempt, last.last_success, last.next_run, last.pid) == (60, 70, 120, 7)
    assert not last.is_failing


def test_a_failing_job_says_since_when_until_a_run_succeeds() -> None:
    """Later failures do not move the beginning; the error stays readable afterwards."""
    failing = job(finished(10, "HTTP 503"), NextRun("a", 11, when=20), finished(20, "HTTP 401", "and more"))
    assert (failing.failing_since, failing.problem) == (10, "HTTP 401\nand more")
    assert failing.last_success is None
    again = job(finished(10, "x"), NextRun("a", 11, when=20), RunStarted("a", 20))
    assert (again.condition, again.is_failing) == ("running", True)
    well = job(finished(10, "HTTP 503"), finished(20), NextRun("a", 21, when=30))
    assert (well.condition, well.is_failing, well.last_error, well.last_error_at) == (
        "idle",
        False,
        "HTTP 503",
        10,
    )


def test_a_run_that_was_stopped_is_neither_success_nor_failure() -> None:
    """It leaves what was known."""
    before = (finished(10, "HTTP 503"),)
    assert job(*before, finished(20, outcome="stopped")).failing_since == 10
    assert job(finished(5), finished(20, outcome="stopped")).last_success == 5


def test_waiting_for_a_server_is_a_trouble_that_ends_with_it() -> None:
    """With the time of the next attempt."""
    waiting = WaitingForServer("a", 5, role="source", problem="connection refused", retry_at=65)
    found = job(waiting, replace(waiting, at=65, retry_at=125))
    assert (found.condition, found.since, found.failing_since, found.retry_at) == ("waiting for server", 5, 5, 125)
    assert found.problem == "waiting for the source: connection refused"
    assert not job(waiting, NextRun("a", 70, when=80)).is_failing


def test_a_worker_that_died_idle_is_well_again_when_its_successor_waits() -> None:
    """Meanwhile it says when that is started."""
    died = WorkerDied("a", 9, death="SIGKILL", restart_at=10)
    found = job(NextRun("a", 3, when=60), died)
    assert (found.condition, found.restart_at, found.pid) == ("worker died", 10, 0)
    assert found.problem == "its worker process died (SIGKILL)"
    again = job(NextRun("a", 3, when=60), died, WorkerStarted("a", 10, pid=8), NextRun("a", 11, when=60))
    assert (again.condition, again.is_failing, again.pid) == ("idle", False, 8)


def test_a_worker_that_could_not_be_started_says_why() -> None:
    """It did not die; it is tried again, and all is well once it lives."""
    why = "its process could not be started: Too many open files: raise ulimit -n"
    failed = WorkerDied("a", 9, why, restart_at=10, was_started=False)
    assert (job(failed).problem, job(failed).restart_at) == (why, 10)
    assert not job(failed, WorkerStarted("a", 10, pid=8), NextRun("a", 11, when=60)).is_failing


def test_a_worker_that_died_in_a_run_leaves_the_job_failing_until_a_run_succeeds() -> None:
    """A new process alone has not made good what is missing."""
    events = (
        RunStarted("a", 5),
        WorkerDied("a", 9, death="SIGSEGV", restart_at=10),
        WorkerStarted("a", 10, pid=8),
    )
    found = job(*events, NextRun("a", 11, when=60))
    assert (found.condition, found.failing_since) == ("failing", 9)
    assert "in the middle of a run" in found.problem
    assert not job(*events, NextRun("a", 11, when=60), finished(62)).is_failing


def test_an_invalid_file_is_told_apart_from_a_job_that_runs_with_what_it_had() -> None:
    """Both are failing."""
    alone = after(FileChecked("b", 1, problem="b.yaml: 1 problem")).jobs["b"]
    assert (alone.condition, alone.problem) == ("invalid file", "b.yaml: 1 problem")
    beside = job(NextRun("a", 3, when=60), FileChecked("a", 4, problem="a.yaml: 1 problem"))
    assert (beside.condition, beside.is_failing) == ("failing", True)
    assert not job(NextRun("a", 3, when=60), FileChecked("a", 4, problem="x"), FileChecked("a", 5)).is_failing


def test_a_job_that_will_not_run_again_is_finished_failing_or_stopped() -> None:
    """As its outcome says."""
    ends = [
        JobEnded("a", 9, "ok"),
        JobEnded("a", 9, "FAILED", ("HTTP 503",)),
        JobEnded("a", 9, "stopped"),
        WorkerDied("a", 9, death="exit code 3"),
    ]
    assert [job(end).condition for end in ends] == ["finished", "failing", "stopped", "worker died"]


def test_a_job_that_was_removed_is_gone() -> None:
    """And others stay, in the order of their names."""
    state = after(JobKnown("b", 1), JobKnown("a", 1), JobKnown("c", 1))
    assert list(state.jobs) == ["a", "b", "c"]
    assert list(after(JobRemoved("b", 2), state=state).jobs) == ["a", "c"]


def test_totals_go_on_when_a_worker_is_started_again() -> None:
    """Each worker counts from zero; what is lost of one is in its next event."""
    progress = [RunProgress("a", n, RunState(5), worker, Totals(points=p)) for n, worker, p in
                ((6, 1, 10), (7, 1, 30), (8, 2, 4), (9, 2, 5))]  # fmt: skip
    assert [job(*progress[: n + 1]).totals.points for n in range(4)] == [10, 30, 34, 35]


def test_the_progress_of_a_run_that_is_over_does_not_bring_it_back() -> None:
    """It may have been told late."""
    over = finished(70, started=60)
    assert job(over, RunProgress("a", 71, RunState(60), 1, Totals())).run is None
    assert job(over, RunProgress("a", 90, RunState(80), 1, Totals())).run == RunState(80)


def test_a_run_that_is_told_again_counts_once() -> None:
    """So senders may tell a new monitor all they know; the history is bounded."""
    again = job(finished(10), finished(20), finished(10), finished(20))
    assert [record.started for record in again.history] == [9, 19]
    assert again.durations.cumulative[-1] == 2
    many = job(*(finished(10 * n) for n in range(1, 2 * HISTORY)))
    assert len(many.history) == HISTORY
    assert many.durations.cumulative[-1] == 2 * HISTORY - 1


def test_durations_are_counted_in_buckets() -> None:
    """Each bound belongs to its bucket; whatever is longer goes into the last."""
    found = Durations().plus(0.5).plus(1.0).plus(1.5).plus(BUCKETS[-1] + 1)
    assert found.cumulative == (2, *(3,) * (len(BUCKETS) - 1), 4)
    assert found.seconds == 0.5 + 1 + 1.5 + BUCKETS[-1] + 1


def test_the_lag_of_a_database_is_that_of_its_newest_point() -> None:
    """A database of which nothing is known has none."""
    changed = MeasurementsChanged(
        "a",
        5,
        (
            measurement("x", 1, 90 * SECOND),
            measurement("y", 1, 100 * SECOND),
            measurement("z", 1),
            measurement("x", 1, None, "empty"),
        ),
    )
    found = job(changed).databases
    assert found["db"].lag(130 * SECOND) == 30.0
    assert found["db"].lag(99 * SECOND) == 0.0
    assert found["empty"].lag(130 * SECOND) is None


def test_a_measurement_that_a_successful_run_did_not_meet_is_forgotten() -> None:
    """One that failed or was stopped may not have come to it."""
    changed = MeasurementsChanged("a", 5, (measurement("old", 1, 7), measurement("new", 60, 9)))
    names = [
        [name for _, _, name in job(changed, end).measurements]
        for end in (
            finished(70, started=60),
            finished(70, "x", started=60),
            finished(70, started=60, outcome="stopped"),
        )
    ]
    assert names == [["new"], ["old", "new"], ["old", "new"]]


def test_a_verification_belongs_to_a_job_of_this_daemon() -> None:
    """Others are not shown."""
    verified = Verified("a", 9, "could not check", "the destination: connection refused")
    found = job(verified).verification
    assert found is not None
    assert (found.result, found.at) == ("could not check", 9)
    assert after(replace(verified, job="other")).jobs == {}


def test_the_share_and_the_time_left_of_a_run() -> None:
    """Of the present database; nothing is guessed before there is something to judge by."""
    run = RunState(0, measurements=4, measurements_done=1, covered=25, span=100, copying_since=10 * SECOND)
    assert (run.share, run.measurement) == (0.25, 2)
    assert run.seconds_left(20 * SECOND) == 30.0
    assert replace(run, covered=0).seconds_left(20 * SECOND) is None
    assert RunState(0).share == 0.0
    assert replace(run, measurements_done=4, span=0).share == 1.0


def test_how_much_of_a_measurement_is_covered() -> None:
    """Positions outside of what is to be copied count as its edges."""
    m = MeasurementState("db", "rp", "m", 1, "copying", begin=100, end=200)
    assert [replace(m, position=p).covered for p in (0, 100, 150, 900)] == [0, 0, 50, 100]
    assert replace(m, phase="done").covered == 100
    assert replace(m, begin=300).span == 0


def test_a_run_that_is_overdue() -> None:
    """Only while none goes on."""
    waiting = job(NextRun("a", 3, when=60 * SECOND))
    assert (waiting.overdue(50 * SECOND), waiting.overdue(65 * SECOND)) == (0.0, 5.0)
    assert job(NextRun("a", 3, when=60 * SECOND), RunStarted("a", 61 * SECOND)).overdue(65 * SECOND) == 0.0


def test_a_difference_stands_until_a_comparison_of_all_of_it_finds_none() -> None:
    """A sample, a shorter range, or one that could not look proves nothing."""
    differs = Verified("a", 5, "differs", "DIFFERENT: 2 values missing", missing=2, start=0, end=100)
    assert job(differs).warnings == ("verify: DIFFERENT: 2 values missing",)
    assert (job(differs).warned, job(differs).is_warned) == (1, True)
    for later in (
        Verified("a", 6, "equal", is_complete=False),
        Verified("a", 6, "equal", start=1, end=100),
        Verified("a", 6, "could not check"),
    ):
        assert job(differs, later).difference == differs
        assert job(differs, later).verification == later
        assert job(differs, later).compared == differs
    assert job(differs, Verified("a", 6, "equal", start=0, end=101)).difference is None


def test_a_copy_is_complete_as_of_the_begin_of_the_run_that_succeeded() -> None:
    """What came during it may be missing."""
    found = job(finished(20, started=12), finished(40, "HTTP 503", started=30))
    assert (found.complete_at, found.last_success) == (12, 20)
