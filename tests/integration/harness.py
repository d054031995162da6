"""Runs backup jobs as a user would, and compares both servers through the independent reader."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from copying.results import JobResult
from main import run_worker
from tests.support.reader import Snapshot, difference, read_database
from tests.support.servers import InfluxServer

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]
HOUR = 3_600_000_000_000
DAY = 24 * HOUR
WEEK = 7 * DAY
MONDAY = 1_704_067_200_000_000_000
"""2024-01-01T00:00:00Z, a Monday and so the edge of a shard group of seven days."""


READER = {"user": "reader", "password": "pw"}
"""The login of who may read the points of the source, and see no shards."""


def endpoint(server: InfluxServer) -> dict[str, Any]:
    """The server's part of a job's YAML."""
    login = {"user": server.user, "password": server.password} if server.user else {}
    return {"url": server.url, **login}


def job_config(
    source: InfluxServer,
    destination: InfluxServer,
    databases: Sequence[str] | Mapping[str, str],
    sections: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A job with quick retries; `sections` is merged into it, section by section."""
    names = dict.fromkeys(databases, "") if not isinstance(databases, Mapping) else databases
    config: dict[str, Any] = {
        "source": endpoint(source) | {"databases": [{"name": n, "destination": d or n} for n, d in names.items()]},
        "destination": endpoint(destination),
        "options": {"backup_mode": "incremental", "retries": 2, "retry_delay": 0.1, "timeout_client": 10},
    }
    _merge(config, sections or {})
    return config


def _merge(config: dict[str, Any], sections: Mapping[str, Any]) -> None:
    for key, value in sections.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def write_job(directory: Path, config: Mapping[str, Any], name: str = "job") -> Path:
    """The job's file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(dict(config), allow_unicode=True))
    return path


class Pair:
    """Two servers and a database on them: what most tests need."""

    def __init__(self, source: InfluxServer, destination: InfluxServer, database: str, directory: Path) -> None:
        self.source, self.destination, self.database, self.directory = source, destination, database, directory

    def elsewhere(self, name: str) -> "Pair":
        """The same with files of its own."""
        return Pair(self.source, self.destination, self.database, self.directory / name)

    def write(self, lines: bytes | str, policy: str | None = None) -> None:
        """Write to the source, creating the database."""
        self.source.create_database(self.database)
        self.source.write(lines, self.database, policy)

    def config(self, sections: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The job's configuration; its quarantine is in the test's directory."""
        config = job_config(self.source, self.destination, [self.database])
        config["options"]["quarantine_directory"] = str(self.directory / "quarantine")
        _merge(config, sections or {})
        return config

    def backup(self, sections: Mapping[str, Any] | None = None) -> JobResult:
        """Run the job in this process."""
        return run_worker(write_job(self.directory, self.config(sections)))

    def snapshots(self) -> tuple[Snapshot, Snapshot]:
        """All that the source and the destination hold."""
        return snapshot(self.source, self.database), snapshot(self.destination, self.database)

    def found(self) -> Snapshot:
        """All that the destination holds."""
        return snapshot(self.destination, self.database)

    def assert_equal(self, *, points: int | None = None) -> None:
        """Both sides hold the same values (and so many of them), none of them nothing."""
        expected, found = self.snapshots()
        assert len(expected) > 0
        assert points is None or len(expected) == points
        report = difference(expected, found, names=("source", "destination"))
        assert not report, report


def moved(result: JobResult) -> int:
    """All points that a run has written, those that the destination had already, too."""
    return result.written.points + result.written.repeated


def snapshot(server: InfluxServer, database: str) -> Snapshot:
    """All that a database holds."""
    return read_database(server.url, database, user=server.user, password=server.password)


def run_main(
    *arguments: str | Path, environ: Mapping[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """`python main.py ...` as a user runs it."""
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, env=environ, check=False
    )
