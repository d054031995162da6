"""How tests wait: as long as something goes on, and no longer."""

from __future__ import annotations

import itertools
import time

import pytest

from tests.support.waiting import wait_until


def test_what_goes_on_has_all_the_time_it_needs() -> None:
    """Ten steps, each shorter than the patience, and all of them together longer."""
    steps, seen = itertools.count(), [0]

    def step() -> int:
        seen.append(next(steps))
        return seen[-1]

    begun = time.monotonic()
    wait_until(lambda: seen[-1] >= 10, "ten", progress=step, hang=0.5, pause=0.1)
    assert seen[-1] >= 10
    assert time.monotonic() - begun > 0.5, "it did not take longer than the patience"


def test_what_hangs_is_an_error_that_names_it_and_the_last_thing_seen() -> None:
    """After the patience, counted from the last change."""
    with pytest.raises(AssertionError, match=r"(?s)waited for the end, .* changed .*the last line"):
        wait_until(lambda: False, "the end", progress=lambda: "the last line", hang=0.1)


def test_what_holds_already_is_not_waited_for() -> None:
    """Not even with no patience at all."""
    wait_until(lambda: True, "nothing", hang=0)
    with pytest.raises(AssertionError, match="waited for something"):
        wait_until(lambda: False, "something", hang=0)
