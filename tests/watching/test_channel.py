"""The channel: what is told arrives in order, a full one never stops anybody, a new listener hears all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from watching.channel import Channel, Sender
from watching.events import (
    FAILURES_SHOWN,
    HISTORY,
    LONGEST_TEXTS,
    Contact,
    Event,
    JobKnown,
    MeasurementsChanged,
    MeasurementState,
    NextRun,
    RunFinished,
    RunProgress,
    RunRecord,
    RunStarted,
    RunState,
    Totals,
    bounded,
)


@pytest.fixture
def channel() -> Iterator[Channel]:
    """A channel to which somebody listens."""
    channel = Channel()
    channel.announce_listener()
    with closing(channel.sender), closing(channel.receiver):
        yield channel


def received(channel: Channel) -> list[Event]:
    """All that waits."""
    found = []
    while (event := channel.receive()) is not None:
        found.append(event)
    return found


def progress(number: int) -> RunProgress:
    """One of many."""
    return RunProgress("a", number, RunState(1), 1, Totals(points=number))


def test_what_is_told_arrives_in_order(channel: Channel) -> None:
    """As equal values."""
    told: list[Event] = [JobKnown("a", 1, contact=Contact(("mailto://x",))), RunStarted("a", 2), progress(3)]
    sender = Sender(channel)
    for event in told:
        sender.tell(event)
    assert received(channel) == told
    assert not sender.is_behind


def test_a_full_channel_drops_progress_and_keeps_what_lasts(channel: Channel) -> None:
    """Nobody reads, and telling returns all the same; afterwards the latest of each kind arrives."""
    sender = Sender(channel)
    for number in range(20_000):
        sender.tell(progress(number))
    sender.tell(RunStarted("a", 1))
    sender.tell(RunFinished("a", 5, RunRecord(1, 4.0, "ok")))
    sender.tell(NextRun("a", 6, when=9))
    sender.tell(NextRun("a", 7, when=10))
    assert sender.is_behind
    early = received(channel)
    assert 10 < len(early) < 20_000
    assert all(isinstance(event, RunProgress) for event in early)
    sender.flush()
    assert received(channel) == [RunFinished("a", 5, RunRecord(1, 4.0, "ok")), NextRun("a", 7, when=10)]
    sender.tell(progress(20_000))
    assert received(channel) == [progress(20_000)]


def test_nobody_listens_and_nothing_waits() -> None:
    """A listener that comes later is told what is known."""
    channel = Channel()
    with closing(channel.sender), closing(channel.receiver):
        sender = Sender(channel)
        sender.tell(JobKnown("a", 1))
        sender.tell(progress(2))
        assert sender.flush() == 0
        assert received(channel) == []
        channel.announce_listener()
        assert sender.flush() == 1
        assert received(channel) == [JobKnown("a", 1)]


def test_a_new_listener_is_told_again(channel: Channel) -> None:
    """The last status, and the last runs, but no more than it would keep; nothing of a job that is gone."""
    sender = Sender(channel)
    sender.tell(JobKnown("gone", 1))
    for number in range(1, 2 * HISTORY):
        sender.tell(RunStarted("a", number))
        sender.tell(RunFinished("a", number, RunRecord(number, 1.0, "ok")))
    sender.tell(NextRun("a", 999, when=1000))
    sender.forget("gone")
    received(channel)
    channel.announce_silence()  # for a moment that the sender does not see
    channel.announce_listener()
    sender.flush()
    again = received(channel)
    assert again[-1] == NextRun("a", 999, when=1000)
    assert [e.record.started for e in again if isinstance(e, RunFinished)] == list(range(HISTORY, 2 * HISTORY))
    assert len(again) == HISTORY + 1


def test_without_a_channel_nothing_happens() -> None:
    """For runs that nobody watches."""
    sender = Sender(None)
    sender.tell(progress(1))
    assert sender.flush() == 0


def test_a_process_of_its_own_tells_as_well(channel: Channel) -> None:
    """And a channel without any sender left says so."""
    pid = os.fork()
    if not pid:  # pragma: no cover -- the child
        Sender(channel).tell(NextRun("a", os.getpid(), when=1))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert received(channel) == [NextRun("a", pid, when=1)]
    channel.sender.close()
    with pytest.raises(EOFError):
        channel.receive()


def test_a_receiver_that_is_gone_is_nobodys_trouble(channel: Channel) -> None:
    """Neither an error nor a signal."""
    channel.receiver.close()
    sender = Sender(channel)
    sender.tell(NextRun("a", 1, when=1))
    assert not sender.is_behind


def test_texts_are_bounded() -> None:
    """A few in full; the last is cut where there is no more room, and the largest set still fits a datagram."""
    assert bounded(("a", "b")) == ("a", "b")
    assert len(bounded(["x"] * 100)) == FAILURES_SHOWN
    long = bounded(["\N{GRINNING FACE}" * LONGEST_TEXTS, "more"])
    assert len(long) == 1
    channel = Channel()
    channel.announce_listener()
    with closing(channel.sender), closing(channel.receiver):
        event = RunFinished(
            "a", 1, RunRecord(1, 1.0, "FAILED", failures=bounded(["\N{GRINNING FACE}" * 1_000_000]))
        )
        Sender(channel).tell(event)
        assert received(channel) == [event]


def test_contacts_are_not_shown() -> None:
    """URLs of notification services hold passwords."""
    assert "secret" not in repr(JobKnown("a", 1, contact=Contact(("slack://secret",), (), "https://hc/secret")))


def test_what_a_process_has_told_that_is_gone_is_told_again_by_its_parent(channel: Channel) -> None:
    """The last runs of each job, and the measurements as its last run left them; what waited for room at once."""
    parent = Sender(channel)
    parent.flush()
    for number in range(HISTORY + 5):
        state = MeasurementsChanged("a", number, (MeasurementState("db", "p", "m", number),))
        parent.adopt("a", [RunFinished("a", number, RunRecord(number, 1.0, "ok")), state])
    parent.adopt("b", [RunFinished("b", 1, RunRecord(1, 1.0, "ok"))])
    parent.adopt("a", [])  # a run that came to nothing
    assert received(channel) == []
    parent.pass_on([RunStarted("c", 1)])
    assert received(channel) == [RunStarted("c", 1)]
    channel.announce_listener()
    parent.flush()
    again = received(channel)
    runs = [e.record.started for e in again if isinstance(e, RunFinished) and e.job == "a"]
    assert runs == list(range(5, HISTORY + 5))
    assert [e.at for e in again if isinstance(e, MeasurementsChanged)] == [HISTORY + 4]
    assert sum(e.job == "b" for e in again) == 1
    parent.forget("a")
    channel.announce_listener()
    parent.flush()
    assert [e.job for e in received(channel)] == ["b"]
