"""What of both sides `verify` looks at, and what it says of what it could not look at, or not twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from checking import verify
from checking.progress import Progress
from checking.repair import compare_job
from checking.verdict import JobVerdict, Scope, conclusion
from checking.verify import Verifier
from config import Config
from influx_client import connect
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, job_config, write_job
from tests.support.proxy import Proxy, respond
from tests.support.servers import InfluxServer

pytestmark = pytest.mark.usefixtures("quick")

Sections = Mapping[str, Any]


def verifier_of(
    job: Path, scope: Scope | None = None, stopping: StopRequest | None = None, progress: Progress | None = None
) -> Verifier:
    """What `verify` uses for a job."""
    config, stopping = Config(job), stopping or StopRequest()
    source = connect(config.job.options, config.job.source, "source", stopping)
    destination = connect(config.job.options, config.job.destination, "destination", stopping)
    found = Verifier(config, source, destination, scope or Scope(), stopping)
    found.progress = progress or found.progress
    return found


def verified(pair: Pair, scope: Scope | None = None, sections: Sections | None = None) -> JobVerdict:
    """What it finds."""
    return verifier_of(write_job(pair.directory, pair.config(sections)), scope).verify()


def of(verdict: JobVerdict) -> dict[str, tuple[int, int, int]]:
    """Of each measurement, by its last name: values at the source, missing and extra ones."""
    return {m.name.rpartition(".")[2]: (m.source, m.missing, m.extra) for m in verdict.measurements}


def weekly(pair: Pair, count: int = 10, names: str = "m") -> None:
    """A point in each of so many shard groups, on both sides."""
    pair.write("\n".join(f"{name} v={i} {MONDAY + i * WEEK}" for i in range(count) for name in names))
    assert pair.backup().failures == ()


# ---------------------------------------------------------------- which times


def test_what_a_policy_may_have_given_up_is_compared_only_when_it_is_asked_for(pair: Pair) -> None:
    """An hour of a margin is left to the side that is quicker."""
    now = time.time_ns()
    lines = [f"m v={i} {now - i * DAY - 2 * HOUR}" for i in range(20)]
    pair.write("\n".join([*lines, f"m v=-1 {now - 7 * DAY + HOUR // 2}"]))
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 7d NAME "autogen"')
    pair.destination.write("\n".join(lines[:7]), pair.database)
    verdict = verified(pair)
    assert (verdict.all_problems, of(verdict)) == ((), {"m": (7, 0, 0)})
    assert of(verified(pair, Scope(start=now - 30 * DAY))) == {"m": (21, 14, 0)}


def test_a_job_with_a_range_is_compared_in_it(pair: Pair) -> None:
    """Unless other times are asked for; and a beginning after the end is no time at all."""
    weekly(pair)
    pair.destination.query("DELETE FROM m", db=pair.database)
    january = {"start_date": "2024-01-08", "end_date": "2024-01-29"}
    sections = {"options": {"backup_mode": "range", "range": january}}
    assert of(verified(pair, None, sections)) == {"m": (3, 3, 0)}
    assert of(verified(pair, Scope(start=MONDAY), sections)) == {"m": (4, 4, 0)}
    assert of(verified(pair, Scope(end=MONDAY + 9 * WEEK), sections)) == {"m": (8, 8, 0)}
    late = Scope(start=time.time_ns() + DAY)
    assert verified(pair, late).all_problems == ("nothing to compare",)


def test_with_fallback_days_what_the_destination_holds_is_compared_from_its_first_point_on(pair: Pair) -> None:
    """What is older than that, and nobody copied before, is not missing; what it never had is, from then on."""
    now = time.time_ns()
    lines = [f"{name} v={d} {now - d * DAY}" for name in ("old", "never") for d in range(1, 31)]
    pair.write("\n".join(lines))
    pair.destination.create_database(pair.database)
    pair.destination.write("\n".join(line for line in lines[:20] if " v=15 " not in line), pair.database)
    sections = {"options": {"incremental": {"fallback_days": 10}}}
    found = of(verified(pair, None, sections))
    assert found == {"never": (9, 9, 0), "old": (20, 1, 0)}


def test_a_job_of_all_databases_is_compared_in_all_of_them(tmp_path: Path) -> None:
    """One that cannot be looked at is named, and the others are compared."""
    with InfluxServer.start("lonely") as source, InfluxServer.start("copy") as destination:
        config = job_config(source, destination, [], {"source": {"suffix": "_copy"}})
        job = write_job(tmp_path, config)
        for name in ("one", "two"):
            source.create_database(name)
            source.write(f"m_{name} v=1 {MONDAY}", name)
            destination.create_database(f"{name}_copy")
        destination.write(f"m_two v=1 {MONDAY}", "two_copy")
        verdict = verifier_of(job).verify()
        assert (of(verdict), verdict.all_problems) == ({"m_one": (1, 1, 0), "m_two": (1, 0, 0)}, ())
        config["source"]["databases"] = [{"name": name} for name in ("one", "gone", "two")]
        verdict = verifier_of(write_job(tmp_path, config)).verify()
    assert of(verdict) == {"m_one": (1, 1, 0), "m_two": (1, 0, 0)}
    (problem,) = verdict.all_problems
    assert problem.startswith("database gone: ")


def test_windows_are_looked_at_some_at_a_time_and_all_of_them(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both times, so that a stop is heard; each difference is told by itself."""
    monkeypatch.setattr(verify, "BATCH", 3)
    weekly(pair)
    assert (verified(pair).notes, verified(pair, Scope(full=True)).notes) == ((), ())
    pair.destination.query("DELETE FROM m", db=pair.database)
    pair.destination.write("\n".join(f"m v={i} {MONDAY + i * WEEK + 1}" for i in range(10)), pair.database)
    for full in (False, True):
        (found,) = verified(pair, Scope(full=full)).measurements
        assert (found.windows, found.of, found.source, found.destination) == (10, 10, 10, 10)
        assert (found.missing, found.extra, len(found.differences)) == (10, 10, 10)


class Waits(StopRequest):
    """How long somebody has waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        """Not at all."""
        self.waits.append(seconds)
        return self.requested


def test_only_what_differs_is_waited_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write may be on its way; who is stopped waits for nothing."""
    monkeypatch.setattr(verify, "SETTLE", 3.0)
    weekly(pair, 2)
    job, stopping = write_job(pair.directory, pair.config()), Waits()
    assert not verifier_of(job, None, stopping).verify().differs
    assert stopping.waits == []
    pair.destination.query("DELETE FROM m", db=pair.database)
    progress = After(lambda: setattr(stopping, "requested", True), windows=1)
    assert verifier_of(job, None, stopping, progress).verify().missing == 2
    assert stopping.waits == []
    stopping.requested = False
    assert verifier_of(job, None, stopping).verify().missing == 2
    assert stopping.waits == [3.0]


# ---------------------------------------------------------------- what could not be looked at


class After(Progress):
    """The time is over after so many windows, or after so many were read."""

    def __init__(self, over: Callable[[], object], *, windows: int = -1, reads: int = -1) -> None:
        super().__init__()
        self._over, self._left = over, {"windows": windows, "reads": reads}

    def _count(self, what: str) -> None:
        self._left[what] -= 1
        if self._left[what] == 0:
            self._over()

    def done(self) -> None:
        """A window was looked at."""
        super().done()
        self._count("windows")

    def read(self, read: Counter[str]) -> None:
        """A window was read."""
        super().read(read)
        self._count("reads")


@pytest.mark.parametrize(("full", "when"), [(False, "windows"), (True, "windows"), (True, "reads")])
def test_when_the_time_is_over_what_was_compared_by_then_is_told(
    full: bool, when: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of how much there is; that is no problem: somebody asked for no more."""
    if when == "windows":
        monkeypatch.setattr(verify, "BATCH", 1)
    weekly(pair)
    one = {"options": {"parallel_workers": 1}}
    job = write_job(pair.directory, pair.config(one))

    def over() -> None:
        verifier.scope = Scope(full=full, seconds=0)

    verifier = verifier_of(job, Scope(full=full), progress=After(over, **{when: 4}))
    verdict = verifier.verify()
    (found,) = verdict.measurements
    assert (found.windows, found.of, found.source, found.destination) == (4, 10, 4, 4)
    assert (verdict.all_problems, conclusion(verdict)) == ((), "equal: 4 values (4 of 10 windows compared)")


@pytest.mark.parametrize("full", [False, True])
def test_what_nobody_answers_about_a_second_time_differs_as_it_did_at_first(full: bool, pair: Pair) -> None:
    """In bounds, and the reason is a problem of each measurement."""
    weekly(pair, names="mno")
    pair.destination.query(f"DELETE FROM m WHERE time = {MONDAY}", db=pair.database)  # noqa: S608
    pair.destination.write(f"n v=7 {MONDAY}", pair.database)
    with Proxy(pair.destination.url) as proxy:

        class BreaksInThePause(StopRequest):
            def wait(self, seconds: float) -> bool:
                if seconds >= 0:
                    proxy.inject(respond(503, b"out of order"), "query", count=None)
                return self.requested

        job = write_job(
            pair.directory, pair.config({"destination": {"url": proxy.url}, "options": {"retries": 0}})
        )
        verdict = verifier_of(job, Scope(full=full), BreaksInThePause()).verify()
    found = {m.name.rpartition(".")[2]: m for m in verdict.measurements}
    assert {name: (m.missing, m.different, m.at_least) for name, m in found.items()} == {
        "m": (1, 0, True),
        "n": (0, 1, True),
        "o": (0, 0, False),
    }
    assert {name: len(m.problems) for name, m in found.items()} == {"m": 1, "n": 1, "o": 0}
    assert "out of order" in verdict.all_problems[0]


def test_several_types_cannot_be_read_by_who_may_not_see_shard_groups(pair: Pair, tmp_path: Path) -> None:
    """On either side; fingerprints tell them apart all the same."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        for server in (guarded, pair.destination, pair.source):
            server.create_database(pair.database)
            server.write(f"m v=1i {MONDAY}\nm v=2.5 {MONDAY + WEEK}\nn v=1 {MONDAY}", pair.database)
        guarded.query(f'GRANT ALL ON "{pair.database}" TO reader')
        login = {"user": "reader", "password": "pw"}
        sides = [(guarded, pair.destination, "source"), (pair.source, guarded, "destination")]
        for source, destination, side in sides:
            other = Pair(source, destination, pair.database, tmp_path)
            verdict = verified(other, Scope(full=True), {side: login})
            (problem,) = verdict.all_problems
            assert problem == (
                f"{pair.database}.autogen.m: fields of several types, and the user may not see shard groups; "
                "use an admin"
            )
            assert {m.name.rpartition(".")[2]: m.word for m in verdict.measurements} == {
                "m": "NOT CHECKED",
                "n": "equal",
            }
            assert verified(other, None, {side: login}).all_problems == ()
            assert not verified(other).differs


def test_a_comparison_of_the_daemon_raises_nothing(pair: Pair, tmp_path: Path) -> None:
    """Servers that do not answer or are one and the same, and a job whose only destination is an archive."""
    weekly(pair, 2)
    assert (
        compare_job(Config(write_job(tmp_path, pair.config())), Scope(), StopRequest()).measurements[0].windows
        == 2
    )
    for section, said in (
        ({"source": {"url": "http://127.0.0.1:9"}}, "Connection refused"),
        ({"destination": {"url": pair.source.url.replace("127.0.0.1", "0.0.0.0")}}, "one and the same server"),  # noqa: S104
        ({"destination": {"url": "", "archive": str(tmp_path / "a")}}, "main.py archive verify proves"),
    ):
        config = pair.config({**section, "options": {"retries": 0}})
        config["destination"] = {key: value for key, value in config["destination"].items() if value}
        found = compare_job(Config(write_job(tmp_path, config)), Scope(), StopRequest())
        (problem,) = found.all_problems
        assert said in problem
        assert found.job == "job"
