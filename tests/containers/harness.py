"""Runs the tool in its container, as a user would, against servers in containers."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.harness import snapshot, write_job
from tests.support import waiting
from tests.support.containers import ContainerServer
from tests.support.reader import difference

BACKUP_IMAGE = os.environ.get("BACKUP_IMAGE") or "local/influxdb-backup:test"
BASE_IMAGE = os.environ.get("BASE_IMAGE") or "local/python:3.11-slim"
UID = "10001"
DATABASE = "metrics"

HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")  # noqa: S108
"""What docker-compose.yml sets, too."""


def attempt(*command: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A docker command, whatever becomes of it."""
    return subprocess.run(["docker", *command], capture_output=True, text=True, timeout=timeout, check=False)


def docker(*command: str, timeout: float = 120) -> str:
    """What a docker command prints; one that fails fails the test."""
    done = attempt(*command, timeout=timeout)
    assert done.returncode == 0, f"docker {' '.join(command)}: {done.stderr}"
    return done.stdout.strip()


def in_image(image: str, script: str) -> str:
    """What a shell script prints inside a fresh container of the image."""
    return docker("run", "--rm", "--entrypoint", "sh", image, "-c", script)


def wait_until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Wait for the condition; `what` describes the state, whose changes show that things go on."""
    waiting.wait_until(condition, "a container", progress=what, pause=0.3)


@dataclass(frozen=True)
class Backup:
    """A running container of the tool."""

    id: str

    @property
    def log(self) -> str:
        """All that it printed."""
        printed = attempt("logs", self.id)
        return printed.stdout + printed.stderr

    def state(self, path: str) -> str:
        """Part of `docker inspect`, such as `State.Health.Status`."""
        return docker("inspect", "--format", f"{{{{.{path}}}}}", self.id)

    def stop(self) -> tuple[float, int]:
        """`docker stop` as it is without options; the seconds it took, and the exit code."""
        start = time.monotonic()
        docker("stop", self.id)
        return time.monotonic() - start, int(self.state("State.ExitCode"))


@dataclass(frozen=True)
class Field:
    """All that a backup in a container needs around it."""

    image: str
    network: str
    volume: str
    source: ContainerServer
    destination: ContainerServer
    directory: Path

    def job(self, options: Mapping[str, Any] | None = None) -> Path:
        """Write the job `metrics`, which logs to the volume; returns the folder to mount."""
        basics = {"backup_mode": "incremental", "retries": 1, "retry_delay": 0.2, "log_directory": "/logs"}
        config = {
            "source": {"url": "http://source:8086", "databases": [{"name": DATABASE}]},
            "destination": {"url": "http://destination:8086"},
            "options": {**basics, **(options or {})},
        }
        folder = self.directory / "config"
        write_job(folder, config, DATABASE).chmod(0o644)
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        return folder

    def options(self, folder: Path) -> list[str]:
        """Of `docker run`: everything mounted, nothing writable but the logs and /tmp."""
        mounts = ["--volume", f"{folder}:/config:ro", "--volume", f"{self.volume}:/logs"]
        return [*HARDENED, *mounts, "--network", self.network]

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the tool to its end."""
        return attempt("run", "--rm", *self.options(folder), self.image, *arguments)

    @contextmanager
    def daemon(self, folder: Path) -> Iterator[Backup]:
        """The tool as a daemon, looked at by the engine every two seconds; removed at the end."""
        checks = ["--health-interval", "2s", "--health-start-period", "0s"]
        backup = Backup(docker("run", "--detach", *checks, *self.options(folder), self.image))
        try:
            yield backup
        finally:
            docker("rm", "--force", backup.id)

    def write(self, lines: str) -> None:
        """Write to the source, creating the database."""
        self.source.create_database(DATABASE)
        self.source.write(lines, DATABASE)

    def count(self, server: ContainerServer) -> int:
        """How many values of the field `value` the server has."""
        rows = server.rows('SELECT count("value") FROM /.*/', db=DATABASE) if self._exists(server) else []
        return sum(int(row[1]) for row in rows)

    def difference(self) -> str:
        """What differs between both servers; '' when they are equal and not empty."""
        if not self._exists(self.destination):
            return "there is no database in the destination"
        expected, found = snapshot(self.source, DATABASE), snapshot(self.destination, DATABASE)
        return difference(expected, found, names=("source", "destination")) if expected else "the source is empty"

    def wait_until_equal(self, backup: Backup) -> None:
        """Wait until as many values are in the destination, and then compare each."""

        def equal() -> bool:
            return self.count(self.destination) == self.count(self.source)

        wait_until(equal, lambda: f"{self.difference()}\n{backup.log[-4000:]}")
        assert not self.difference()

    def read_logs(self) -> str:
        """The job's log file on the volume."""
        file = f"/logs/{DATABASE}/{DATABASE}.log"
        return docker(
            "run", "--rm", "--volume", f"{self.volume}:/logs:ro", "--entrypoint", "cat", self.image, file
        )

    def _exists(self, server: ContainerServer) -> bool:
        return [DATABASE] in server.rows("SHOW DATABASES")
