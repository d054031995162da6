"""The limits of a real server: the tool asks for less, waits, or fails and says which limit; it never copies less.

Every test proves that the limit was hit, and that the run after it was lifted makes both sides equal.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tests.faults.harness import Sections, assert_honest, assert_mended, copying, ended, fresh, run
from tests.faults.rounds import Rounds
from tests.integration.daemon import Daemon, wait_until
from tests.integration.harness import MONDAY, Pair
from tests.support.servers import InfluxServer, Settings

WIDE = range(4)
SECONDS = 3000
"""So many that each measurement is copied alone."""
FIELDS = range(10)


def wide() -> str:
    """Measurements of ten fields and two hosts, a point a second: answers and requests of some size."""
    return "\n".join(
        f"w{m},host={h} {','.join(f'f{k}={second}.{k}' for k in FIELDS)} {MONDAY + second * 10**9}"
        for m in WIDE
        for second in range(SECONDS)
        for h in "ab"
    )


PATIENT: Sections = {"options": {"retries": 30, "retry_delay": 0.05}}
HASTY: Sections = {"options": {"retries": 0}}


@dataclass(frozen=True)
class Limit:
    """A limit of one server, and the server's words when it is hit."""

    name: str
    role: str
    settings: Settings
    words: str
    sections: Sections = field(default_factory=dict)
    must_fit: bool = False
    """Whether the tool can live with it, and has to."""


LIMITS = [
    Limit(
        "query-timeout, too short", "source", {"coordinator.query-timeout": "1ms"}, "query-timeout limit exceeded"
    ),
    Limit(
        "max-concurrent-queries, patient",
        "source",
        {"coordinator.max-concurrent-queries": 1},
        "max-concurrent-queries limit exceeded",
        PATIENT,
        must_fit=True,
    ),
    Limit(
        "max-concurrent-queries, no retries",
        "source",
        {"coordinator.max-concurrent-queries": 1},
        "max-concurrent-queries limit exceeded",
        HASTY,
    ),
    Limit(
        "max-enqueued-write-limit, patient",
        "destination",
        {"http.max-concurrent-write-limit": 1, "http.max-enqueued-write-limit": 1},
        "request throttled, queue full",
        PATIENT,
        must_fit=True,
    ),
    Limit(
        "max-concurrent-write-limit, no retries",
        "destination",
        {
            "http.max-concurrent-write-limit": 1,
            "http.max-enqueued-write-limit": 9,
            "http.enqueued-write-timeout": 1_000_000,  # nanoseconds: not every version reads 1ms
        },
        "request throttled, exceeds timeout",
        HASTY,
    ),
    Limit(
        "cache-max-memory-size, patient",
        "destination",
        {"data.cache-max-memory-size": 2_000_000, "data.cache-snapshot-memory-size": 500_000},
        "cache-max-memory-size exceeded",
        PATIENT,
        must_fit=True,
    ),
    Limit(
        "cache-max-memory-size, too small",
        "destination",
        {"data.cache-max-memory-size": 20_000},
        "cache-max-memory-size exceeded",
    ),
]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_a_limit_of_a_server(own: Pair, rounds: Rounds, limit: Limit) -> None:
    """Hit, and then lifted."""
    for number in rounds.of(f"limit of the {limit.role}: {limit.name}", 5):
        # whether requests meet at a server that takes one at a time depends on the speed of the machine
        hit = any(_is_hit(own, limit, 100 * number + attempt) for attempt in range(20))
        assert hit, "the limit was never hit"


def _is_hit(own: Pair, limit: Limit, number: int) -> bool:
    server = getattr(own, limit.role)
    with fresh(own, number) as round_:
        round_.write(wide())
        server.restart(limit.settings)
        found = run(round_, limit.sections)
        server.restart({})
        assert_honest(round_, found, limit.words)
        assert found.code == 0 or not limit.must_fit, found
        assert_mended(round_)
        return limit.words in found.output


def test_max_row_limit(own: Pair, rounds: Rounds) -> None:
    """It cuts answers off, sometimes without a mark: but not those that the tool asks for."""
    for number in rounds.of("limit of the source: max-row-limit", 5):
        with fresh(own, number) as round_:
            round_.write(wide())
            own.source.restart({"http.max-row-limit": 100})
            cut = own.source.rows("SELECT f0 FROM w0", db=round_.database)
            assert len(cut) == 100 < SECONDS, "the limit is not in force"
            found = run(round_)
            own.source.restart({})
            assert found.code == 0, found
            round_.assert_equal()


def test_max_body_size(own: Pair, rounds: Rounds) -> None:
    """Requests that the destination finds too large are divided until they fit."""
    for number in rounds.of("limit of the destination: max-body-size", 5):
        with fresh(own, number) as round_:
            round_.write(wide())
            own.destination.restart({"http.max-body-size": 20_000})
            found = run(round_)
            refused = client_errors(own.destination)
            own.destination.restart({})
            assert refused > 0, f"the limit was not hit\n{found}"
            assert found.code == 0, found
            round_.assert_equal()


def client_errors(server: InfluxServer) -> int:
    """How many requests the server has refused since its start."""
    (series,) = server.query("SHOW STATS FOR 'httpd'")[0]["series"]
    return int(series["values"][0][series["columns"].index("clientError")])


LONG = [
    Limit("max-select-point", "source", {"coordinator.max-select-point": 1000}, "max-select-point limit"),
    Limit("query-timeout", "source", {"coordinator.query-timeout": "500ms"}, "query-timeout limit"),
]
"""Limits that the server looks at while a query goes on, once a second or after a time."""


@pytest.mark.parametrize("limit", LONG, ids=lambda limit: limit.name)
def test_a_limit_in_the_middle_of_an_answer(own: Pair, rounds: Rounds, limit: Limit) -> None:
    """The tool is frozen until the server has killed the query; then it asks for less."""
    for number in rounds.of(f"limit of the source: {limit.name}", 5):
        with fresh(own, number) as round_:
            for begin in range(0, LONG_ROWS, 5000):
                round_.write(long_strings(begin, begin + 5000))
            own.source.restart(limit.settings)
            with copying(round_, {}) as tool:
                while limit.words not in tool.log and tool.process.poll() is None:
                    if _is_reading(own.source):
                        with _frozen(tool):
                            wait_until(lambda: not _is_reading(own.source), "the server to kill the query")
                found = ended(tool)
            own.source.restart({})
            assert limit.words in found.output, f"the limit was not hit\n{found}"
            assert_honest(round_, found, limit.words)
            assert_mended(round_)


LONG_ROWS = 30_000


def long_strings(first: int, last: int) -> str:
    """Together more than what the buffers between two processes hold: a reader that stops stops the server."""
    return "\n".join(f'long s="{n} {"x" * 600}" {MONDAY + n * 10**9}' for n in range(first, last))


def _is_reading(server: InfluxServer) -> bool:
    running = server.records("SHOW QUERIES")
    return any("::field" in found["query"] and found["status"] == "running" for found in running)


@contextmanager
def _frozen(tool: Daemon) -> Iterator[None]:
    workers = tool.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    yield
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
