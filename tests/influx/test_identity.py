"""Whether two addresses are one server, by what servers show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from influx.errors import AccessDenied, InfluxError, Overloaded, QueryRefused
from influx.identity import COUNTER, Process, RequestNumber, is_same, request_number


@dataclass
class Address:
    """Where a server answers, and what it shows: its process to administrators alone, a number to everybody."""

    number: Callable[[], RequestNumber | None]
    process: Process | None = None
    refusal: InfluxError = field(default_factory=lambda: AccessDenied("only administrators"))

    def get_process(self) -> Process:
        """As an administrator sees it."""
        if self.process is None:
            raise self.refusal
        return self.process

    def get_request_number(self) -> RequestNumber | None:
        """Of a request made now."""
        return self.number()


def counter(node: int = 1, count: int = 5) -> Callable[[], RequestNumber]:
    """Numbers of one process, of which others ask as well."""
    counts = iter(range(count, COUNTER * 2, 3))
    return lambda: RequestNumber(node, next(counts) % COUNTER)


def test_the_number_of_a_request_is_in_its_id() -> None:
    """In InfluxDB's own ids alone."""
    assert request_number("1204c0a0-ea01-11f1-8004-1e6d5e2279cb") == RequestNumber(0x1E6D5E2279CB, 4)
    assert request_number("1204c0a0-ea01-11f1-bfff-000000000000") == RequestNumber(0, COUNTER - 1)
    for other in (None, "", "mine", "9b2f1c1e-7b0a-4f6e-9a53-3c1b0d5e8f11", "0b9f9d2a6c1f4e1b8a52d3f0c7e4a911"):
        assert request_number(other) is None


def test_numbers_of_one_process_grow_and_begin_anew() -> None:
    """Another node is another process."""
    assert RequestNumber(1, 5).comes_before(RequestNumber(1, 6))
    assert RequestNumber(1, COUNTER - 1).comes_before(RequestNumber(1, 0))
    assert not RequestNumber(1, 5).comes_before(RequestNumber(1, 5))
    assert not RequestNumber(1, 6).comes_before(RequestNumber(1, 5))
    assert not RequestNumber(1, 5).comes_before(RequestNumber(2, 6))
    half = COUNTER // 2  # from there on it is more likely to have come before
    assert RequestNumber(1, 5).comes_before(RequestNumber(1, 5 + half - 1))
    assert not RequestNumber(1, 5).comes_before(RequestNumber(1, 5 + half))


def test_administrators_are_shown_the_process() -> None:
    """Numbers say nothing then."""
    one, other = Process("7", "t", "h"), Process("7", "u", "h")
    shared = counter()
    assert is_same(Address(shared, one), Address(counter(2), one))
    assert is_same(Address(shared, one), Address(shared, other)) is False


def test_everybody_else_sees_whether_numbers_go_on() -> None:
    """Of one process they grow, whichever address is asked; where one shows none, nothing is known."""
    for begin in (5, COUNTER - 9):
        shared = counter(1, begin)
        assert is_same(Address(shared), Address(shared)) is True
    assert is_same(Address(counter()), Address(counter())) is False
    assert is_same(Address(counter(1)), Address(counter(2))) is False
    assert is_same(Address(counter()), Address(lambda: None)) is None
    assert is_same(Address(lambda: None), Address(counter())) is None
    shared = counter()
    assert is_same(Address(shared, Process("7", "t", "h")), Address(shared)) is True
    unknown = Address(shared, refusal=QueryRefused("SHOW DIAGNOSTICS does not tell"))
    assert is_same(unknown, Address(shared)) is True


def test_a_server_that_is_too_busy_to_show_its_process_is_no_other() -> None:
    """Its numbers are not asked for instead."""
    busy = Address(counter(), refusal=Overloaded("HTTP 503"))
    with pytest.raises(Overloaded):
        is_same(busy, Address(counter(2)))


def test_a_server_that_does_not_answer_is_no_other() -> None:
    """The error is raised."""

    def fail() -> RequestNumber | None:
        raise Overloaded("HTTP 503")

    with pytest.raises(Overloaded):
        is_same(Address(fail), Address(counter()))
