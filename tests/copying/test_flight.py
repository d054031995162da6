"""Requests that overlap: how many, which ones, and what is told of them after an error."""

import itertools
import threading
from collections.abc import Iterator
from threading import BoundedSemaphore

import pytest

from basics.spans import Span
from copying import flight
from copying.flight import MOST, Flight, Flown, Landed
from copying.requests import Item, Reached, Request
from influx.errors import Unreachable
from influx.line_protocol import Body
from influx.written import Written
from tests.support.waiting import wait_until

WAIT = 300.0
"""Only a test that hangs takes so many seconds."""


def request(number: int, stretch: int | None = 1) -> Request:
    """A request whose number is how many points it has."""
    return Request(Span(0, 1), Body(b"", number, number), stretch)


class Server:
    """Each request waits until it is let go; then it is acknowledged in two parts, or fails after the first."""

    def __init__(self, *failing: int) -> None:
        self.begun: list[int] = []
        self._failing = failing
        self._change = threading.Condition()
        self._free: set[int] = set()

    def write(self, asked: Request) -> Iterator[Written]:
        """What a flight calls."""
        number = asked.body.points
        with self._change:
            self.begun.append(number)
            self._change.notify_all()
            assert self._change.wait_for(lambda: number in self._free, WAIT)
        yield Written(points=1)
        if number in self._failing:
            raise Unreachable(f"no answer to {number}")
        yield Written(points=number - 1)

    def release(self, *numbers: int) -> None:
        """Let these go, now or when they come."""
        with self._change:
            self._free.update(numbers)
            self._change.notify_all()

    def wait(self, *numbers: int) -> None:
        """Until exactly these have been begun."""
        with self._change:
            assert self._change.wait_for(lambda: len(self.begun) >= len(numbers), WAIT)
            assert sorted(self.begun) == sorted(numbers)


def flying(server: Server, extra: int = MOST - 1) -> Flight:
    """A flight to this server."""
    return Flight(server.write, BoundedSemaphore(extra))


def send(flight_: Flight, *items: Item) -> list[Landed]:
    """Begin all of them; what had to be done with before."""
    found = list[Landed]()
    for item in items:
        found += flight_.before(item)
        flight_.begin(item)
    return found


def numbers(landed: list[Landed]) -> list[int]:
    """Which requests these were, as far as they were acknowledged."""
    return [sum(part.points for part in one.parts) for one in landed if isinstance(one, Flown)]


def test_requests_of_one_stretch_overlap_and_are_told_in_their_order() -> None:
    """Whichever is done first."""
    server = Server()
    with flying(server) as one:
        assert send(one, request(1), request(2), request(3)) == []
        server.wait(1, 2, 3)
        server.release(3, 2, 1)
        assert numbers(list(one.rest())) == [1, 2, 3]


def test_no_more_than_so_many_are_on_their_way() -> None:
    """The next one waits for the oldest."""
    server = Server()
    with flying(server, extra=10) as one:
        send(one, *(request(n) for n in range(1, MOST + 1)))
        server.release(1)
        assert numbers(send(one, request(MOST + 1))) == [1]
        server.release(*range(2, MOST + 2))
        assert numbers(list(one.rest())) == list(range(2, MOST + 2))


@pytest.mark.parametrize("next_one", [request(3, 2), request(3, None)], ids=["another group", "alone"])
def test_the_next_stretch_waits_for_all_of_this_one(next_one: Request) -> None:
    """Nothing of it is begun before."""
    server = Server()
    with flying(server) as one:
        send(one, request(1), request(2))
        server.wait(1, 2)
        server.release(1, 2)
        assert numbers(send(one, next_one)) == [1, 2]
        server.wait(1, 2, 3)
        server.release(3)
        assert numbers(list(one.rest())) == [3]


def test_a_request_without_a_stretch_is_alone() -> None:
    """Two of them are not one stretch, and one of a stretch does not join it."""
    server = Server()
    server.release(1, 2, 3)
    with flying(server) as one:
        assert numbers(send(one, request(1, None), request(2, None), request(3))) == [1, 2]
        assert numbers(list(one.rest())) == [3]


def test_marks_wait_for_what_was_begun_before_them() -> None:
    """They tell how far everything has come, so they are told in their place."""
    server = Server()
    mark, refused = Reached(5), Written(expired=1)
    with flying(server) as one:
        assert send(one, request(1), mark, request(2), refused) == []
        server.release(1, 2)
        found = list(one.rest())
    assert found[1::2] == [mark, refused]
    assert numbers(found) == [1, 2]


def test_marks_with_nothing_before_them_are_told_at_once() -> None:
    """Before the next item."""
    with flying(Server()) as one:
        assert send(one, Reached(1), Reached(2)) == [Reached(1)]
        assert list(one.rest()) == [Reached(2)]


def test_after_an_error_everything_that_is_on_its_way_is_told_before_anything_begins() -> None:
    """What was acknowledged before the error counts; the caller gives up when it meets it."""
    server = Server(2)
    with flying(server) as one:
        send(one, request(1), request(2), request(3))
        server.release(2)
        wait_until(lambda: one.has_failed, "the error")
        server.release(1, 3)
        landed = list(itertools.islice(one.before(request(4)), 2))
        assert numbers(landed) == [1, 1]
        assert isinstance(landed[1], Flown)
        assert str(landed[1].error) == "no answer to 2"
        assert numbers(list(one.rest())) == [3]
    assert 4 not in server.begun


def test_the_places_that_measurements_share_come_back() -> None:
    """Without one a request waits until it is the only one of its measurement; failing does not lose any."""
    server, extra = Server(2), BoundedSemaphore(1)
    with Flight(server.write, extra) as one, Flight(server.write, extra) as other:
        assert send(one, request(1), request(2)) == []
        send(other, request(10))
        server.wait(1, 2, 10)
        server.release(10)
        assert numbers(send(other, request(11))) == [10]
        server.release(1, 2, 11)
        assert numbers(list(one.rest())) == [1, 1]
        assert numbers(list(other.rest())) == [11]
    assert extra.acquire(blocking=False)
    assert not extra.acquire(blocking=False)


def test_a_slow_server_gets_one_request_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would give up others that wait for their turn; one that is quick again gets more."""
    server = Server()
    server.release(1, 3)
    with flying(server) as one:
        monkeypatch.setattr(flight, "SLOW", -1.0)
        send(one, request(1))
        assert numbers(list(one.rest())) == [1]
        send(one, request(2))
        server.wait(1, 2)
        threading.Timer(0.2, server.release, [2]).start()
        assert numbers(send(one, request(3))) == [2]
        monkeypatch.setattr(flight, "SLOW", WAIT)
        assert numbers(list(one.rest())) == [3]
        send(one, request(4))
        server.wait(1, 2, 3, 4)
        assert send(one, request(5)) == []
        server.release(4, 5)
        assert numbers(list(one.rest())) == [4, 5]


def test_a_mistake_in_the_program_is_not_taken_for_an_error_of_a_request() -> None:
    """It is raised as it is."""

    def write(_: Request) -> Iterator[Written]:
        raise ZeroDivisionError

    with Flight(write, BoundedSemaphore(1)) as one:
        send(one, request(1))
        with pytest.raises(ZeroDivisionError):
            list(one.rest())
