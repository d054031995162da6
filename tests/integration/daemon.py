"""A running `python main.py` as a test sees it: its log, its processes, its end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.harness import ROOT, write_job
from tests.support import waiting

IN_TIME = 30.0
"""Seconds in which a daemon that is asked to stop is gone: ten, as promised, and what a busy machine may add.

A daemon that does not keep its promise takes longer: it waits for what the test lets last a minute or more.
"""


class Daemon:
    """Started on a folder of jobs; `log` is what it has written to standard error so far."""

    def __init__(self, jobs: Path, directory: Path, *arguments: str, **environ: str) -> None:
        self._file = directory / "daemon.log"
        with self._file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "main.py", "--config", str(jobs), *arguments],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={**os.environ, **environ},
            )

    @property
    def log(self) -> str:
        """Everything printed so far."""
        return self._file.read_text()

    def wait_for(self, text: str, *, count: int = 1) -> None:
        """Until the log holds the text so many times."""
        wait_until(lambda: self.log.count(text) >= count, f"{text!r} x {count} in the log", self)

    def workers(self) -> list[int]:
        """The process ids of the workers: the parent has no other children while nobody watches."""
        return children(self.process.pid)

    def send(self, number: signal.Signals) -> None:
        """A signal to the parent."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send the signal and wait for the end: exit code, and how long it took."""
        begun = time.monotonic()
        self.send(number)
        code = self.process.wait(waiting.HANG)
        return code, time.monotonic() - begun


class Held:
    """Keeps the runs of jobs that have its `hook` before their copy begins, until it is let go."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "held"
        self.again()

    @property
    def hook(self) -> str:
        """For `options.hooks.before`: it ends by itself when the test's directory goes."""
        return f"sh -c 'while test -e {self._file}; do sleep 0.05; done'"

    def again(self) -> None:
        """From now on."""
        self._file.touch()

    def let_go(self) -> None:
        """They go on."""
        self._file.unlink()


class Runs:
    """A daemon with one job that runs when it is started; it can be made to run again."""

    def __init__(self, daemon: Daemon, jobs: Path, config: dict[str, Any], name: str) -> None:
        self._daemon, self._jobs, self._config, self._name, self._count = daemon, jobs, config, name, 1
        self.wait()

    def wait(self) -> None:
        """Until the last run has ended, and the job waits for its time."""
        self._daemon.wait_for("run ended", count=self._count)
        self._daemon.wait_for("next run", count=self._count)

    def again(self) -> None:
        """A changed file makes its job start anew."""
        self._count += 1
        self._config["options"]["parallel_workers"] = self._count
        write_job(self._jobs, self._config, self._name)
        self._daemon.send(signal.SIGHUP)
        self.wait()


def children(pid: int) -> list[int]:
    """The processes that this one has started and that still run."""
    processes = (entry for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [int(p.name) for p in processes if _parent(p) == pid]


def _parent(entry: Path) -> int:
    """Of a process that still runs, not one that only waits for being noticed."""
    try:
        state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else int(parent)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    return _parent(Path("/proc") / str(pid)) > 0


def wait_until(condition: Callable[[], bool], what: str, daemon: Daemon | None = None) -> None:
    """Until the condition holds; an AssertionError with the log when neither it nor the log changes."""
    waiting.wait_until(condition, what, progress=lambda: daemon.log if daemon else "")


@contextmanager
def running(jobs: Path, directory: Path, *arguments: str, **environ: str) -> Iterator[Daemon]:
    """A daemon that is gone afterwards, whatever happens."""
    daemon = Daemon(jobs, directory, *arguments, **environ)
    try:
        yield daemon
    finally:
        workers = daemon.workers()
        daemon.process.kill()
        daemon.process.wait()
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
