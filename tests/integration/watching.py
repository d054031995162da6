"""A daemon as `main.py run` starts it, whose monitor also writes down what it knows.

Its arguments are the folder of jobs, and the file in which each state is one line of JSON.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.jobs import find_jobs, load_jobs
from daemon.job_file import JobFile
from daemon.supervisor import Supervisor
from logger_config import setup_logging
from watching.events import Event
from watching.monitor import Duties, Holder
from watching.state import JobState, State


class Recorder:
    """An observer that writes every state to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a")

    def see(self, event: Event, _before: State, after: State) -> None:
        """One line."""
        jobs = {name: as_plain(job) | _derived(job) for name, job in after.jobs.items()}
        line = {"event": type(event).__name__, "started": after.started, "jobs": jobs}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def look(self, state: State) -> None:
        """Nothing else is of interest."""

    def close(self) -> None:
        """The file is whole."""
        self._file.close()


def _derived(job: JobState) -> dict[str, Any]:
    return {"condition": job.condition, "problem": job.problem, "totals": as_plain(job.totals)}


def as_plain(value: object) -> Any:  # noqa: ANN401 -- JSON's own
    """A value that JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {
            "/".join(key) if isinstance(key, tuple) else str(key): as_plain(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return value


def run(folder: Path, file: Path) -> int:
    """Run the daemon."""
    setup_logging("main")

    def found() -> tuple[list[JobFile], dict[str, str]]:
        return load_jobs(find_jobs([folder]))

    def recorder(_holder: Holder) -> Recorder:
        return Recorder(file)

    jobs, invalid = found()
    duties = Duties(listener=socket.socket(), observers=[recorder], verdicts=file.with_name("health.verified"))
    supervisor = Supervisor(jobs, found, invalid, duties=duties)
    supervisor.run()
    return int(supervisor.has_failed())


if __name__ == "__main__":
    raise SystemExit(run(*map(Path, sys.argv[1:])))
