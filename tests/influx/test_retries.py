"""Requests that are made again: which, how often, after which waits, and who is told."""

import logging

import pytest

from basics.stopping import StopRequest
from influx.errors import (
    AccessDenied,
    IncompleteAnswer,
    InfluxError,
    LostOnce,
    NotKept,
    Overloaded,
    QueryTooLarge,
    RequestTooLarge,
    TooManySeries,
    Unreachable,
)
from influx.retries import Retries


class Impatient(StopRequest):
    """Notes how long it is to wait, and does not; asks to stop after so many waits."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.waits: list[float] = []
        self._most = most

    def wait(self, seconds: float) -> bool:
        """Over at once."""
        self.waits.append(seconds)
        self.requested = len(self.waits) >= self._most
        return self.requested


class Heard:
    """What a listener is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def acknowledged(self) -> None:
        """A request with points was."""

    def retrying(self, trouble: str) -> None:
        """Of a failure."""
        self.said.append(trouble)

    def settled(self) -> None:
        """Of the end."""
        self.said.append("settled")


class Flaky:
    """A request that fails so often, then gives 7."""

    def __init__(self, failures: int, error: InfluxError) -> None:
        self.failures, self.error, self.made = failures, error, 0

    def __call__(self) -> int:
        """One attempt."""
        self.made += 1
        if self.made <= self.failures:
            raise self.error
        return 7


def test_waits_double_up_to_a_minute_and_are_spread() -> None:
    """The first is the delay, each up to a quarter of it longer; so clients do not come all at once."""
    patience, heard, request = Impatient(), Heard(), Flaky(200, Overloaded("HTTP 503"))
    assert Retries(200, 8.0, patience, heard).attempts("read m", request) == 7
    assert request.made == 201
    longer = [wait - least for wait, least in zip(patience.waits, (8, 16, 32, *[60] * 197), strict=True)]
    assert 0 <= min(longer) < 0.4
    assert 1.6 < max(longer) <= 2
    for number, (said, wait) in enumerate(zip(heard.said, patience.waits, strict=False), 1):
        assert said == f"read m: HTTP 503; retry {number} of 200 in {wait:.1f} s"
    assert heard.said[200:] == ["settled"]


@pytest.mark.parametrize(("most", "failures", "made"), [(0, 1, 1), (1, 2, 2), (3, 9, 4)])
def test_a_request_is_made_again_as_often_as_it_may_be(most: int, failures: int, made: int) -> None:
    """Then the last error is raised, which says what was being done, and how often it was tried if it was."""
    heard, request = Heard(), Flaky(failures, Unreachable("gone"))
    with pytest.raises(Unreachable) as caught:
        Retries(most, 1.0, Impatient(), heard).attempts("ping", request)
    assert request.made == made
    assert str(caught.value) == ("ping: gone" if made == 1 else f"ping: gone (tried {made} times)")
    assert caught.value.cause == "gone"
    assert heard.said[len(heard.said) - 1 :] == ["settled"] * (made > 1)


def test_a_request_that_succeeds_at_once_is_told_to_nobody() -> None:
    """There was no trouble."""
    heard = Heard()
    assert Retries(3, 1.0, Impatient(), heard).attempts("ping", Flaky(0, Unreachable("gone"))) == 7
    assert heard.said == []


def test_no_attempt_follows_a_stop() -> None:
    """Neither one that is asked for during a wait, nor one from before."""
    request = Flaky(9, Unreachable("gone"))
    with pytest.raises(Unreachable, match=r"tried 3 times"):
        Retries(9, 1.0, Impatient(2), Heard()).attempts("ping", request)
    stopped = Impatient()
    stopped.requested = True
    with pytest.raises(Unreachable, match=r"^ping: gone$"):
        Retries(9, 1.0, stopped, Heard()).attempts("ping", Flaky(9, Unreachable("gone")))
    assert stopped.waits == []


@pytest.mark.parametrize(
    ("error", "level", "ending"),
    [
        (Unreachable("x"), logging.WARNING, "x; retry"),
        (Overloaded("x"), logging.WARNING, "x; retry"),
        (IncompleteAnswer("x"), logging.WARNING, "x; retry"),
        (NotKept("x"), logging.WARNING, "x; writing it again; retry"),
        (LostOnce("x"), logging.INFO, "x; writing it again; retry"),
        (QueryTooLarge("x"), None, ""),
        (TooManySeries("x"), None, ""),
        (RequestTooLarge("x"), None, ""),
        (AccessDenied("x"), None, ""),
    ],
)
def test_only_what_may_pass_is_tried_again_and_told(
    error: InfluxError, level: int | None, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At its own level, and with what is done about it."""
    caplog.set_level(logging.DEBUG)
    request, retries = Flaky(1, error), Retries(1, 1.0, Impatient(), Heard())
    if level is None:
        with pytest.raises(type(error), match="doing: x"):
            retries.attempts("doing", request)
        assert caplog.records == []
    else:
        assert retries.attempts("doing", request) == 7
        (record,) = caplog.records
        assert (record.levelno, record.getMessage().partition(" 1 of 1")[0]) == (level, f"doing: {ending}")


def test_a_mistake_of_our_own_is_not_tried_again() -> None:
    """Nor reworded."""
    made = []

    def request() -> int:
        made.append(1)
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        Retries(3, 1.0, Impatient(), Heard()).attempts("doing", request)
    assert made == [1]
