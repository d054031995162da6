"""The parts of a run, each by itself, on real servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from basics.stopping import StopRequest
from config import Config
from copying.planner import Planner
from copying.task import Copy
from influx_client import InfluxClient, connect
from settings.keys import Job
from tests.integration.harness import DAY, MONDAY, Pair, write_job

NOW = MONDAY + 100 * DAY + 1


@dataclass(frozen=True)
class Parts:
    """What a run at `now` has."""

    job: Job
    source: InfluxClient
    destination: InfluxClient
    planner: Planner
    stopping: StopRequest
    database: str
    now: int

    def planned(self, **how: bool) -> dict[str, Copy]:
        """What is copied of the default policy, by measurement."""
        (target, *_), _ = self.planner.policies.prepare(self.database, self.database)
        tags = self.source.get_tag_keys(self.database)
        copies = self.planner.plan(self.database, target, tags, **how)
        return {copy.source.measurement: copy for copy in copies}


@contextmanager
def parts(pair: Pair, changes: Mapping[str, Any] | None = None, now: int = NOW) -> Iterator[Parts]:
    """Those of a run at that time."""
    job, stopping = Config(write_job(pair.directory, pair.config(changes))).job, StopRequest()
    with (
        closing(connect(job.options, job.source, "source", stopping)) as source,
        closing(connect(job.options, job.destination, "destination", stopping)) as destination,
    ):
        planner = Planner(job, source, destination, now)
        yield Parts(job, source, destination, planner, stopping, pair.database, now)
