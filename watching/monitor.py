"""The monitor: one process beside the workers that hears what happens, and shows it. A copy never waits for it.

It receives events, keeps the state that they make, and hands each change to those who show it. It ends with the
parent. A `Keeper` in the parent starts it, and starts it again when it dies.
"""

import logging
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Protocol

from basics.boundary import error_boundary
from basics.processes import SIGNALS, Delays, call_itself, death, start
from basics.shortages import shortage
from logger_config import set_console
from watching.channel import Channel
from watching.events import DaemonEnds, Event, LogLine
from watching.history import History
from watching.progress import REDRAW_EVERY, Screen
from watching.restores import restores_news
from watching.state import State, applied
from watching.verdict_files import Verdicts

logger = logging.getLogger(__name__)

END_WITHIN = 2.0
"""Seconds that it gets to show what is left, where nobody says otherwise."""

LOOK_EVERY = 2.0
"""Seconds between two looks at what does not come as an event."""


class Observer(Protocol):
    """Somebody who is told of each event, in the monitor's main thread, and must return at once."""

    def see(self, event: Event, before: State, after: State) -> None:
        """`event` has made `after` of `before`."""

    def look(self, state: State) -> None:
        """Called every now and then, for what does not come as an event."""

    def close(self) -> None:
        """The monitor ends."""


@dataclass
class Holder:
    """The present state; other threads may read it at any time, since it is replaced as a whole."""

    state: State
    end_within: float = END_WITHIN
    """Seconds that are left once the monitor ends."""


@dataclass(frozen=True)
class Duties:
    """What the monitor of this daemon does. `observers` makes them, in its process: their imports are its own."""

    draws: bool = False
    """Whether there are live lines on the terminal, to which log lines then come through it."""
    listener: socket.socket | None = None
    """Where it may be asked at any time; the parent keeps it open for the next monitor, should this one die."""
    observers: Sequence[Callable[[Holder], Observer]] = ()
    verdicts: Path | None = None
    """The folder in which `main.py verify` leaves its results."""
    shard: str = ""
    """Which part of the jobs is this daemon's; empty: all."""
    history: Path | None = None
    """The file in which runs, days and verdicts are remembered."""

    @property
    def are_any(self) -> bool:
        """Whether it is needed even where no job wants anybody to be told."""
        return self.draws or self.listener is not None or self.history is not None


# ---------------------------------------------------------------- in the parent


@dataclass
class Keeper:
    """Starts the monitor, and starts it again with growing delays when it dies."""

    channel: Channel
    duties: Duties
    lifeline: tuple[Connection, Connection]
    started: int = field(default_factory=time.time_ns)
    process: ForkProcess | None = None
    _born: float = 0.0
    _restart_at: float = 0.0
    _delays: Delays = field(default_factory=Delays)

    def start(self) -> None:
        """Fork it: safe while this process has no other thread."""
        context = multiprocessing.get_context("fork")
        arguments = (self.channel, self.duties, self.lifeline, self.started)
        process = context.Process(target=monitor_process, args=arguments, name="monitor")
        try:
            start(process)
        except OSError as error:
            self._again(f"the monitor could not be started: {shortage(error) or error}", 0)
            return
        self.process, self._born = process, time.monotonic()
        self.channel.announce_listener()

    def look_after(self) -> None:
        """Notice its death, and start it again when it is time."""
        if self.process is not None and not self.process.is_alive():
            how, self.process = death(self.process), None
            self.channel.announce_silence()
            self._clear_terminal()
            self._again(f"the monitor died ({how})", time.monotonic() - self._born)
        if self.process is None and self._restart_at and time.monotonic() >= self._restart_at:
            self._restart_at = 0.0
            self.start()

    def _again(self, why: str, lived: float) -> None:
        delay = self._delays.after(lived)
        logger.warning("%s; starting it again in %g s; backups go on", why, delay)
        self._restart_at = time.monotonic() + delay

    def stop(self, within: float = END_WITHIN) -> None:
        """Let it show and tell what is left, and end it after so many seconds at the latest."""
        self._restart_at = 0.0
        if self.process is None:
            return
        with suppress(OSError):
            self.channel.send(DaemonEnds("", time.time_ns(), within))
        self.process.join(within)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            self._clear_terminal()
        self.process = None
        self.channel.announce_silence()
        while (event := self.channel.receive()) is not None:  # what it has not come to
            if isinstance(event, LogLine):
                sys.stderr.write(f"{event.text}\n")

    def _clear_terminal(self) -> None:
        """Take away the line on which a monitor was that could not do so, and show the cursor again."""
        if self.duties.draws:
            with suppress(OSError):
                sys.stderr.write("\r\x1b[2K\x1b[?25h")
                sys.stderr.flush()


# ---------------------------------------------------------------- the process


def monitor_process(
    channel: Channel, duties: Duties, lifeline: tuple[Connection, Connection], started: int
) -> None:
    """The target of the monitor's process, which ends when the parent says so, or when that has ended.

    `lifeline` is a pipe of which only the parent keeps the second end.
    """
    for number in SIGNALS:  # the parent alone decides, and tells by the channel
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    call_itself("monitor")
    lifeline[1].close()
    channel.sender.close()
    with error_boundary() as outcome:
        monitor = Monitor(channel, duties, started)
        try:
            while not monitor.is_over:
                ready = wait([channel.receiver.fileno(), lifeline[0]], monitor.patience)
                monitor.receive()
                monitor.show()
                monitor.is_over |= lifeline[0] in ready
        finally:
            monitor.close()
    if outcome.problem:
        raise SystemExit(1)


class Monitor:
    """Keeps the state and shows it."""

    def __init__(self, channel: Channel, duties: Duties, started: int) -> None:
        self.is_over = False
        self._channel = channel
        history = History(duties.history) if duties.history else None
        self._holder = Holder(
            State(started, shard=duties.shard, remembered=history.remembered() if history else {})
        )
        self._lines: list[str] = []
        self._screen = Screen(sys.stderr) if duties.draws else None
        if self._screen:
            set_console(route=self._lines.append)
        self._verdicts = Verdicts(duties.verdicts) if duties.verdicts else None
        self._observers = [make(self._holder) for make in duties.observers]
        if history:
            self._observers.append(history)
        self._next_drawing = self._next_look = 0.0

    @property
    def patience(self) -> float:
        """Seconds to wait for events at most."""
        is_moving = self._screen and any(job.run for job in self._holder.state.jobs.values())
        return REDRAW_EVERY if is_moving or self._lines else LOOK_EVERY

    def receive(self) -> None:
        """Take what has come, but no more than a moment's worth."""
        until = time.monotonic() + REDRAW_EVERY
        try:
            while time.monotonic() < until and (event := self._channel.receive()) is not None:
                self._take(event)
        except EOFError:
            self.is_over = True

    def _take(self, event: Event) -> None:
        if isinstance(event, LogLine):
            self._lines.append(event.text)
        elif isinstance(event, DaemonEnds):
            self._holder.end_within = event.within
            self.is_over = True
        else:
            before = self._holder.state
            self._holder.state = applied(before, event)
            for observer in self._observers:
                observer.see(event, before, self._holder.state)

    def show(self) -> None:
        """Draw, and look after what does not come as an event, when it is time."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            jobs = self._holder.state.jobs
            for event in (*(self._verdicts.news(jobs) if self._verdicts else ()), *restores_news(jobs)):
                self._take(event)
            for observer in self._observers:
                observer.look(self._holder.state)
        if self._screen and now >= self._next_drawing:
            self._next_drawing = now + REDRAW_EVERY
            self._draw(self._screen)

    def _draw(self, screen: Screen) -> None:
        lines = self._lines[:]
        del self._lines[: len(lines)]  # another thread may have added some
        try:
            screen.draw(self._holder.state, lines, time.time_ns())
        except OSError:  # the terminal is gone
            set_console()
            self._screen = None

    def close(self) -> None:
        """Show what is left, and take the live lines away."""
        if self._screen:
            self._draw(self._screen)
        if self._screen:
            with suppress(OSError):
                self._screen.close()
        for observer in self._observers:
            observer.close()
