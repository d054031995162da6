"""A process of a job, as its parent keeps it; and the signals that the parent obeys."""

import functools
import multiprocessing
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from types import FrameType

from basics.processes import fork_with_answer
from daemon.errand import worker_process
from daemon.job_file import JobFile
from daemon.task import Task
from daemon.watch import longest_silence
from watching.channel import Channel


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process, and the end of the pipe that its results come out of."""

    process: ForkProcess
    answer: Connection
    task: Task
    born: float

    @classmethod
    def start(
        cls,
        file: JobFile,
        channel: Channel,
        listener: socket.socket | None,
        others: Sequence[Connection] = (),
        *,
        task: Task,
        logs: bool,
    ) -> "Worker":
        """Start the job's process: a fork, which shares the memory of the libraries with this one and its likes.

        That is safe while this process has no other thread: what it had locked would stay locked in the child.
        The child gets the content that was checked, not the file, which may have changed since. What goes on it
        tells by the channel, not at the `listener`; with `logs` it logs its progress. What is open here of the
        `others` it closes. Raises OSError where it cannot be started.
        """
        process, receiver = fork_with_answer(
            worker_process,
            file.name,
            file.config.path,
            file.content,
            file.defaults,
            lifeline(),
            channel,
            listener,
            list(others),
            task,
            logs,
            longest_silence(file.config.job.options.timeout_client),
        )
        return cls(process, receiver, task, time.monotonic())


@functools.cache
def lifeline() -> tuple[Connection, Connection]:
    """A pipe whose second end only this process keeps: workers see by the first that it has ended."""
    return multiprocessing.Pipe(duplex=False)


class Signals:
    """Counts the signals that the parent obeys; the handlers do nothing else."""

    def __init__(self) -> None:
        self.stops = 0
        self.reloads = 0
        # a signal wakes the parent, which may be waiting for a second
        self._alarm, self._bell = socket.socketpair()
        for end in (self._alarm, self._bell):
            end.setblocking(False)  # noqa: FBT003 -- its own signature
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._reload)

    def wait(self, connections: Sequence[Connection], seconds: float) -> set[object]:
        """The connections from which something can be read; all at once when a signal comes."""
        ready = set[object](wait([*connections, self._alarm], seconds))
        with suppress(BlockingIOError):
            self._alarm.recv(1024)
        return ready

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reloads += 1
