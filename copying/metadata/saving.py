"""Saves, in each run, what a database has besides points. That it cannot be saved is a warning: the points can."""

import logging
from pathlib import Path

from basics.text import printable
from copying.metadata import store
from copying.metadata.capture import Capture
from copying.results import Saved
from influx_client import InfluxClient
from settings.keys import Job

logger = logging.getLogger(__name__)


class Saver:
    """Saves the databases of one job in one run, whose time is `now`."""

    def __init__(self, job: Job, source: InfluxClient, directory: Path, now: int) -> None:
        self._job = job
        self._directory = directory
        self._now = now
        self._capture = Capture(source, job.source, job.options.metadata)
        self._unwritten: dict[str, None] = {}

    def save(self, database: str) -> Saved | None:
        """Save it now; None where nothing is to be saved, or could be. Raises what a new attempt may not."""
        if not self._job.options.metadata:
            return None
        taken = self._capture.take(database)
        if not taken.counts:
            return None
        try:
            saved = store.save(self._directory, self._job.name, taken, self._now)
        except OSError as error:
            reason = error.strerror or str(error)
            self._unwritten[f"metadata cannot be saved in {self._directory / self._job.name}: {reason}"] = None
            return None
        if saved.is_new:
            logger.info("database %s: metadata saved in %s", printable(database), saved.file)
        return saved

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be saved so far, each once."""
        return (*self._capture.warnings, *self._unwritten)
