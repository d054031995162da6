"""Whether two addresses are one server, by what servers show."""

from __future__ import annotations

from influx.identity import COUNTER, RequestNumber, request_number


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
