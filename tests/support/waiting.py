"""Waits that end by progress: how long something takes depends on the machine, only what hangs never goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG = 300.0
"""Seconds without any change. Nothing but what hangs takes so long, however busy the machine is."""


def _nothing() -> object:
    return None


def wait_until(
    condition: Callable[[], object],
    what: str,
    *,
    progress: Callable[[], object] = _nothing,
    pause: float = 0.05,
    hang: float = HANG,
) -> None:
    """Until the condition holds.

    `progress` is what shows that things go on: a log, a counter. With each change of it the patience is whole
    again; an AssertionError tells of it when nothing has changed for so long.
    """
    seen, since = progress(), time.monotonic()
    while not condition():
        now = progress()
        if now != seen:
            seen, since = now, time.monotonic()
        waited = time.monotonic() - since
        assert waited < hang, f"waited for {what}, and nothing has changed for {waited:.0f} s:\n{seen}"
        time.sleep(pause)
