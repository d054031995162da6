"""Leases: no request is made that might outlast one, whatever becomes of scheduler, worker or clock."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from basics.stopping import Stopped
from copying.distribution.lease import LeaseLost, Leases

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
            raise ConnectionResetError("gone")


def leases(scheduler: Scheduler, *names: str) -> Leases:
    """Those of a unit with these measurements, taken."""
    taken = Leases(scheduler, names, seconds=SECONDS, request=REQUEST, clock=scheduler.clock)
    taken.take()
    return taken


def test_a_request_is_made_while_the_lease_outlasts_it() -> None:
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


def test_the_next_writer_waits_for_the_one_before() -> None:
    """And renews meanwhile what it has."""
    scheduler = Scheduler("b")
    leases(scheduler, "b", "a").before_request()
    assert scheduler.held == {"a", "b"}


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
