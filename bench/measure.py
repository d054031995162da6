"""What a run takes: time, CPU, memory, requests; and when the servers are idle, so that the next may begin."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from requests import get

from tests.support.servers import InfluxServer

ROOT = Path(__file__).parents[1]
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")

CALM = 0.05
"""Share of a core under which a process counts as idle: an influxd with hundreds of shards looks after them."""
CALM_FOR, LOOK_EVERY, PATIENCE = 1.0, 0.25, 90.0

Run = dict[str, float]
"""What one run took: seconds, cpu (seconds), peak and pss (bytes), queries, writes, servers (CPU seconds), and how
many cores were busy with something else meanwhile (others)."""


class BenchError(RuntimeError):
    """A measurement that is none: the tool failed, or both sides differ."""


def run_tool(*arguments: str | Path) -> Run:
    """`python main.py ...` with all its processes: seconds, CPU seconds, peak of the largest one.

    Raises BenchError, with the end of what it printed, when it fails.
    """
    with tempfile.TemporaryDirectory() as directory:
        found = Path(directory) / "usage.json"
        command = [sys.executable, "-m", "bench.peak", "--json", found, sys.executable, "main.py", *arguments]
        # Most people's Python keeps what it has compiled; where this one does not, starting would take longer.
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environ,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise BenchError(f"main.py ended with {done.returncode}:\n{done.stdout[-3000:]}")
        run: Run = json.loads(found.read_text())
    return run


@contextmanager
def watched(source: InfluxServer, destination: InfluxServer) -> Iterator[Run]:
    """Adds to the run that is made inside: requests to both servers, their CPU seconds; seconds, unless known."""
    run: Run = {}
    servers = (source, destination)
    before, cpu = sum(map(requests, servers), Counter()), sum(cpu_seconds(server.pid) for server in servers)
    begun, busy, own = time.monotonic(), machine_seconds(), time.process_time()
    yield run
    seconds = time.monotonic() - begun
    busy, own = machine_seconds() - busy, time.process_time() - own
    run["servers"] = sum(cpu_seconds(server.pid) for server in servers) - cpu
    run["others"] = max(0.0, busy - own - run["servers"] - run.get("cpu", 0.0)) / seconds
    run.setdefault("seconds", seconds)
    after = sum(map(requests, servers), Counter())
    run["queries"] = after["queryReq"] - before["queryReq"]
    run["writes"] = after["writeReq"] - before["writeReq"]


def requests(server: InfluxServer) -> Counter[str]:
    """What the server has counted of HTTP since its start."""
    return Counter(_statistics(server, "httpd"))


def compactions(server: InfluxServer) -> float:
    """How many compactions are going on or waiting."""
    found = _statistics(server, "tsm1_engine")
    return sum(number for name, number in found.items() if name.endswith(("CompactionsActive", "CompactionQueue")))


def _statistics(server: InfluxServer, module: str) -> Counter[str]:
    """What is shown without a query: one would be a reason for the tool to compare."""
    answer = get(f"{server.url}/debug/vars", timeout=60)
    found: Counter[str] = Counter()
    for entry in answer.json().values():
        if isinstance(entry, dict) and entry.get("name") == module:
            found.update(entry["values"])
    return found


def settle(*servers: InfluxServer) -> None:
    """Wait until no server is busy or compacting; not for ever, since nobody promises that it ends."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        settle_processes([server.pid for server in servers], until)
        if not any(map(compactions, servers)):
            return


def settle_processes(pids: Sequence[int], until: float) -> None:
    """Wait until the processes use next to no CPU for a while, or until that time has come."""
    calm = 0.0
    before = [cpu_seconds(pid) for pid in pids]
    while calm < CALM_FOR and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        after = [cpu_seconds(pid) for pid in pids]
        busy = any(b - a > CALM * LOOK_EVERY + 1.5 / CLOCK_TICKS for a, b in zip(before, after, strict=True))
        calm, before = (0.0 if busy else calm + LOOK_EVERY), after


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / CLOCK_TICKS


def machine_seconds() -> float:
    """What all processes of the machine together have used of its cores so far."""
    user, nice, system, _idle, _waiting, irq, softirq = Path("/proc/stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / CLOCK_TICKS


def proportional_set_size(pid: int) -> int:
    """Bytes of memory of a process, where what it shares with others counts in part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"no proportional set size of process {pid}")
