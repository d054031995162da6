"""Somebody who listens to a reporter, in the test's own process."""

from __future__ import annotations

import time
from collections.abc import Callable

from watching.channel import Channel
from watching.events import Event
from watching.state import JobState, State, applied


class Heard:
    """Everything that a reporter has told, as the monitor takes it in."""

    def __init__(self, job: str = "a") -> None:
        self._job = job
        self.channel = Channel()
        self.channel.announce_listener()
        self.state = State()
        self.events: list[Event] = []

    def listen(self) -> JobState:
        """The job after all that was told so far."""
        while (event := self.channel.receive()) is not None:
            self.state = applied(self.state, event)
            self.events.append(event)
        return self.state.jobs.get(self._job) or JobState(self._job)

    def wait_for(self, condition: Callable[[JobState], object]) -> JobState:
        """Until the job is so."""
        until = time.monotonic() + 20
        while not condition(job := self.listen()):
            assert time.monotonic() < until, job
            time.sleep(0.01)
        return job
