"""What the fault tests share: data, a copy that can be hit in its middle, and the verdict on what came of it.

The verdict is always the same: a run that says ok has made both sides equal, any other run says why, the next one
mends it, nothing is at the destination that the source never had, and no run ends in a traceback.
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Self

from tests.integration.daemon import Daemon, running, wait_until
from tests.integration.harness import MONDAY, Pair, run_main, write_job
from tests.support import waiting
from tests.support.proxy import Gate, Proxy, when
from tests.support.reader import Snapshot
from tests.support.servers import InfluxServer, ServerError

MINUTE = 60_000_000_000
MEASUREMENTS = ("m0", "m1", "m2")
HOSTS = ("a", "b")

Sections = Mapping[str, Any]


def slow(**options: object) -> Sections:
    """Many small queries, so that a copy of little data lasts long enough to be hit in its middle."""
    return {"options": {"days_of_pagination": 0.006, **options}}


MINUTES = 2000
"""How many minutes of data `load` writes: with `slow` a copy of about a second."""

POINTS_A_MINUTE = len(MEASUREMENTS) * len(HOSTS)


def lines(minutes: int = MINUTES, begin: int = MONDAY) -> str:
    """Points of several measurements and hosts, two fields each, one a minute."""
    return "\n".join(
        f'{m},host={h} v={minute}.5,s="{m} {h} {minute}" {begin + minute * MINUTE}'
        for minute in range(minutes)
        for m in MEASUREMENTS
        for h in HOSTS
    )


@contextmanager
def fresh(pair: Pair, number: int) -> Iterator[Pair]:
    """The same servers with a database of the round's own."""
    round_ = Pair(pair.source, pair.destination, f"{pair.database}_{number}", pair.directory / str(number))
    round_.directory.mkdir(parents=True)
    yield round_
    for server in (pair.source, pair.destination):  # after a failure they stay as they are
        server.drop_database(round_.database)


# ---------------------------------------------------------------- a run, and the verdict on it


@dataclass(frozen=True)
class Ended:
    """A run that is over: its exit code, and all that it printed."""

    code: int
    output: str

    def assert_failed(self, *reasons: str) -> None:
        """The exit code and the table say so, and every one of the reasons is printed."""
        assert self.code == 1, self
        assert "FAILED" in self.output, self
        missing = [reason for reason in reasons if reason not in self.output]
        assert not missing, f"not said: {missing}\n{self}"

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.output}"


def run(pair: Pair, sections: Sections | None = None, *, environ: Mapping[str, str] | None = None) -> Ended:
    """`python main.py` on the pair's job, from its start to its end."""
    job = write_job(pair.directory / "jobs", pair.config(sections))
    done = run_main("--config", job, environ=environ)
    return _ended(done.returncode, done.stderr + done.stdout)


def ended(running_tool: Daemon) -> Ended:
    """What became of a run in the background: waits for its end."""
    wait_until(lambda: running_tool.process.poll() is not None, "the end of the run", running_tool)
    return _ended(running_tool.process.returncode, running_tool.log)


def _ended(code: int, output: str) -> Ended:
    found = Ended(code, output)
    assert "Traceback" not in output, found
    return found


def assert_honest(pair: Pair, found: Ended, *reasons: str) -> None:
    """It said ok and both sides are equal, or it failed and said why."""
    if found.code == 0:
        assert "FAILED" not in found.output, found
        pair.assert_equal()
    else:
        found.assert_failed(*reasons)


def assert_mended(pair: Pair, sections: Sections | None = None) -> None:
    """One more run says ok, and both sides are equal. It runs in this process, which saves its start."""
    result = pair.backup(sections)
    assert result.outcome == "ok", result.failures
    pair.assert_equal()


# ---------------------------------------------------------------- the middle of a copy


@contextmanager
def copying(pair: Pair, sections: Sections | None = None) -> Iterator[Daemon]:
    """A run in the background, a slow one unless told otherwise."""
    jobs = pair.directory / "jobs"
    write_job(jobs, pair.config(slow() if sections is None else sections))
    with running(jobs, pair.directory, "--once") as tool:
        yield tool


def points_written(server: InfluxServer) -> int:
    """How many points the server has taken since its start: a counter, so that asking costs it nothing."""
    (series,) = server.query("SHOW STATS FOR 'write'")[0]["series"]
    return int(series["values"][0][series["columns"].index("pointReq")])


class Middle:
    """Waits for the middle of a copy, and proves that it is one: a proxy keeps the copy from its end.

    Made before the copy begins; `role` is the server that the proxy is in front of. The copy goes freely until the
    destination has taken more than the fault waits for. Then what it asks of that server is held until it is let
    go.
    """

    def __init__(
        self, pair: Pair, chance: random.Random, role: str = "destination", minutes: int = MINUTES
    ) -> None:
        self._pair, self._role = pair, role
        self._taken = points_written(pair.destination)
        self._share = chance.uniform(0.02, 0.5)
        self._points = int(self._share * minutes * POINTS_A_MINUTE)
        self._most = int(0.6 * minutes * POINTS_A_MINUTE)
        self._pause = chance.uniform(0, 0.05)
        self._gate = Gate()
        self._proxy = Proxy(getattr(pair, role).url)
        self._proxy.inject(when(self._is_late, self._gate), count=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.close()

    def of(self, sections: Sections) -> dict[str, Any]:
        """The sections of a job that goes by the proxy."""
        return {
            **sections,
            self._role: {**sections.get(self._role, {}), "url": self._proxy.url},
            "options": {**sections.get("options", {}), "timeout_client": waiting.HANG},
        }

    def wait(self, tool: Daemon) -> None:
        """Until the destination has taken a random part of what there is to copy."""
        waiting.wait_until(
            lambda: points_written(self._pair.destination) - self._taken > self._points,
            f"{self._share:.0%} of the copy",
            progress=lambda: (points_written(self._pair.destination), tool.log),
        )
        time.sleep(self._pause)
        assert tool.process.poll() is None, f"the copy was over before the fault\n{tool.log}"

    def let_go(self) -> None:
        """The fault has happened."""
        self._gate.open()

    def _is_late(self) -> bool:
        if self._gate.is_reached() or self._gate.is_open():
            return not self._gate.is_open()
        try:
            return points_written(self._pair.destination) - self._taken > self._most
        except (ServerError, HTTPException):  # it is what the fault has hit
            return False


def assert_partly_copied(pair: Pair, expected: Snapshot | None = None) -> None:
    """The destination has some of the source's values, not all, and no others."""
    source, found = pair.snapshots()
    expected = expected or source
    assert 0 < len(found) < len(expected), "the copy was not hit in its middle"
    assert_nothing_invented(found, expected)


def assert_nothing_invented(found: Snapshot, expected: Snapshot) -> None:
    """Every value that was found is one that the source has or had."""
    strange = sorted(found.points.items() - expected.points.items())
    assert not strange, f"{len(strange)} values that the source never had, such as {strange[:3]}"
