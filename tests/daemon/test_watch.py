"""A worker that hangs ends itself, and always ends with its parent: real processes, hanging in a C library."""

import ctypes
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

import pytest

from basics.stopping import StopRequest
from daemon.watch import COMPUTING, HUNG, Watch, longest_silence
from logger_config import setup_logging

FORK = multiprocessing.get_context("fork")
Behaviour = Callable[[StopRequest], object]


def hang(_: StopRequest) -> None:
    """As inside a C library that lets other threads go on."""
    ctypes.CDLL(None).sleep(600)


def hang_with_all_threads(_: StopRequest) -> None:
    """As inside one that does not."""
    ctypes.PyDLL(None).sleep(600)


def work(stopping: StopRequest) -> None:
    """Ask whether to stop, now and then."""
    for _ in range(80):
        stopping.wait(0.1)


def watched(behaviour: Behaviour, limit: float) -> tuple[ForkProcess, Connection]:
    """A process with a watch, and the end of its lifeline that a parent keeps."""
    reader, writer = multiprocessing.Pipe(duplex=False)

    def target() -> None:
        writer.close()
        setup_logging("job")
        stopping = StopRequest()
        Watch(stopping, reader, limit, tick=0.2, grace=0.5).start()
        behaviour(stopping)

    process = FORK.Process(target=target)
    process.start()
    reader.close()
    return process, writer


@pytest.mark.parametrize(
    ("behaviour", "limit", "code"),
    # the system's alarm comes after twice the limit: the thread has so long to be first
    [(hang, 6, HUNG), (hang_with_all_threads, 1, -signal.SIGALRM)],
)
def test_a_process_that_hangs_ends_itself(
    behaviour: Behaviour, limit: float, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """By a thread of its own that says so, or, where no thread can go on, by the system."""
    process, _lifeline = watched(behaviour, limit)
    process.join(60)
    assert process.exitcode == code
    assert ("no sign of life" in capfd.readouterr().err) == (code == HUNG)


@pytest.mark.parametrize("behaviour", [hang, work])
def test_the_death_of_the_parent_ends_it(behaviour: Behaviour) -> None:
    """One that works stops by itself, one that hangs is ended, long before it counts as hanging."""
    process, lifeline = watched(behaviour, limit=1000)
    time.sleep(0.5)
    assert process.is_alive()
    lifeline.close()
    process.join(60)
    assert process.exitcode == (HUNG if behaviour is hang else 0)


def test_who_works_is_left_alone() -> None:
    """Whoever asks whether to stop is alive, however long that goes on."""
    process, _lifeline = watched(work, limit=6)  # the system's alarm comes after twice as long
    process.join(60)
    assert process.exitcode == 0


def test_a_worker_may_be_silent_for_as_long_as_all_limits_of_a_request_together() -> None:
    """And then for as long as it takes to compute something."""
    assert longest_silence(20) == 2 * 3 * 20 + COMPUTING
