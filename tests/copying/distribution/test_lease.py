"""Leases: no request is made that might outlast one, whatever becomes of scheduler, worker or clock."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from basics.stopping import Stopped
from copying.distribution import lease
from copying.distribution.lease import LeaseLost, Leases, held
from tests.support.waiting import wait_until

SECONDS, REQUEST = 60.0, 40.0


class Scheduler:
    """Knows who has which lease; `others` are those of another worker. Time passes as the test says."""

    def __init__(self, *others: str) -> None:
        self.now = 1000.0
        self.others = set(others)
        self.held: set[str] = set()
        self.is_gone = False
        self.is_asked_to_stop = False
        self.unwanted = ""
        self.waits_until_free = 3
        self.steals = ""
        self.renewals = 0
        self.silences = 0

    def clock(self) -> float:
        """The time."""
        return self.now

    def take(self, name: str, patience: float) -> bool:
        """Take a lease; another one's becomes free after some attempts."""
        self._answer()
        self.now += patience if name in self.others else 0
        self.waits_until_free -= name in self.others
        self.others |= {self.steals} - {""} if name in self.others else set()
        if self.waits_until_free < 0:
            self.others.discard(name)
        if name in self.others:
            return False
        self.held.add(name)
        return True

    def renew(self, names: Sequence[str]) -> bool:
        """Whether none of them is another one's."""
        self._answer()
        self.renewals += 1
        return self.others.isdisjoint(names)

    def give_back(self, name: str) -> None:
        """It is free."""
        self._answer()
        self.held.discard(name)

    def is_over(self, _patience: float) -> bool:
        """Whether the daemon wants to stop."""
        self._answer()
        return self.is_asked_to_stop

    def why_unwanted(self) -> str:
        """Why nobody waits for the unit."""
        return self.unwanted

    def _answer(self) -> None:
        if self.is_gone:
            self.silences += 1
            raise ConnectionResetError("gone")


def free(scheduler: Scheduler, *names: str) -> Leases:
    """Those of a unit with these measurements."""
    return Leases(scheduler, names, seconds=SECONDS, request=REQUEST, clock=scheduler.clock)


def leases(scheduler: Scheduler, *names: str) -> Leases:
    """The same, taken."""
    taken = free(scheduler, *names)
    taken.take()
    return taken


def keepers() -> list[threading.Thread]:
    """The threads that keep leases."""
    return [thread for thread in threading.enumerate() if thread.name == "leases"]


def test_a_request_is_made_while_the_lease_outlasts_it(caplog: pytest.LogCaptureFixture) -> None:
    """To the second; a request that begins later might be on its way when another worker begins."""
    scheduler = Scheduler()
    held = leases(scheduler, "a", "b")
    held.before_request()
    scheduler.now += SECONDS - REQUEST
    held.before_request()
    assert not held.is_set()
    scheduler.now += 0.001
    with pytest.raises(Stopped):
        held.before_request()
    assert held.is_set()
    assert held.lost == "the lease is lost: it could not be renewed for 20 s"
    assert caplog.messages == [f"{held.lost}; nothing more is written"]
    held.give_back()
    assert scheduler.held == {"a", "b"}  # until their time is over: somebody else may have them by now


def test_what_is_lost_stays_lost() -> None:
    """A worker that was paused and comes back does not write on."""
    scheduler = Scheduler()
    held = leases(scheduler, "a")
    scheduler.now += 1000
    assert held.is_set()
    held.renew()
    with pytest.raises(Stopped):
        held.before_request()


def test_renewing_makes_it_last() -> None:
    """From the moment of the question."""
    scheduler = Scheduler()
    held = leases(scheduler, "a")
    scheduler.now += 15
    held.look()
    scheduler.now += 15
    held.before_request()
    held.give_back()
    assert scheduler.held == set()


def test_a_lease_that_another_one_has_is_lost() -> None:
    """As after a pause of the whole machine, which no clock of its own shows."""
    scheduler = Scheduler()
    held = leases(scheduler, "a", "b")
    scheduler.others.add("b")
    held.look()
    assert held.lost == "the lease is lost: another one has it"
    with pytest.raises(Stopped):
        held.before_request()


def test_a_scheduler_that_does_not_answer_is_waited_for() -> None:
    """Until the lease may be over."""
    scheduler = Scheduler()
    held = leases(scheduler, "a")
    scheduler.is_gone = True
    with pytest.raises(ConnectionResetError):
        held.look()
    held.before_request()
    scheduler.now += 21
    with pytest.raises(Stopped):
        held.before_request()


def test_what_cannot_be_given_back_is_free_when_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    """The unit is done all the same; each is tried once."""
    caplog.set_level("INFO")
    scheduler = Scheduler()
    held_ones = leases(scheduler, "a", "b")
    scheduler.is_gone = True
    held_ones.give_back()
    assert [text.partition(" is free when its time is over: ")[0] for text in caplog.messages] == ["a", "b"]
    held_ones.give_back()
    assert scheduler.silences == 2


def test_the_daemons_wish_stops_but_forbids_no_request() -> None:
    """The batch in flight is finished, and what has arrived is asked for."""
    scheduler = Scheduler()
    held = leases(scheduler, "a")
    scheduler.is_asked_to_stop = True
    held.look()
    assert held.is_set()
    held.before_request()


def test_who_works_for_nobody_stops() -> None:
    """As after the end of the daemon; that is no stop that somebody asked for."""
    scheduler = Scheduler()
    held = leases(scheduler, "a")
    scheduler.unwanted = "the daemon is gone"
    held.look()
    assert (held.is_set(), held.lost, held.given_up) == (True, "", "the daemon is gone")


def test_the_next_writer_waits_for_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    """And renews meanwhile what it has. The log says it once."""
    scheduler = Scheduler("b")
    leases(scheduler, "b", "a").before_request()
    assert scheduler.held == {"a", "b"}
    assert caplog.messages == ["waiting for another writer: b is leased"]


def test_who_waits_can_be_stopped() -> None:
    """And leaves nothing behind."""
    scheduler = Scheduler("b")
    scheduler.is_asked_to_stop = True
    with pytest.raises(Stopped):
        leases(scheduler, "a", "b")
    assert scheduler.held == set()


def test_one_that_is_lost_while_another_is_waited_for() -> None:
    """Then nothing is begun."""
    scheduler = Scheduler("b")
    scheduler.steals = "a"
    with pytest.raises(LeaseLost):
        leases(scheduler, "a", "b")


# ---------------------------------------------------------------- while the work goes on


@pytest.mark.parametrize("is_stopping", [False, True])
def test_leases_are_kept_until_the_work_is_over(
    is_stopping: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also while it comes to its end, and after a scheduler has not answered for a while; then they are free."""
    caplog.set_level("INFO")
    monkeypatch.setattr(lease, "RENEW", 0.01 if is_stopping else 1000.0)
    monkeypatch.setattr(lease, "TICK", 1000.0 if is_stopping else 0.01)
    monkeypatch.setattr(lease, "PATIENCE", 0.01)
    scheduler = Scheduler()
    mine = free(scheduler, "a", "b")
    mine.requested = is_stopping
    with held(mine):
        assert scheduler.held == {"a", "b"}
        assert [thread.daemon for thread in keepers()] == [True]
        scheduler.now, scheduler.renewals = scheduler.now + 15, 0
        wait_until(lambda: scheduler.renewals > 2, "renewals", hang=20)
        scheduler.now += 15
        mine.before_request()
        scheduler.is_gone = True
        wait_until(lambda: scheduler.silences > 2, "the silence", hang=20)
        scheduler.is_gone, scheduler.renewals = False, 0
        wait_until(lambda: scheduler.renewals > 2, "renewals after the silence", hang=20)
        assert "the leases cannot be renewed now: gone" in caplog.text
    assert scheduler.held == set()
    wait_until(lambda: not keepers(), "the end of the thread", hang=20)


def test_leases_are_given_back_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker need not wait for them."""
    monkeypatch.setattr(lease, "TICK", 0.01)
    scheduler = Scheduler()
    with pytest.raises(KeyError), held(free(scheduler, "a")):
        raise KeyError
    assert scheduler.held == set()
    wait_until(lambda: not keepers(), "the end of the thread", hang=20)


def test_a_lease_that_is_lost_is_renewed_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is another one's."""
    monkeypatch.setattr(lease, "TICK", 0.01)
    scheduler = Scheduler()
    mine = free(scheduler, "a")
    with held(mine):
        scheduler.others.add("a")
        wait_until(lambda: not keepers(), "the end of the thread", hang=20)
        assert mine.lost == "the lease is lost: another one has it"
