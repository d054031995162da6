"""Source and destination behind fault proxies: data that show every loss, runs, and the exact comparison.

The comparing reader talks to the servers themselves, never through a proxy.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from copying.results import JobResult
from main import run_worker
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, job_config, snapshot, write_job
from tests.support.proxy import Fault, Proxy
from tests.support.reader import Snapshot, difference
from tests.support.servers import InfluxServer

READ, ASK, WRITE = "reading", "asking the destination", "writing"
"""Where a fault is: between the tool and the source; at queries to the destination; at writes to it."""

STRINGS = ("", " ", "two\nlines", 'a "quote"', "back\\slash", "Zürich 🚀 日本", "null", "a,b=c d")
INTEGERS = (-(2**63), 2**63 - 1, 0, 2**53 + 1, -1)


def lines() -> list[bytes]:
    """Three weeks, that is three shard groups: several series at each time, every type, nulls, awkward names."""
    return [line.encode() for line in (*_mixed(), *_changing(), *_awkward())]


def _mixed() -> Iterator[str]:
    for week, step, series in itertools.product(range(3), range(10), range(3)):
        n = 30 * week + 3 * step + series
        fields = {
            "f": repr((n - 40) * 1.1e-3),
            "i": f"{INTEGERS[n % 5]}i",
            "s": _string(STRINGS[n % 8]),
            "b": str(n % 2 == 0).lower(),
        }
        present = [f"{name}={value}" for j, (name, value) in enumerate(fields.items()) if n % 7 != j]
        host = ("a", "b\\ c\\,d\\=e", "ü")[series]
        yield f"mixed,host={host},n={series} {','.join(present)} {MONDAY + week * WEEK + step * HOUR + step}"


def _changing() -> Iterator[str]:
    """A field with another type in each shard."""
    for week, value in enumerate(("1.5", "9007199254740993i", '"text"')):
        for step in range(6):
            yield f"changing,n={step % 2} v={value},w={step}i {MONDAY + week * WEEK + step // 2 * DAY}"


def _plain() -> Iterator[str]:
    """Nothing but numbers and short names, which are read as CSV; two series at each time, ten shards of a day."""
    for n in range(120):
        value = f"f={n * 1.1e-3!r}," if n % 3 else ""
        moment = MONDAY + n // 2 * 4 * HOUR + n // 2
        yield f"plain,host=h{n % 2} {value}i={INTEGERS[n % 5]}i,b={n % 4 == 0} {moment}"


def _awkward() -> Iterator[str]:
    """Names that have to be escaped."""
    for n in range(10):
        time = MONDAY + n // 2
        yield rf'we"ird\,\ m,t\ ag=x\ {n % 2} f\ 1={n}i,\"q\"={n}.5 {time}'


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Network:
    """Two servers, a proxy in front of each, and a database on the source, whose whole content is `expected`."""

    def __init__(self, source: InfluxServer, destination: InfluxServer, database: str, directory: Path) -> None:
        self.source, self.destination, self.database, self.directory = source, destination, database, directory
        self.expected = Snapshot({})
        self.reading, self.writing = Proxy(source.url), Proxy(destination.url)
        self.counts: dict[tuple[str, bool], int] = {}

    def load(self) -> None:
        """Fill the source, and count the requests of a run without faults."""
        self.source.create_database(self.database)
        self.source.query(f'CREATE RETENTION POLICY "days" ON "{self.database}" DURATION INF REPLICATION 1 '
                          "SHARD DURATION 1d")  # fmt: skip
        self.source.write(b"\n".join(lines()), self.database)
        self.source.write("\n".join(_plain()), self.database, "days")
        self.expected = snapshot(self.source, self.database)
        for half in (False, True):
            self.start_afresh(half=half)
            assert self.backup().failures == ()
            self.assert_equal()
            counted = (self.reading.seen["query"], self.writing.seen["query"], self.writing.seen["write"])
            self.counts |= zip(((READ, half), (ASK, half), (WRITE, half)), counted, strict=True)

    def start_afresh(self, *, half: bool = False) -> None:
        """No faults, and an empty destination, or one that holds the older `half` of the data."""
        self.heal()
        self.destination.drop_database(self.database)
        if half:
            self.destination.create_database(self.database)
            older = [line for line in lines() if int(line.rsplit(b" ", 1)[1]) < MONDAY + WEEK + DAY]
            self.destination.write(b"\n".join(older), self.database)

    def heal(self) -> None:
        """No faults any more."""
        self.reading.heal()
        self.writing.heal()

    def inject(self, where: str, **fault: Any) -> Fault:  # noqa: ANN401 -- as Proxy.inject has them
        """A fault at READ, ASK or WRITE."""
        proxy = self.reading if where == READ else self.writing
        return proxy.inject(endpoint="write" if where == WRITE else "query", **fault)

    def config(self, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A job through the proxies, one measurement at a time so that the n-th request is always the same."""
        quick = {"retries": 3, "retry_delay": 0.001, "timeout_client": 20, "parallel_workers": 1}
        sections = {
            "source": {"url": self.reading.url},
            "destination": {"url": self.writing.url},
            "options": {**quick, **(options or {})},
        }
        return job_config(self.source, self.destination, [self.database], sections)

    def backup(self, **options: Any) -> JobResult:  # noqa: ANN401 -- as the YAML has them
        """Run the job in this process."""
        return run_worker(write_job(self.directory, self.config(options)))

    def found(self) -> Snapshot:
        """All that the destination holds."""
        self.destination.create_database(self.database)  # a run that could ask nothing has not created it
        return snapshot(self.destination, self.database)

    def assert_equal(self) -> None:
        """The destination holds what the source holds, value by value."""
        report = difference(self.expected, self.found(), names=("source", "destination"))
        assert not report, report

    def assert_honest(self, result: JobResult) -> None:
        """A run that says "ok" has copied everything; any run has copied only what is in the source."""
        found = self.found()
        assert found.points.items() <= self.expected.points.items()
        if result.succeeded:
            report = difference(self.expected, found, names=("source", "destination"))
            assert not report, report
        assert not any(
            re.match(r"unexpected \w+: ", failure) for failure in result.failures
        )  # a bug, with a traceback

    def assert_recovers(self) -> None:
        """Without faults the next run makes both equal."""
        self.heal()
        assert self.backup().failures == ()
        self.assert_equal()

    def close(self) -> None:
        """End the proxies."""
        self.reading.close()
        self.writing.close()


@contextmanager
def network_of(
    source: InfluxServer, destination: InfluxServer, database: str, directory: Path
) -> Iterator[Network]:
    """A loaded network, closed at the end."""
    network = Network(source, destination, database, directory)
    try:
        network.load()
        yield network
    finally:
        network.close()
