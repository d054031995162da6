"""What the parent does with each process that it forks: signals held, a death in words, ever longer delays."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""For which each process has handlers of its own; they are held until it has set them."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 300.0
"""Seconds until a process that died is started again: the first, and the most it grows to by doubling."""

LONG_LIFE = 60.0
"""Seconds after which a death is taken for a new trouble, with the first delay again."""


def fork_with_answer(target: Callable[..., None], name: str, *arguments: object) -> tuple[ForkProcess, Connection]:
    """A process that runs `target`, whose first argument is the end of a pipe to answer by; and the other end.

    Raises OSError where it cannot be started.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(sender, *arguments), name=name)
    try:
        start(process)
    except OSError:
        receiver.close()
        raise
    finally:
        sender.close()
    return process, receiver


def start(process: ForkProcess) -> None:
    """Start a process. Raises OSError where that cannot be, and leaves nothing open then.

    `multiprocessing` would leave pipes open. This process has no other thread, so that what is opened next gets
    the lowest numbers that are free.
    """
    numbers = _lowest_free(4)
    try:
        with signals_held():  # in the child until it has handlers of its own: those of here are not for it
            process.start()
    except OSError:
        for number in numbers:
            with suppress(OSError):
                os.close(number)
        raise


def _lowest_free(count: int) -> list[int]:
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(count))
    finally:
        for number in opened:
            os.close(number)
    return opened


def call_itself(name: str) -> None:
    """The name of this process, for those who look at the processes; not every system has it."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


@contextmanager
def signals_held() -> Iterator[None]:
    """Signals that come meanwhile are delivered afterwards; a process forked meanwhile still holds them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def death(process: ForkProcess) -> str:
    """How a process ended, in words: `exit code 1`, `SIGKILL`."""
    process.join()
    code = process.exitcode or 0
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


@dataclass
class Delays:
    """How long to wait before a process is started again, death after death."""

    _next: float = FIRST_DELAY

    def after(self, lived: float) -> float:
        """The seconds to wait after a life of so many seconds."""
        delay = FIRST_DELAY if lived > LONG_LIFE else self._next
        self._next = min(2 * delay, LONGEST_DELAY)
        return delay
