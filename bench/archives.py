"""What a snapshot in Parquet costs, and a restore from it, beside what else makes files of a database."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import data
from bench.cases import Arm, Case, Copies, Pair
from bench.data import DataSet
from bench.measure import Run, run_measured, run_tool, watched
from bench.report import Results, Target
from tests.integration.harness import write_job
from tests.support.servers import find_influxd

SNAPSHOT, STILL, RESTORE = "snapshot", "snapshot, nothing new", "restore from it"
BACKUP, GZIP = "influxd backup -portable", "gzip of line protocol"


def _job(pair: Pair, rows: DataSet) -> Path:
    config = pair.job(rows.name)
    config["destination"] = {"archive": str(_folder(pair))}
    return write_job(pair.directory, config, "archived")


def _folder(pair: Pair) -> Path:
    return pair.directory / "archive"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("**/*") if file.is_file())


@dataclass(frozen=True)
class Take:
    """`main.py --once` into an archive that is not there, or into one that has everything already (`again`)."""

    rows: DataSet
    name: str = SNAPSHOT
    again: bool = False

    def prepare(self, pair: Pair) -> None:
        """Remove the archive, or fill it."""
        if self.again:
            for _ in range(2):  # all is there; all is known
                run_tool("--once", "--config", _job(pair, self.rows))
        else:
            shutil.rmtree(_folder(pair), ignore_errors=True)

    def run(self, pair: Pair) -> Run:
        """Take a snapshot; `file` is what it adds."""
        path, before = _job(pair, self.rows), _size(_folder(pair))
        with watched(*pair.servers) as run:
            run.update(run_tool("--once", "--config", path))
        run["file"] = _size(_folder(pair)) - before
        return run


@dataclass(frozen=True)
class Restore:
    """`main.py restore --from archive` into a server that has nothing."""

    rows: DataSet
    name: str = RESTORE

    def prepare(self, pair: Pair) -> None:
        """Empty the destination; let there be a snapshot."""
        pair.destination.drop_database(self.rows.name)
        if not _folder(pair).exists():
            run_tool("--once", "--config", _job(pair, self.rows))

    def run(self, pair: Pair) -> Run:
        """Restore; raises BenchError where both sides differ then."""
        arguments = ["restore", "--from", "archive", "--yes", "--to", pair.destination.url]
        with watched(*pair.servers) as run:
            run.update(run_tool(*arguments, "--config", _job(pair, self.rows)))
        pair.assert_equal(self.rows)
        return run


@dataclass(frozen=True)
class Backup:
    """The source's own files."""

    rows: DataSet
    name: str = BACKUP

    def prepare(self, pair: Pair) -> None:
        """Nothing."""

    def run(self, pair: Pair) -> Run:
        """Back up."""
        where = ("-db", self.rows.name, "-host", pair.source.rpc_address)
        with tempfile.TemporaryDirectory(dir=pair.directory) as folder:
            with watched(*pair.servers) as run:
                run.update(run_measured([find_influxd(), "backup", "-portable", *where, folder]))
            run["file"] = _size(Path(folder))
        return run


@dataclass(frozen=True)
class Gzip:
    """The points as text, compressed: what an export makes. Only the compression is timed."""

    rows: DataSet
    name: str = GZIP

    def prepare(self, pair: Pair) -> None:
        """Write the text."""
        with (pair.directory / "lines").open("wb") as file:
            for batch in self.rows.batches():
                file.write(batch + b"\n")

    def run(self, pair: Pair) -> Run:
        """Compress it."""
        with watched(*pair.servers) as run:
            run.update(run_measured(["gzip", "--force", pair.directory / "lines"]))
        run["file"] = (pair.directory / "lines.gz").stat().st_size
        return run


def _all(scale: float) -> Sequence[Arm]:
    rows = data.devops(scale)
    return [Take(rows), Take(rows, STILL, again=True), Restore(rows), Backup(rows), Gzip(rows)]


def _years(scale: float) -> Sequence[Arm]:
    rows = data.years(scale)
    return [Take(rows), Take(rows, STILL, again=True), Backup(rows)]


ARCHIVES: Sequence[Case] = (Copies("archive", _all, {1: 3, 10: 1}), Copies("archive_years", _years, {1: 1}))


def _growth(arm: str) -> Callable[[Results], float]:
    """How memory grows with ten times the rows."""
    return lambda r: r.record("archive", arm, 10).median("peak") / r.record("archive", arm).median("peak")


def _bytes(results: Results) -> float:
    return results.record("archive", SNAPSHOT).median("file") / results.record("archive", GZIP).median("file")


def _requests(results: Results) -> float:
    return results.record("archive_years", STILL).median("queries")


TARGETS: Sequence[Target] = (
    Target("archive: bytes / those of gzipped line protocol", 0.65, _bytes),
    *(
        Target(f"archive, {arm}, ten times the rows: peak memory / that of one time", 1.1, _growth(arm))
        for arm in (SNAPSHOT, RESTORE)
    ),
    Target(
        "archive of years, nothing new: seconds", 5, lambda r: r.record("archive_years", STILL).median("seconds")
    ),
    Target("archive of years, nothing new: HTTP requests", 40, _requests),
)
