"""What people would use instead, measured beside the tool: `make bench-peers`.

None of these goes on from where it stopped, compares, or keeps a destination up to date: each copies a whole
database once, through files.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import data
from bench.cases import COPY, INTO, SETTINGS, Arm, Copy, Options, Pair, SelectInto
from bench.data import DataSet
from bench.measure import ROOT, BenchError, Run, added, run_measured, settle, watched
from bench.report import Record
from tests.support.servers import InfluxServer, find_influxd

PROGRAMS = ROOT / ".cache" / "peers"
"""Where `make bench-peers` puts what has to be built."""

EXPORT, FILES = "influx_inspect export, influx -import", "influxd backup, influxd restore"


@dataclass(frozen=True)
class ExportImport:
    """The source's files as line protocol in a file, and that file sent to the destination."""

    rows: DataSet
    name: str = EXPORT

    def prepare(self, pair: Pair) -> None:
        """Empty the destination."""
        pair.destination.drop_database(self.rows.name)

    def run(self, pair: Pair) -> Run:
        """Export and import."""
        with tempfile.TemporaryDirectory(dir=pair.directory) as folder, watched(*pair.servers) as run:
            file, home = Path(folder) / "export", pair.source.directory
            export: list[str | Path] = [
                PROGRAMS / "influx_inspect",
                "export",
                "-database",
                self.rows.name,
                "-out",
                file,
            ]
            export += ["-datadir", home / "data", "-waldir", home / "wal"]
            load: list[str | Path] = [
                PROGRAMS / "influx",
                "-host",
                "127.0.0.1",
                "-port",
                str(pair.destination.port),
                "-import",
            ]
            run.update(added(run_measured(export), run_measured([*load, "-path", file, "-precision", "ns"])))
            run["file"] = file.stat().st_size
        return run


@dataclass(frozen=True)
class Files:
    """The shards' files themselves, into a database that does not exist."""

    rows: DataSet
    name: str = FILES

    def prepare(self, pair: Pair) -> None:
        """Remove the database at the destination."""
        pair.destination.drop_database(self.rows.name)

    def run(self, pair: Pair) -> Run:
        """Back up and restore."""
        with tempfile.TemporaryDirectory(dir=pair.directory) as folder, watched(*pair.servers) as run:
            influxd = find_influxd()
            commands: list[list[str | Path]] = [
                [influxd, verb, "-portable", "-db", self.rows.name, "-host", server.rpc_address, folder]
                for verb, server in (("backup", pair.source), ("restore", pair.destination))
            ]
            run.update(added(*map(run_measured, commands)))
            run["file"] = sum(file.stat().st_size for file in Path(folder).iterdir())
        return run


@dataclass(frozen=True)
class Peers:
    """All of them by turns on the same servers; what arrived is compared value by value after the first turn."""

    name: str = "peers"
    sets: Sequence[Callable[[float], DataSet]] = (data.devops, data.series)

    def measure(self, options: Options) -> Iterator[Record]:
        """A record for each arm and set."""
        for make in self.sets:
            rows = make(0.1 if options.quick else 1.0)
            arms: Sequence[Arm] = (Copy(rows), SelectInto(rows), ExportImport(rows), Files(rows))
            yield from self._measure(rows, arms, options)

    def _measure(self, rows: DataSet, arms: Sequence[Arm], options: Options) -> Iterator[Record]:
        runs: dict[str, list[Run]] = {arm.name: [] for arm in arms}
        with (
            InfluxServer.start("source", settings=SETTINGS) as source,
            InfluxServer.start("destination", settings=SETTINGS) as destination,
        ):
            pair = Pair(source, destination, options.directory)
            options.say(f"{self.name}: loading {rows.rows:,} rows of {rows.name}")
            pair.load(rows)
            for turn in range(options.repeats(3)):
                for arm in arms:
                    arm.prepare(pair)
                    settle(*pair.servers)
                    run = arm.run(pair)
                    runs[arm.name].append(run)
                    options.say(f"{self.name}, {rows.name}: {arm.name} {turn + 1}: {run['seconds']:.2f} s")
                    if turn == 0 and arm.name != INTO:
                        self._compare(pair, rows, arm, options)
        for arm in arms:
            yield Record(f"{self.name}, {rows.name}", 1, arm.name, rows.rows, rows.values, tuple(runs[arm.name]))

    def _compare(self, pair: Pair, rows: DataSet, arm: Arm, options: Options) -> None:
        """Tell whether both sides are the same. A difference is an error of the tool, and of others a finding."""
        for when in ("at once", "after a restart of the destination"):
            try:
                pair.assert_equal(rows)
            except BenchError as error:
                if arm.name == COPY:
                    raise
                options.say(f"{rows.name}: {arm.name}: not exact, {when}: {str(error)[:600]}")
            else:
                options.say(f"{rows.name}: {arm.name}: exact, {when}")
                return
            pair.destination.restart()


PEERS = Peers()
