"""Stopping: a request to stop is noticed at once, even when a signal handler makes it."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import pytest

from basics.stopping import StopRequest

LONG = 120.0
"""Seconds of a wait that is ended early, on the busiest machine, too."""


def test_nothing_is_requested_at_first() -> None:
    """A new run goes on until somebody asks it to stop."""
    stop = StopRequest()
    assert not stop.is_set()
    stop.requested = True
    assert stop.is_set()


@pytest.fixture
def sleepless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sleeps fails."""

    def sleep(seconds: float) -> None:
        pytest.fail(f"slept for {seconds} s")

    monkeypatch.setattr(time, "sleep", sleep)


@pytest.mark.usefixtures("sleepless")
@pytest.mark.parametrize("seconds", [0, -1, 0.0])
def test_waiting_for_no_time_returns_at_once(seconds: float) -> None:
    """A delay of zero or less is none."""
    assert StopRequest().wait(seconds) is False


def test_waiting_without_a_request_takes_the_whole_time() -> None:
    """A retry is not made early, and the answer says that nobody asked to stop."""
    begun = time.monotonic()
    assert StopRequest().wait(0.25) is False
    assert time.monotonic() - begun >= 0.25


@pytest.mark.usefixtures("sleepless")
def test_waiting_after_a_request_returns_at_once() -> None:
    """Nobody waits who is to stop."""
    stop = StopRequest()
    stop.requested = True
    assert stop.wait(60) is True


def test_a_request_from_another_thread_ends_the_wait() -> None:
    """Soon, however long the wait was to be."""
    stop = StopRequest()
    timer = threading.Timer(0.1, lambda: setattr(stop, "requested", True))
    begun = time.monotonic()
    timer.start()
    assert stop.wait(LONG) is True
    assert 0.05 < time.monotonic() - begun < LONG / 2
    timer.join()


def test_a_request_from_a_signal_handler_ends_the_wait() -> None:
    """The handler interrupts the very wait that it ends, which would deadlock a `threading.Event`."""
    stop = StopRequest()

    def request(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of a handler
        stop.requested = True

    before = signal.signal(signal.SIGALRM, request)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    begun = time.monotonic()
    try:
        assert stop.wait(LONG) is True
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < LONG / 2
