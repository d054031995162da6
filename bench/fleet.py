"""Five hundred jobs: while they wait for their time, and when that comes to all of them at once."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from bench import data
from bench.cases import Options, Pair
from bench.measure import BenchError, Run, cpu_seconds, proportional_set_size, watched
from bench.report import Record
from tests.integration.daemon import Daemon, children, running
from tests.integration.harness import write_job
from tests.support.servers import InfluxServer

WAITING, AT_ONCE, AGAIN = "waiting for their time", "due at once", "due at once, nothing new"
IDLE = 10.0
PATIENCE = 1200.0


@dataclass(frozen=True)
class Fleet:
    """Its numbers are those of all processes of the tool together."""

    name: str = "fleet"
    jobs: int = 500

    def measure(self, options: Options) -> Iterator[Record]:
        """Each once."""
        rows = data.devops(0.001)
        count = self.jobs // 10 if options.quick else self.jobs
        with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
            pair = Pair(source, destination, options.directory)
            pair.load(rows)
            for arm in (WAITING, AT_ONCE, AGAIN):
                folder = options.directory / arm.replace(" ", "-")
                for number in range(count):
                    times = {"schedule": "0 0 29 2 *", "run_on_start": arm != WAITING}
                    config = pair.job(rows.name, incremental=times)
                    config["source"]["databases"][0]["destination"] = f"fleet_{number:03d}"
                    write_job(folder, config, f"job{number:03d}")
                with watched(source, destination) as run:
                    run.update(
                        self._idle(folder, options, count)
                        if arm == WAITING
                        else self._runs(folder, options, count)
                    )
                options.say(f"fleet: {arm}: {run['seconds']:.1f} s, {run['pss'] / 1e6:.0f} MB")
                yield Record(self.name, 1, arm, 0, 0, (run,))

    def _idle(self, jobs: Path, options: Options, count: int) -> Run:
        with running(jobs, options.directory, "--http", "127.0.0.1:0") as daemon:
            run: Run = {"seconds": _until(daemon, "next run at", count)}
            time.sleep(5)
            run["pss"] = _memory(daemon)
            before = _cpu(daemon)
            time.sleep(IDLE)
            run["cpu"] = _cpu(daemon) - before
            (url,) = re.findall(r"status page at (http://[^/]+)", daemon.log)
            for name, path in (("page", "/"), ("metrics", "/metrics")):
                begun = time.monotonic()
                requests.get(url + path, timeout=60).raise_for_status()
                run[name] = time.monotonic() - begun
            (jobs / "broken.yaml").write_text("source: [")
            begun = time.monotonic()
            daemon.send(signal.SIGHUP)
            while "broken.yaml" not in daemon.log:
                time.sleep(0.01)
            run["SIGHUP"] = time.monotonic() - begun
            daemon.stop()
        return run

    def _runs(self, jobs: Path, options: Options, count: int) -> Run:
        with running(jobs, options.directory) as daemon:
            most, begun = 0, time.monotonic()
            while (ended := daemon.log.count("run ended")) < count:
                if "FAILED" in daemon.log or time.monotonic() - begun > PATIENCE:
                    raise BenchError(f"{ended} of {count} runs have ended:\n{daemon.log[-3000:]}")
                most = max(most, _memory(daemon))
                time.sleep(1)
            seconds = time.monotonic() - begun
            daemon.stop()
        return {"seconds": seconds, "pss": most}


def _until(daemon: Daemon, text: str, count: int) -> float:
    begun = time.monotonic()
    while daemon.log.count(text) < count:
        if time.monotonic() - begun > PATIENCE:
            raise BenchError(f"{text!r} came {daemon.log.count(text)} times:\n{daemon.log[-3000:]}")
        time.sleep(0.2)
    return time.monotonic() - begun


def _processes(daemon: Daemon) -> list[int]:
    return [daemon.process.pid, *children(daemon.process.pid)]


def _memory(daemon: Daemon) -> int:
    total = 0
    for pid in _processes(daemon):
        with suppress(OSError, BenchError):  # it has ended
            total += proportional_set_size(pid)
    return total


def _cpu(daemon: Daemon) -> float:
    return sum(map(cpu_seconds, _processes(daemon)))


FLEET = Fleet()
