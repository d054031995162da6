"""Log lines on their way to Grafana Loki: a queue, and a thread that takes them there. A log call never waits."""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import requests
from logging_loki import LokiHandler
from logging_loki.emitter import LokiEmitterV1

from basics.sessions import PlainSession, innermost
from basics.times import SECOND
from settings.keys import Loki

logger = logging.getLogger(__name__)

LOKI_QUEUE = 5_000  # lines that wait for Loki at most; further ones are dropped
LOKI_BATCH: Final = 200  # lines in one request
LOKI_LINE: Final = 8_000  # characters of one line; a full batch stays below Loki's limit of 4 MiB
LOKI_LABELS: Final = 15  # that a line may have; Loki refuses more
LOKI_TIMEOUT = 5.0  # seconds without a byte until a request has failed
LOKI_RETRY = 1.0  # seconds until the next attempt; doubles
LOKI_LONGEST_RETRY = 30.0
LOKI_FLUSH = 2.0  # seconds at the end for what still waits

_BAD_LINES: Final = frozenset({400, 413, 422})  # answers that mean: these lines, whenever they come


class _Line(NamedTuple):
    """A line on its way to Loki."""

    level: str
    logger: str
    time: int  # nanoseconds
    text: str


class _Refused(Exception):
    """Loki answered something other than 204."""

    def __init__(self, answer: requests.Response) -> None:
        text = answer.content[:200].decode(errors="replace").strip()
        super().__init__(f"HTTP {answer.status_code}{': ' if text else ''}{text}")
        self.for_good = answer.status_code in _BAD_LINES


class _LokiEmitter(LokiEmitterV1):  # type: ignore[misc]  # the package ships no types
    """The package's emitter, but many lines per request, a timeout, each line's own time, few labels."""

    session_class = PlainSession

    def push(self, lines: Sequence[_Line], timeout: float) -> None:
        """Deliver all of them. Raises requests.RequestException or _Refused."""
        streams: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for line in lines:
            streams.setdefault((line.level, line.logger), []).append((str(line.time), line.text))
        body = [
            {"stream": {**self.tags, "level": level, "logger": name}, "values": values}
            for (level, name), values in streams.items()
        ]
        answer = self.session.post(self.url, json={"streams": body}, timeout=timeout)
        if answer.status_code != self.success_response_code:
            raise _Refused(answer)


class _LokiQueue:
    """Lines that wait for Loki, and the thread that takes them there, in order. Putting a line in never waits."""

    def __init__(self, emitter: _LokiEmitter) -> None:
        self._emitter = emitter
        self._changed = threading.Condition()  # guards the next four
        self._lines: deque[_Line] = deque()  # a line leaves it only when Loki has it, so it bounds all of them
        self._dropped = 0
        self._latest: dict[tuple[str, str], int] = {}
        self._deadline: float | None = None  # set when it is closed
        self._down = False
        self.thread = threading.Thread(target=self._run, name="loki", daemon=True)
        self.thread.start()

    def __call__(self, record: logging.LogRecord, text: str) -> None:
        """Put a line in, or count it as dropped."""
        with self._changed:
            if len(self._lines) >= LOKI_QUEUE:
                self._dropped += 1
                return
            level = record.levelname.lower()
            self._lines.append(_Line(level, record.name, self._time(level, record), text[:LOKI_LINE]))
            self._changed.notify()

    def _time(self, level: str, record: logging.LogRecord) -> int:
        """The record's own time. Where threads overtake each other, right after the one before it: Loki takes
        equal lines of one time for one, and used to refuse earlier ones. A clock that was set back is believed.
        """
        own = int(record.created * SECOND)
        latest = self._latest.get((level, record.name), 0)
        if latest - SECOND < own <= latest:
            own = latest + 1
        self._latest[level, record.name] = own
        return own

    def close(self) -> None:
        """Give the thread a short time for what still waits."""
        with self._changed:
            if self._deadline is not None:
                return
            self._deadline = time.monotonic() + LOKI_FLUSH
            self._changed.notify()
        self.thread.join(LOKI_FLUSH)
        with self._changed:
            lost = len(self._lines) + self._dropped
        if lost and not self._down:
            logger.warning("%d log lines did not reach Loki at %s in time", lost, self._emitter.url)

    # The rest runs in the thread.

    def _run(self) -> None:
        while (lines := self._oldest()) and self._deliver(lines):
            pass
        self._emitter.close()

    def _oldest(self) -> list[_Line]:
        """The oldest lines, as soon as there are any; none when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._deadline is not None)
            return list(itertools.islice(self._lines, LOKI_BATCH)) if self._time_left() > 0 else []

    def _time_left(self) -> float:
        return LOKI_TIMEOUT if self._deadline is None else min(LOKI_TIMEOUT, self._deadline - time.monotonic())

    def _deliver(self, lines: Sequence[_Line]) -> bool:
        """Send them until they are taken, or refused for good. False when the queue is closed before that.

        The first failure is not told: it may only have been a connection that was idle for too long.
        """
        delay = 0.0
        while (timeout := self._time_left()) > 0:
            try:
                self._emitter.push(lines, timeout)
            except (requests.RequestException, _Refused) as error:
                if isinstance(error, _Refused) and error.for_good:
                    self._warn(_reason(error))
                    self._remove(lines, taken=False)
                    return True
                if delay:
                    self._warn(_reason(error))
            else:
                self._remove(lines, taken=True)
                return True
            if self._closes_within(delay):
                return False
            delay = min(max(LOKI_RETRY, 2 * delay), LOKI_LONGEST_RETRY)
        return False

    def _closes_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._deadline is not None, seconds)

    def _remove(self, lines: Sequence[_Line], *, taken: bool) -> None:
        """Loki has them, or never will."""
        with self._changed:
            for _ in lines:
                self._lines.popleft()
            if not taken:
                self._dropped += len(lines)
                return
            dropped, caught_up = self._dropped, not self._lines
            if caught_up:
                self._dropped = 0
        if not caught_up and dropped:
            self._warn("too slow")
        elif caught_up and (self._down or dropped):
            self._down = False
            level = logging.WARNING if dropped else logging.INFO
            logger.log(level, "Loki at %s takes log lines again; %d were dropped", self._emitter.url, dropped)

    def _warn(self, reason: str) -> None:
        if not self._down:
            self._down = True
            text = "Loki at %s does not take log lines (%s): until it does, %d wait and further ones are dropped"
            logger.warning(text, self._emitter.url, reason, LOKI_QUEUE)


def _reason(error: BaseException) -> str:
    error = innermost(error)
    return str(error) or type(error).__name__


class QueueingHandler(LokiHandler):  # type: ignore[misc]  # the package ships no types
    """The package's handler, with the queue between it and the network."""

    emitter: _LokiQueue

    def __init__(self, url: str, tags: Mapping[str, str]) -> None:
        LokiHandler.__init__(self, url, version="1")
        self.emitter = _LokiQueue(_LokiEmitter(url, dict(tags)))
        self.addFilter(self._is_from_others)

    def _is_from_others(self, record: logging.LogRecord) -> bool:
        """Loki does not get what getting it there causes."""
        return record.thread != self.emitter.thread.ident

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's own name
        """A record that cannot be formatted; the network's failures do not come here."""
        logging.Handler.handleError(self, record)

    def close(self) -> None:
        """Wait for a short time until Loki has what was logged."""
        self.emitter.close()
        super().close()


def open_loki(loki: Loki, job: str) -> QueueingHandler:
    """The handler that takes a job's lines there."""
    tags = {"job": job} | {name: value for name, value in loki.tags.items() if value}
    kept = dict(itertools.islice(tags.items(), LOKI_LABELS - len(("level", "logger"))))
    if left_out := tags.keys() - kept.keys():
        names = ", ".join(sorted(left_out))
        logger.warning("Loki takes %d labels, with job, level and logger; left out: %s", LOKI_LABELS, names)
    return QueueingHandler(loki.push_url, kept)
