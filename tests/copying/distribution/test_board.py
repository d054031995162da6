"""What a worker asks its scheduler, and how it reads the answers; the scheduler is played."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from copying.distribution import board
from copying.distribution.board import WorkerBoard, begun_event, stop_event
from tests.support.dask_worker import Worker, working

KEY, RUN, SECONDS = "key", "run", 19.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    """That of a task."""
    with working(KEY) as found:
        yield found


def asking(worker: Worker) -> WorkerBoard:
    """What the task asks."""
    return WorkerBoard(worker, KEY, RUN, SECONDS)


def test_a_lease_is_of_one_task_until_it_gives_it_back(worker: Worker) -> None:
    """It lasts as long as it is meant to; the same task may take it again and again."""
    mine, other = asking(worker), asking(worker)
    assert [mine.take("a", 0.5), mine.take("a", 0), mine.take("b", 0)] == [True] * 3
    assert worker.scheduler.seconds == {"a": SECONDS, "b": SECONDS}
    assert worker.scheduler.waits == [0.5, 0, 0]
    assert not other.take("a", 0)
    assert (mine.renew(["a", "b"]), mine.renew([]), other.renew(["c", "b"])) == (True, True, False)
    other.give_back("a")
    assert not other.take("a", 0)
    mine.give_back("a")
    assert other.take("a", 0)
    assert not mine.renew(["b", "a"])


def test_the_daemons_wish_is_heard(worker: Worker) -> None:
    """That of its own run."""
    worker.scheduler.events.add(stop_event("other"))
    assert not asking(worker).is_over(0)
    worker.scheduler.events.add(stop_event(RUN))
    assert asking(worker).is_over(3)
    assert worker.scheduler.waits == [0.01, 3]


def test_who_has_begun_a_unit_is_known_to_the_next_one(worker: Worker) -> None:
    """It has to ask the destination how far it has come."""
    assert [asking(worker).has_begun_before() for _ in range(2)] == [False, True]
    assert worker.scheduler.events == {begun_event(KEY)}
    assert not WorkerBoard(worker, "other", RUN, SECONDS).has_begun_before()


def test_nobody_waits_for_a_unit_whose_worker_ends_or_whose_daemon_is_gone(worker: Worker) -> None:
    """A worker that has too little memory pauses, and goes on."""
    for status, why in (("running", ""), ("paused", ""), ("closing_gracefully", "the worker ends")):
        worker.status.name = status
        assert asking(worker).why_unwanted() == why
    worker.status.name = "running"
    worker.state.tasks[KEY] = SimpleNamespace(state="cancelled")
    assert asking(worker).why_unwanted() == "the daemon is gone"
    worker.state.tasks.clear()
    assert asking(worker).why_unwanted() == "the daemon is gone"


def test_an_answer_is_waited_for_as_long_as_told(worker: Worker) -> None:
    """None came then; a message needs none."""
    asked = asking(worker)
    assert asked.answer("name", 60) is None
    worker.scheduler.variables["name"] = (3, "")
    assert asked.answer("name", 60) == (3, "")
    assert worker.scheduler.waits == [60, 60]
    asked.tell("topic", b"text")
    assert worker.told == [("topic", b"text")]


def test_a_scheduler_that_does_not_answer_is_an_error(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose connection is broken; it is waited for longer than it was asked to wait."""
    monkeypatch.setattr(board, "PATIENCE", 0.05)
    assert asking(worker).take("a", 0)
    worker.scheduler.is_silent = True
    with pytest.raises(TimeoutError):
        asking(worker).take("a", 0)
    with pytest.raises(TimeoutError):
        asking(worker).is_over(0.1)


def test_a_worker_is_named_as_people_know_it(worker: Worker) -> None:
    """One that has no name of its own is its address."""
    assert asking(worker).name == "w1 at tcp://h:1"
    worker.name = worker.address
    assert asking(worker).name == "tcp://h:1"
