"""Jobs whose destination is an archive in a folder: runs, snapshots, restores."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from copying.results import JobResult
from main import run_worker
from tests.integration.harness import Done, Pair, run_main, snapshot, write_job
from tests.support.reader import Snapshot, difference


class Archived:
    """The pair's source, and an archive of it in the test's directory."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.folder = pair.directory / "archive"
        self.place = ""

    def job(self, sections: Mapping[str, Any] | None = None) -> Path:
        """The job's file: the archive is its only destination, unless the sections name a server."""
        config = self.pair.config()
        config["destination"] = {"archive": self.place or str(self.folder)}
        for name, section in (sections or {}).items():
            config.setdefault(name, {}).update(section)
        return write_job(self.pair.directory, config)

    def run(self, sections: Mapping[str, Any] | None = None) -> JobResult:
        """Take a snapshot, in this process."""
        return run_worker(self.job(sections))

    def taken(self, sections: Mapping[str, Any] | None = None) -> str:
        """Take a snapshot, which has to succeed; its name."""
        result = self.run(sections)
        assert result.failures == ()
        assert result.snapshot
        return result.snapshot.name

    def main(self, *arguments: str | Path, code: int = 0) -> Done:
        """`main.py ... --config` of the job, which has to end with this code."""
        done = run_main(*arguments, "--config", self.pair.directory / "job.yaml", environ=dict(os.environ))
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """What a command says of the only job, as JSON."""
        (found,) = json.loads(self.main(*arguments, "--json", code=code).stdout)["jobs"]
        assert isinstance(found, dict)
        return found

    def restored(self, *arguments: str) -> Snapshot:
        """All that a server holds to which the newest snapshot (or another one) was restored: the destination."""
        self.main("restore", "--from", "archive", "--yes", "--to", self.pair.destination.url, *arguments)
        return snapshot(self.pair.destination, self.pair.database)

    def assert_restored(self, *arguments: str) -> None:
        """The restored server holds what the source does, bit by bit."""
        expected, found = snapshot(self.pair.source, self.pair.database), self.restored(*arguments)
        assert len(expected) > 0
        report = difference(expected, found, names=("source", "restored"))
        assert not report, report

    def snapshots(self) -> list[Path]:
        """The files of its snapshots."""
        return sorted(self.folder.glob("snapshots/*/*.json"))

    def files(self) -> list[Path]:
        """Its Parquet files."""
        return sorted(self.folder.glob("data/**/*.parquet"))

    def copied_to(self, other: Path) -> None:
        """The archive as it is now, in another place."""
        shutil.copytree(self.folder, other)
