"""Somebody who listens to a reporter, in the test's own process."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.waiting import wait_until
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
        wait_until(lambda: condition(self.listen()), "the job", progress=lambda: len(self.events), pause=0.01)
        return self.listen()
