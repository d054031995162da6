"""Real processes of Dask: a scheduler, and workers that carry out units of ours."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.support import waiting
from tests.support.servers import death_signal, free_port

ROOT = Path(__file__).parents[2]
QUICK = {"DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_VALIDATION_INTERVAL": "500ms"}
"""A lease whose time is over is free at once."""


_BUSY = """
import sys, distributed
with distributed.Client(sys.argv[1]) as client:
    known = client.scheduler_info(n_workers=-1)["workers"]
    print(*(known[address]["name"] for address, keys in client.processing().items() if keys))
"""


class Process:
    """One of them, with its log."""

    def __init__(self, name: str, arguments: list[str], directory: Path, environ: Mapping[str, str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / f"{name}.log"
        with self._file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments],
                cwd=directory,
                stdout=log,
                stderr=log,
                env=dict(environ),
                preexec_fn=death_signal(),  # noqa: PLW1509 - calls nothing but prctl, from the main thread only
            )

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._file.read_text(errors="replace")

    def wait_for(self, pattern: str) -> None:
        """Until its log holds the pattern."""
        waiting.wait_until(
            lambda: re.search(pattern, self.log) or self.process.poll() is not None,
            pattern,
            progress=lambda: self.log,
        )
        assert re.search(pattern, self.log), self.log

    def send(self, number: signal.Signals) -> None:
        """A signal to it."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it like a power cut."""
        self.process.kill()
        self.process.wait()


class Cluster:
    """A scheduler; workers are started one by one. All are gone at the end.

    `environ` are variables of Dask; where they name certificates, the address is tls://.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._more = dict(environ or {})
        tls = any("TLS" in name for name in self._more)
        self._count = 0
        self.workers: list[Process] = []
        self.address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{free_port()}"
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> Process:
        """A new one at the same address."""
        place = ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
        protocol = ["--protocol", self.address.partition(":")[0]]
        arguments = ["scheduler", *place, *protocol, "--no-dashboard"]
        self.scheduler = Process("scheduler", arguments, self._directory, self._environ())
        self.scheduler.wait_for(r"Scheduler at:")
        return self.scheduler

    def _environ(self, root: Path = ROOT, **environ: str) -> dict[str, str]:
        return {**os.environ, **QUICK, **self._more, "PYTHONPATH": str(root), **environ}

    def start_worker(
        self, *servers: str, root: Path = ROOT, preload: bool = True, nanny: bool = False, **environ: str
    ) -> Process:
        """A worker that may write to these servers (URLs, or host:port), with the source code at `root`."""
        self._count += 1
        name = f"w{self._count}"
        arguments = ["worker", self.address, "--nthreads", "1", "--no-dashboard", "--name", name]
        arguments += ["--local-directory", str(self._directory / name)]
        names = [server.rpartition("//")[2] for server in servers]
        arguments += ["--resources", " ".join(f"{name}=1" for name in names)] if names else []
        arguments += ["--preload", "copying.distribution.preload"] if preload else []
        arguments += [] if nanny else ["--no-nanny"]
        worker = Process(name, arguments, self._directory, self._environ(root, **environ))
        self.workers.append(worker)
        return worker

    def wait_for_workers(self) -> None:
        """Until all that were started are known to the scheduler."""
        for worker in self.workers:
            worker.wait_for(r"Registered to:")

    def busy(self) -> list[Process]:
        """The workers that carry out a unit. Asked by another process: Dask's client stays in one for ever."""
        command = [sys.executable, "-c", _BUSY, self.address]
        told = subprocess.run(command, env=self._environ(), capture_output=True, text=True, check=True).stdout
        return [self.workers[int(name.removeprefix("w")) - 1] for name in told.split()]

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self.workers, self.scheduler):
            process.send(signal.SIGCONT)
            process.kill()
