"""What is measured against what.

A case has arms, which run by turns on the same two fresh servers: the tool's copy, the reference, more of them. A
target is a ratio of two arms or a number of one; whether it is met is told, and never asserted.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench import data
from bench.data import DataSet
from bench.measure import BenchError, Run, run_tool, settle, watched
from bench.report import REFERENCE_ARM, Record, Results, Target
from tests.integration.harness import job_config, write_job
from tests.support.proxy import Proxy, delay
from tests.support.reader import digest_database, digest_difference
from tests.support.servers import InfluxServer, Settings, quoted

COPY, INTO = "copy", REFERENCE_ARM
STILL, NEW = "nothing new", "15 minutes new"
WITHOUT_GAPS, DENSE, ONE, AGAIN = "copy without gaps", "copy of one, dense", "copy of one", "copy, nothing new"
NEAR, FAR = "copy, proxy", "copy, proxy, 20 ms each way"
LARGE = ("text", "sparse", "wide", "series")
REFERENCE = "reference"
"""The database into which SELECT INTO copies."""
STATEMENTS = 100
HOURS = 3600.0
MINUTE = 60 * data.SECOND
QUARTER = 15 * MINUTE
SETTINGS: Settings = {"coordinator.write-timeout": "300s", "data.cache-max-memory-size": 4 * 2**30}
"""So that neither side is ever told to wait: what is measured is the work."""
QUICK = 0.1
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """Two servers, and a folder for the files of jobs."""

    source: InfluxServer
    destination: InfluxServer
    directory: Path

    @property
    def servers(self) -> tuple[InfluxServer, InfluxServer]:
        """Both."""
        return self.source, self.destination

    def load(self, rows: DataSet) -> None:
        """Write a data set to the source."""
        self.source.create_database(rows.name)
        for batch in rows.batches():
            self.source.write(batch, rows.name)

    def load_more(self, rows: DataSet) -> None:
        """Write more of a set whose database is there, as an agent does: without a question."""
        for batch in rows.batches():
            self.source.write(batch, rows.name)

    def job(self, database: str, **options: object) -> dict[str, Any]:
        """The configuration of a job that copies the database, with the tool's defaults."""
        config = job_config(self.source, self.destination, [database])
        config["options"] = {"backup_mode": "incremental", "quarantine_directory": str(self.directory), **options}
        return config

    def assert_equal(self, rows: DataSet) -> None:
        """Both sides hold the set, value by value. Raises BenchError."""
        spawn = multiprocessing.get_context("spawn")  # this process has threads, and stays small
        with ProcessPoolExecutor(2, mp_context=spawn) as pool:
            sides = [pool.submit(digest_database, server.url, rows.name) for server in self.servers]
            expected, found = (side.result() for side in sides)
        difference = digest_difference(expected, found)
        if difference:
            raise BenchError(f"{rows.name}: source and destination differ:\n{difference}")
        held = sum(digest.values for digest in found.values())
        if held != rows.values:
            raise BenchError(f"{rows.name}: {rows.values} values expected, {held} found")


# ---- arms


class Arm(Protocol):
    """Something that can be done to a data set again and again."""

    @property
    def name(self) -> str:
        """What it is called in the table."""

    @property
    def rows(self) -> DataSet:
        """The set that it is about."""

    def prepare(self, pair: Pair) -> None:
        """Make it possible to run (again)."""

    def run(self, pair: Pair) -> Run:
        """Do it, measured."""


@dataclass(frozen=True)
class Copy:
    """`main.py --once` into an empty destination, or into one that has everything already (`again`)."""

    rows: DataSet
    name: str = COPY
    again: bool = False
    latency: float | None = None
    """Seconds each way of a proxy before each server; no proxy when None."""

    def prepare(self, pair: Pair) -> None:
        """Empty the destination, or fill it."""
        if self.again:
            for _ in range(3):  # all is copied; all is compared; all is known
                self.run(pair)
        else:
            pair.destination.drop_database(self.rows.name)

    def run(self, pair: Pair) -> Run:
        """Copy."""
        config = pair.job(self.rows.name)
        with ExitStack() as stack:
            if self.latency is not None:
                for side in ("source", "destination"):
                    proxy = stack.enter_context(Proxy(config[side]["url"]))
                    proxy.inject(delay(self.latency, self.latency), count=None)
                    config[side]["url"] = proxy.url
            path = write_job(pair.directory, config)
            with watched(*pair.servers) as run:
                run.update(run_tool("--once", "--config", path))
        return run


@dataclass(frozen=True)
class SelectInto:
    """The server's own copy into another database of the same server, one statement for each measurement.

    One statement with a pattern would give all measurements the same field types; and where types change, there is
    a statement for each range of time, so that this copy is as exact as the tool's.
    """

    rows: DataSet
    name: str = INTO

    def prepare(self, pair: Pair) -> None:
        """Empty the database that it copies into."""
        pair.source.drop_database(REFERENCE)
        pair.source.create_database(REFERENCE)

    def run(self, pair: Pair) -> Run:
        """Copy."""
        measurements = [row[0] for row in pair.source.rows("SHOW MEASUREMENTS", db=self.rows.name)]
        statements = list(into_statements(self.rows, measurements))
        written = 0
        with watched(*pair.servers) as run:
            for first in range(0, len(statements), STATEMENTS):
                part = ";".join(statements[first : first + STATEMENTS])
                written += sum(row[1] for row in pair.source.rows(part, timeout=HOURS))
        if written != self.rows.rows:
            raise BenchError(f"{self.rows.name}: SELECT INTO wrote {written} of {self.rows.rows} rows")
        return run


def into_statements(rows: DataSet, measurements: Sequence[str]) -> Iterator[str]:
    """The statements that copy the set into the database REFERENCE."""
    ranges = [f" WHERE time >= {begin} AND time < {end}" for begin, end in rows.windows] or [""]
    for measurement in measurements:
        target = f"{quoted(REFERENCE)}.autogen.{quoted(measurement)}"
        source = f"{quoted(rows.name)}.autogen.{quoted(measurement)}"
        for where in ranges:
            yield f"SELECT *::field INTO {target} FROM {source}{where} GROUP BY *"  # noqa: S608 - quoted


# ---- cases


class Case(Protocol):
    """Something to measure, under a name."""

    @property
    def name(self) -> str:
        """What `--case` calls it."""

    def measure(self, options: "Options") -> Iterator[Record]:
        """Measure; a record for each arm and size."""


@dataclass(frozen=True)
class Options:
    """How thoroughly."""

    directory: Path
    quick: bool = False
    repeat: int | None = None
    say: Say = print

    def repeats(self, usual: int) -> int:
        """How often to run something that is usually run so often."""
        return self.repeat or (1 if self.quick else usual)


@dataclass(frozen=True)
class Copies:
    """Arms on data sets, in one or more sizes: `sizes` says how often each is run.

    Size 1 is what the targets are about; `--quick` makes it a tenth and leaves out what is not `quick`.
    """

    name: str
    arms: Callable[[float], Sequence[Arm]]
    sizes: Mapping[float, int] = field(default_factory=lambda: {0.3: 1, 1: 3})
    quick: Sequence[float] = (1,)

    def measure(self, options: Options) -> Iterator[Record]:
        """The arms by turns, on fresh servers for each size."""
        for size, usual in self.sizes.items():
            if size in self.quick or not options.quick:
                arms = self.arms(size * (QUICK if options.quick else 1))
                repeats = options.repeats(usual) if size == 1 else usual
                yield from self._measure(size, arms, repeats, options)

    def _measure(self, size: float, arms: Sequence[Arm], repeats: int, options: Options) -> Iterator[Record]:
        runs: dict[str, list[Run]] = {arm.name: [] for arm in arms}
        with (
            InfluxServer.start("source", settings=SETTINGS) as source,
            InfluxServer.start("destination", settings=SETTINGS) as destination,
        ):
            pair = Pair(source, destination, options.directory)
            for rows in {arm.rows.name: arm.rows for arm in arms}.values():
                options.say(f"{self.name} x {size:g}: loading {rows.rows:,} rows of {rows.name}")
                pair.load(rows)
            compared: set[str] = set()
            for turn in range(repeats):
                for arm in arms[:: -1 if turn % 2 else 1]:  # who comes first changes: neither always has it warm
                    arm.prepare(pair)
                    settle(*pair.servers)
                    run = arm.run(pair)
                    runs[arm.name].append(run)
                    options.say(f"{self.name} x {size:g}: {arm.name} {turn + 1}/{repeats}: {run['seconds']:.2f} s")
                    if isinstance(arm, Copy) and arm.rows.name not in compared:
                        compared.add(arm.rows.name)
                        pair.assert_equal(arm.rows)
        for arm in arms:
            yield Record(self.name, size, arm.name, arm.rows.rows, arm.rows.values, tuple(runs[arm.name]))


@dataclass(frozen=True)
class Steady:
    """What the tool does most of its life: a run every quarter of an hour, on data that end now.

    `make` is given a size, the time of the first row and the minutes that the rows last; None: as long as usual.
    """

    name: str
    make: Callable[[float, int, float | None], DataSet]
    sizes: Sequence[float] = (1,)

    def measure(self, options: Options) -> Iterator[Record]:
        """Runs with nothing new and with some minutes, by turns, once all that was there before is proved."""
        for size in self.sizes:
            yield from self._measure(size, options.repeats(3), options)

    def _measure(self, size: float, repeats: int, options: Options) -> Iterator[Record]:
        scale = size * (QUICK if options.quick else 1)
        with (
            InfluxServer.start("source", settings=SETTINGS) as source,
            InfluxServer.start("destination", settings=SETTINGS) as destination,
        ):
            pair = Pair(source, destination, options.directory)
            length = _last_time(self.make(scale, 0, None))
            end = time.time_ns() - (repeats + 1) * QUARTER
            rows = self.make(scale, end - length - MINUTE, None)
            options.say(f"{self.name} x {size:g}: loading {rows.rows:,} rows")
            pair.load(rows)
            path = write_job(options.directory, pair.job(rows.name))
            for _ in range(3):  # all is copied; all is compared; all is known
                settle(*pair.servers)
                run_tool("--once", "--config", path)
            runs: dict[str, list[Run]] = {STILL: [], NEW: []}
            for turn in range(repeats):
                more = self.make(scale, end + turn * QUARTER, QUARTER / MINUTE)
                for arm in (STILL, NEW):
                    if arm == NEW:
                        pair.load_more(more)
                    settle(*pair.servers)
                    with watched(*pair.servers) as run:
                        run.update(run_tool("--once", "--config", path))
                    runs[arm].append(run)
                    options.say(f"{self.name} x {size:g}: {arm} {turn + 1}/{repeats}: {run['seconds']:.2f} s")
            total = rows.rows + repeats * more.rows
            pair.assert_equal(replace(rows, rows=total))
        yield Record(self.name, size, STILL, total, total * rows.fields, tuple(runs[STILL]))
        yield Record(self.name, size, NEW, more.rows, more.values, tuple(runs[NEW]))


def _last_time(rows: DataSet) -> int:
    """The time of the last row."""
    (last,) = deque(rows.lines(), maxlen=1)
    return int(last.rsplit(" ", 1)[1])


@dataclass(frozen=True)
class CommandLine:
    """What it takes to be told something: `--help`, and `check` of one job."""

    name: str = "command"

    def measure(self, options: Options) -> Iterator[Record]:
        """Wall time, by turns."""
        rows = data.devops(0.01)
        with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
            pair = Pair(source, destination, options.directory)
            pair.load(rows)
            path = write_job(options.directory, pair.job(rows.name))
            arms: dict[str, Sequence[str | Path]] = {"--help": ["--help"], "check": ["check", "--config", path]}
            runs: dict[str, list[Run]] = {arm: [] for arm in arms}
            for _ in range(options.repeats(5)):
                for arm, arguments in arms.items():
                    with watched(source, destination) as run:
                        run.update(run_tool(*arguments))
                    runs[arm].append(run)
        for arm in arms:
            yield Record(self.name, 1, arm, 0, 0, tuple(runs[arm]))


def _first_copy(make: Callable[[float], DataSet]) -> Callable[[float], Sequence[Arm]]:
    """The tool against SELECT INTO."""

    def arms(scale: float) -> Sequence[Arm]:
        rows = make(scale)
        return [Copy(rows), SelectInto(rows)]

    return arms


def _against(
    make: Callable[[float], DataSet], other: Callable[[float], DataSet], name: str
) -> Callable[[float], Sequence[Arm]]:
    """The tool against SELECT INTO, and against itself on the same rows in another shape."""

    def arms(scale: float) -> Sequence[Arm]:
        rows = make(scale)
        return [Copy(rows), Copy(other(scale), name), SelectInto(rows)]

    return arms


def _many(scale: float) -> Sequence[Arm]:
    rows = data.many(scale)
    return [Copy(rows), Copy(data.many(scale, one=True), ONE), SelectInto(rows), Copy(rows, AGAIN, again=True)]


def _latency(scale: float) -> Sequence[Arm]:
    rows = data.devops(scale)
    return [Copy(rows, NEAR, latency=0.0), Copy(rows, FAR, latency=0.02)]


def _series(scale: float) -> Sequence[Arm]:
    rows = data.series(scale)
    return [Copy(rows), SelectInto(rows), Copy(rows, AGAIN, again=True)]


def _devops_until_now(scale: float, begin: int, minutes: float | None) -> DataSet:
    return data.devops(scale if minutes is None else minutes * MINUTE / (4320 * 10 * data.SECOND), begin)


def _many_until_now(scale: float, begin: int, minutes: float | None) -> DataSet:
    return data.many(scale, begin, minutes=100 if minutes is None else round(minutes))


CASES: Sequence[Case] = (
    CommandLine(),
    Copies("devops", _first_copy(data.devops), {0.1: 1, 0.5: 1, 1: 5, 10: 1}, quick=(1, 10)),
    Copies("latency", _latency),
    Copies("text", _first_copy(data.text)),
    Copies("sparse", _first_copy(data.sparse)),
    Copies("wide", _first_copy(data.wide)),
    Copies("series", _series, {0.1: 1, 0.3: 1, 1: 1}),
    Copies("mixed", _first_copy(data.mixed)),
    Copies("many", _many),
    Steady("steady", _devops_until_now, (1, 10)),
    Steady("steady_many", _many_until_now),
    Copies("gaps", _against(data.gaps, lambda scale: data.gaps(scale, dense=True), WITHOUT_GAPS)),
    Copies("thin", _against(data.thin, lambda scale: data.thin(scale, dense=True), DENSE), {0.1: 1, 1: 1}),
)


# ---- targets


def _wall(case: str, size: float = 1) -> Callable[[Results], float]:
    return lambda results: results.ratio(case, COPY, INTO, size)


def _cpu(case: str, size: float = 1) -> Callable[[Results], float]:
    """CPU seconds for a million values."""

    def value(results: Results) -> float:
        record = results.record(case, COPY, size)
        return record.median("cpu") / record.values * 1e6

    return value


def _many_allowed(results: Results) -> float:
    copy, one = results.record("many", COPY), results.record("many", ONE)
    measurements = copy.rows / 100
    return copy.median("seconds") / (1.3 * one.median("seconds") + 0.002 * measurements)


def _requests(results: Results) -> float:
    record = results.record("many", AGAIN)
    return record.median("queries") + record.median("writes")


def _steady(case: str, arm: str, size: float, number: str) -> Callable[[Results], float]:
    return lambda results: results.record(case, arm, size).median(number)


def _steady_growth(arm: str) -> Callable[[Results], float]:
    """How the time grows with ten times the history."""
    return lambda r: r.record("steady", arm, 10).median("seconds") / r.record("steady", arm).median("seconds")


def _series_rate(results: Results) -> float:
    return results.record("series", COPY).values_per_second / results.record("devops", COPY).values_per_second


def _fleet(number: str) -> Callable[[Results], float]:
    return lambda results: results.record("fleet", "waiting for their time").median(number)


def _growth(name: str) -> Callable[[Results], float]:
    """How a number grows with ten times the rows."""
    return lambda results: (
        results.record("devops", COPY, 10).median(name) / results.record("devops", COPY).median(name)
    )


TARGETS: Sequence[Target] = (
    Target("devops: wall time / SELECT INTO", 0.85, _wall("devops")),
    Target("devops, ten times the rows: wall time / SELECT INTO", 0.8, _wall("devops", 10)),
    Target("devops, a tenth of the rows: wall time / SELECT INTO", 1.2, _wall("devops", 0.1)),
    Target("series: wall time / SELECT INTO", 1.2, _wall("series")),
    *(
        Target(f"{name}: wall time / SELECT INTO", 1.0, _wall(name))
        for name in ("text", "sparse", "mixed", "gaps")
    ),
    Target("devops: CPU seconds per million values", 0.3, _cpu("devops")),
    Target("devops, ten times the rows: CPU seconds per million values", 0.22, _cpu("devops", 10)),
    *(Target(f"{name}: CPU seconds per million values", 0.7, _cpu(name)) for name in LARGE),
    Target("peak memory of a process, MB", 300, lambda r: r.highest("peak") / 1e6),
    Target("devops, ten times the rows: peak memory / that of one time", 1.05, _growth("peak")),
    Target("devops, ten times the rows: wall time / that of one time", 10.5, _growth("seconds")),
    Target("series: values/s / those of devops", 0.5, _series_rate, at_least=True),
    Target("gaps: wall time / the same rows without gaps", 1.2, lambda r: r.ratio("gaps", COPY, WITHOUT_GAPS)),
    Target("thin: wall time / the same rows in one, dense", 1.5, lambda r: r.ratio("thin", COPY, DENSE)),
    Target("many: wall time / (1.3 x one measurement + 2 ms for each)", 1.0, _many_allowed),
    Target("many, nothing new: HTTP requests", 40, _requests),
    Target("many, nothing new: seconds", 1, lambda r: r.record("many", AGAIN).median("seconds")),
    Target("series, nothing new: seconds", 3, lambda r: r.record("series", AGAIN).median("seconds")),
    *(
        Target(f"{case}, {arm}: {what}", most, _steady(case, arm, size, number))
        for case, size in (("steady", 1), ("steady", 10), ("steady_many", 1))
        for arm in (STILL, NEW)
        for what, number, most in (
            (f"seconds, x {size}", "seconds", 1),
            (f"servers' CPU, x {size}", "servers", 0.3),
        )
    ),
    *(Target(f"steady, {arm}: x 10 / x 1", 1.2, _steady_growth(arm)) for arm in (STILL, NEW)),
    Target("latency: throughput / that without", 0.95, lambda r: r.ratio("latency", NEAR, FAR), at_least=True),
    Target("fleet: proportional set size of 500 jobs, MB", 1500, lambda r: _fleet("pss")(r) / 1e6),
    Target("fleet: CPU seconds in ten idle seconds", 0.1, _fleet("cpu")),
    Target("fleet: seconds from the start until all are planned", 60, _fleet("seconds")),
    *(Target(f"fleet: seconds of {name}", 1, _fleet(name)) for name in ("page", "metrics", "SIGHUP")),
    Target("--help: seconds", 0.4, lambda r: r.record("command", "--help").median("seconds")),
    Target("check: seconds", 1.5, lambda r: r.record("command", "check").median("seconds")),
)
