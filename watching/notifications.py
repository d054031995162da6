"""Takes messages to people (Apprise) and pings to checks (healthchecks.io): a queue and a thread for each service.

Nothing here delays anything else, and a service that is down costs one warning.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

import requests

from basics.humanize import counted
from basics.sessions import PlainSession
from basics.times import MINUTE
from watching.digest import Calendar, asked_for, digest
from watching.events import Contact, Event, JobKnown, JobRemoved
from watching.messages import NOWHERE, Message, Place, Signal, Told, message, signals, together
from watching.monitor import Holder
from watching.state import JobState, State

logger = logging.getLogger(__name__)

PING_BODY: Final = 10_000  # characters; healthchecks.io keeps no more
MESSAGES_WAITING: Final = 50  # of one service that is down; older ones are dropped
PINGS_WAITING: Final = 4
FIRST_DELAY = 5.0  # seconds until the next attempt; doubles
LONGEST_DELAY = 600.0
GATHERED = 5.0  # seconds in which the same news of many jobs comes together
SETTLED = MINUTE  # after the start until a digest that was missed is made: jobs have to be known
PING_TIMEOUT: Final = 10.0
FOR_THE_END: Final = 0.2  # seconds that the monitor needs itself when it ends

Item = TypeVar("Item")


class NotDelivered(Exception):
    """The service did not take it; the text says why, and nothing of the service's URL."""


@dataclass
class _Service(Generic[Item]):
    """One service, what waits for it, and the thread that takes it there, in order."""

    label: str
    deliver: Callable[[Sequence[Item]], None]
    """Takes what goes together. Raises NotDelivered."""
    most: int
    batch: Callable[[Sequence[Item]], int] = lambda _: 1
    """How many of those that wait, oldest first, go together;"""
    gathers: float = 0.0
    """and how many seconds the first of them waits for others."""
    _changed: threading.Condition = field(default_factory=threading.Condition)  # guards what follows
    _waiting: deque[Item] = field(default_factory=deque)
    _thread: threading.Thread | None = None
    _deadline: float | None = None  # set when it is closed
    _down: bool = False
    _dropped: int = 0

    def put(self, item: Item) -> None:
        """Never waits; of too many the oldest are dropped."""
        with self._changed:
            self._waiting.append(item)
            if len(self._waiting) > self.most:
                self._waiting.popleft()
                self._dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notification", daemon=True)
                self._thread.start()
            self._changed.notify()

    def end_by(self, deadline: float) -> None:
        """Do not wait between attempts any more, and make none after this time (of the monotonic clock)."""
        with self._changed:
            self._deadline = deadline
            self._changed.notify()

    def join(self) -> None:
        """Wait for the last attempt, but not longer than until the deadline."""
        if self._thread is not None and self._deadline is not None:
            self._thread.join(max(0.0, self._deadline - time.monotonic()))
            if self._waiting and not self._down:
                logger.warning("%s did not take %s in time", self.label, counted(len(self._waiting), "message"))

    # The rest runs in the thread.

    def _run(self) -> None:
        delay = FIRST_DELAY
        while items := self._oldest():
            is_last_attempt = self._deadline is not None
            try:
                self.deliver(items)
            except NotDelivered as error:
                self._failed(str(error))
                if is_last_attempt:
                    return
                self._wait(delay)
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                delay = FIRST_DELAY
                self._delivered(items)

    def _oldest(self) -> Sequence[Item]:
        """The oldest, with those that go with it, as soon as there is one; none when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._deadline is not None)
            self._changed.wait_for(lambda: self._deadline is not None, self.gathers)
            late = self._deadline is not None and time.monotonic() >= self._deadline
            waiting = list(self._waiting)
            count = self.batch(waiting) if waiting and self.gathers else 1
            return waiting[:count] if not late else ()

    def _wait(self, seconds: float) -> None:
        """So long, or until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._deadline is not None, seconds)

    def _failed(self, reason: str) -> None:
        if not self._down:
            self._down = True
            text = "%s takes no messages (%s): at most %d wait until it does"
            logger.warning(text, self.label, reason, self.most)

    def _delivered(self, items: Sequence[Item]) -> None:
        with self._changed:
            for item in items:
                if self._waiting and self._waiting[0] is item:  # else it was dropped meanwhile
                    self._waiting.popleft()
            dropped, self._dropped = self._dropped, 0
        if self._down or dropped:
            self._down = False
            level = logging.WARNING if dropped else logging.INFO
            logger.log(level, "%s takes messages again; %d were dropped", self.label, dropped)


class Notifier:
    """An observer in the monitor: compares snapshots, and fills the queues of the services. Never waits for them.

    What is older than `born` (nanoseconds since 1970) was told by a monitor before this one, but for the last
    minute before, in which there may have been none.
    """

    def __init__(self, born: int, holder: Holder, place: Place = NOWHERE, *, calendar: Path | None = None) -> None:
        self._oldest, self._born = born - MINUTE, born
        self._calendar = Calendar(born, calendar)
        self._place = place
        self._holder = holder
        self._contacts: dict[str, Contact] = {}
        self._told: dict[str, Told] = {}
        self._messengers: dict[str, _Service[Message]] = {}
        self._pingers: dict[str, _Service[Signal]] = {}

    def see(self, event: Event, before: State, after: State) -> None:
        """Tell what the event has changed of its job."""
        if isinstance(event, JobKnown):
            self._contacts[event.job] = event.contact
        if isinstance(event, JobRemoved):
            self._told.pop(event.job, None)
            self._contacts.pop(event.job, None)
        if event.job in self._contacts:
            self._changed(before.jobs.get(event.job) or JobState(event.job), after.jobs[event.job], event.at)

    def look(self, state: State) -> None:
        """Tell what no event tells: of files that were never valid, and all of it once a day."""
        self._tell_invalid(state)
        now = time.time_ns()
        asked = asked_for(self._contacts, state.jobs) if now >= self._born + SETTLED else {}
        for url in self._calendar.due(asked, now):
            text = digest(state, asked[url][1], now, self._place)
            self._messenger(url, "options.notify.urls of several jobs").put(text)

    def _tell_invalid(self, state: State) -> None:
        """Tell everybody of a file that was never valid, so that nobody knows whom it would have told."""
        for job in state.failing if self._contacts else ():
            if job.name not in self._contacts and job.name not in self._told:
                self._told[job.name], found = message(
                    Told(), JobState(job.name), job, ("failure",), job.failing_since or 0, self._place
                )
                for url, key in self._everybody().items():
                    if found is not None and found.at >= self._oldest:
                        self._messenger(url, key).put(found)

    def _everybody(self) -> dict[str, str]:
        """The URLs of all jobs that are told of failures, each once, with the key that it stands at."""
        return {
            url: f"options.notify.urls[{number}] of job {name}"
            for name, contact in reversed(self._contacts.items())
            if "failure" in contact.on
            for number, url in enumerate(contact.urls)
        }

    def close(self) -> None:
        """Give what still waits one more attempt, and all of it together the time that the monitor has."""
        services: tuple[_Service[Message] | _Service[Signal], ...] = (
            *self._messengers.values(),
            *self._pingers.values(),
        )
        deadline = time.monotonic() + self._holder.end_within - FOR_THE_END
        for service in services:
            service.end_by(deadline)
        for service in services:
            service.join()

    def _changed(self, before: JobState, after: JobState, now: int) -> None:
        contact, told = self._contacts[after.name], self._told.get(after.name, Told())
        self._told[after.name], found = message(told, before, after, contact.on, now, self._place)
        if found is not None and found.at >= self._oldest:
            for number, url in enumerate(contact.urls):
                self._messenger(url, f"options.notify.urls[{number}] of job {after.name}").put(found)
        if contact.ping_url:
            for signal in signals(before, after):
                if signal.at >= self._oldest:
                    self._pinger(contact.ping_url, f"options.ping_url of job {after.name}").put(signal)

    def _messenger(self, url: str, key: str) -> _Service[Message]:
        if url not in self._messengers:
            label = f"the notification service {url.partition('://')[0].strip()}:// ({key})"
            self._messengers[url] = _Service(
                label, functools.partial(self._send, url), MESSAGES_WAITING, of_one_kind, GATHERED
            )
        return self._messengers[url]

    def _pinger(self, url: str, key: str) -> _Service[Signal]:
        if url not in self._pingers:
            label = f"the check to ping ({key})"
            self._pingers[url] = _Service(label, functools.partial(_ping, url), PINGS_WAITING)
        return self._pingers[url]

    def _send(self, url: str, items: Sequence[Message]) -> None:
        send_message(url, together(items, self._place))


def of_one_kind(waiting: Sequence[Message]) -> int:
    """How many of these, from the first on, tell the same of other jobs."""
    names = {waiting[0].job}
    for number, item in enumerate(waiting[1:], 1):
        if not item.kind or item.kind != waiting[0].kind or item.job in names:
            return number
        names.add(item.job)
    return len(waiting)


def send_message(url: str, item: Message) -> None:
    """Take it to the service, which takes as long as that does. Raises NotDelivered."""
    from basics import apprise_service  # noqa: PLC0415 -- heavy: only who has something to tell pays for it

    try:
        apprise_service.send(url, item.title, item.text, "failure" if item.occasion == "failure" else "success")
    except apprise_service.NotDelivered as error:
        raise NotDelivered(str(error)) from None


def _ping(url: str, signals: Sequence[Signal]) -> None:
    (signal,) = signals
    parts = urlsplit(url)
    target = parts._replace(path=parts.path.rstrip("/") + signal.ping).geturl()
    with PlainSession() as session:
        try:
            answer = session.post(
                target,
                data=signal.text[:PING_BODY].encode(),
                headers={"User-Agent": "influxdb-backup", "Content-Type": "text/plain; charset=utf-8"},
                timeout=PING_TIMEOUT,
                proxies=requests.utils.get_environ_proxies(target),  # as Apprise does: checks are on the internet
            )
        except requests.RequestException as error:
            raise NotDelivered(type(error).__name__) from None  # its text holds the URL
    if not 200 <= answer.status_code < 300:
        raise NotDelivered(f"HTTP {answer.status_code}")
