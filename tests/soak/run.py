"""A daemon with five jobs while servers stop, workers die, files change and Loki comes and goes.

At the end source and destination must be equal, and memory flat. The log goes to --directory.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.daemon import Daemon, running
from tests.integration.harness import job_config, write_job
from tests.soak.loki import Loki
from tests.support.reader import difference, read_database
from tests.support.servers import InfluxServer, ServerError

JOBS = [f"job{n}" for n in range(1, 6)]
SECOND = 10**9


@dataclass
class Writer:
    """Writes points of the present to the source, one batch after the other, whatever happens to it."""

    server: InfluxServer
    lock: threading.Lock
    done: threading.Event = field(default_factory=threading.Event)
    points: int = 0

    def run(self) -> None:
        """Until `done`; a batch that fails is sent again before any later one."""
        chance = random.Random(1)
        while not self.done.wait(0.1):
            now = time.time_ns()
            for job in JOBS:
                lines = "\n".join(
                    f'm{m},host=h{h} v={chance.random()},n={now}i,s="{chance.random()}" {now}'
                    for m in range(3)
                    for h in range(4)
                )
                while not self.done.is_set():
                    try:
                        with self.lock:
                            self.server.write(lines, job)
                    except (ServerError, OSError):
                        time.sleep(0.2)
                        continue
                    self.points += 12
                    break


@dataclass
class Chaos:
    """The faults, one at a time."""

    daemon: Daemon
    source: InfluxServer
    destination: InfluxServer
    loki: Loki
    jobs: Path
    chance: random.Random
    counts: dict[str, int] = field(default_factory=dict)

    def once(self) -> None:
        """One random fault, and its end."""
        fault = self.chance.choice(
            [
                self._restart,
                self._restart,
                self._kill_server,
                self._pause,
                self._kill_worker,
                self._reload,
                self._loki,
            ]
        )
        name = fault.__name__.strip("_")
        self.counts[name] = self.counts.get(name, 0) + 1
        fault()

    def _server(self) -> InfluxServer:
        return self.chance.choice([self.source, self.destination])

    def _restart(self) -> None:
        server = self._server()
        server.stop()
        time.sleep(self.chance.uniform(0, 15))
        server.restart()

    def _kill_server(self) -> None:
        server = self._server()
        server.kill()
        time.sleep(self.chance.uniform(0, 5))
        server.restart()

    def _pause(self) -> None:
        server = self._server()
        server.pause()
        time.sleep(self.chance.uniform(0, 8))
        server.resume()

    def _kill_worker(self) -> None:
        workers = self.daemon.workers()
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(workers), signal.SIGKILL)

    def _reload(self) -> None:
        path = self.jobs / f"{self.chance.choice(JOBS)}.yaml"
        if self.chance.random() < 0.3:  # an invalid file for a while: the running version goes on
            good = path.read_text()
            path.write_text(good + "nonsense: 1\n")
            self.daemon.send(signal.SIGHUP)
            time.sleep(3)
            path.write_text(good)
        else:
            path.write_text(path.read_text() + f"# changed at {time.time()}\n")
        self.daemon.send(signal.SIGHUP)

    def _loki(self) -> None:
        self.loki.mood = self.chance.choice(["well", "hanging", "refusing"])


def memory(daemon: Daemon) -> int:
    """Resident megabytes of the daemon and its workers."""
    total = 0
    for pid in [daemon.process.pid, *daemon.workers()]:
        with suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return total // 2**20


def write_jobs(jobs: Path, source: InfluxServer, destination: InfluxServer, loki: Loki, logs: Path) -> None:
    """Five jobs that run every minute."""
    options = {
        "incremental": {"schedule": "* * * * *", "run_on_start": True},
        "initial_connection_retry_delay": 2,
        "log_directory": str(logs),
        "loki": {"enabled": True, "url": f"http://127.0.0.1:{loki.port}"},
    }
    for job in JOBS:
        source.create_database(job)
        write_job(jobs, job_config(source, destination, [job], {"options": options}), job)


def final_runs(daemon: Daemon) -> None:
    """Wait until every job has begun and ended a successful run from now on."""
    begin = len(daemon.log)
    until = time.monotonic() + 300
    while time.monotonic() < until:
        rest = daemon.log[begin:]
        ended = [job for job in JOBS if sum(f"[{job}] run ended" in line and line.endswith(": ok")
                                            for line in rest.splitlines()) >= 2]  # fmt: skip
        if len(ended) == len(JOBS):
            return
        time.sleep(1)
    raise SystemExit("the jobs did not come back within five minutes")


def soak(minutes: float, directory: Path, seed: int) -> int:
    """The whole thing; 0 when source and destination are equal at its end."""
    with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
        loki = Loki()
        jobs = directory / "jobs"
        write_jobs(jobs, source, destination, loki, directory / "logs")
        writer = Writer(source, threading.Lock())
        thread = threading.Thread(target=writer.run)
        with running(jobs, directory) as daemon:
            thread.start()
            chaos = Chaos(daemon, source, destination, loki, jobs, random.Random(seed))
            until, used = time.monotonic() + 60 * minutes, []
            while time.monotonic() < until:
                time.sleep(chaos.chance.uniform(1, 8))
                chaos.once()
                used.append(memory(daemon))
            loki.mood = "well"
            writer.done.set()
            thread.join()
            final_runs(daemon)
            code, seconds = daemon.stop()
        print(f"faults: {chaos.counts}; points written: {writer.points:,}; lines in Loki: {loki.lines:,}")
        thirds = [used[: len(used) // 3], used[-len(used) // 3 :]]
        print("memory of daemon and workers, MB: first third, last third:", *(sum(t) // len(t) for t in thirds))
        print(f"stopped with exit code {code} in {seconds:.1f} s; tracebacks: {daemon.log.count('Traceback')}")
        for job in JOBS:
            report = difference(read_database(source.url, job), read_database(destination.url, job))
            print(f"{job}: {report or 'equal'}")
            code = code or bool(report)
    return int(code)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.mkdtemp(prefix="soak-")))
    arguments = parser.parse_args()
    print(f"log: {arguments.directory}/daemon.log", flush=True)
    return soak(arguments.minutes, arguments.directory, arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
