"""Asks whether destinations of jobs that would write the same measurements there are one server by two names."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from basics.stopping import StopRequest
from settings.keys import Job, Server
from settings.overlaps import Rival

if TYPE_CHECKING:
    from influx_client import InfluxClient

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for the answer of a server that is none of the job's own."""


class Rivals:
    """Those of one job. Of each its worker asks until it knows."""

    def __init__(self, rivals: Iterable[Rival] = ()) -> None:
        self._doubtful = list(rivals)
        self._apart: list[str] = []

    @property
    def apart(self) -> tuple[str, ...]:
        """The jobs of those that turned out to write to another server."""
        return tuple(self._apart)

    def problem(self, job: Job, stopping: StopRequest) -> str:
        """Why the job must not run beside one of them; empty when it may, or when that is not known."""
        from influx.errors import InfluxError  # noqa: PLC0415 -- heavy libraries

        for rival in list(self._doubtful):
            try:
                problem = _shared(job, rival, stopping)
            except InfluxError as error:
                logger.info("whether job %r writes to the same server is not known yet: %s", rival.job, error)
                continue
            if problem:
                return problem
            self._doubtful.remove(rival)
            self._apart.append(rival.job)
        return ""


def _shared(job: Job, rival: Rival, stopping: StopRequest) -> str:
    from copying.same_server import shared_destination  # noqa: PLC0415 -- heavy libraries

    role = f"destination of job {rival.job!r}"
    with for_questions(job, stopping, ("destination", job.destination), (role, rival.destination)) as (own, other):
        return shared_destination(own, other, rival.job, rival.database)


@contextmanager
def for_questions(
    job: Job, stopping: StopRequest, own: tuple[str, Server], other: tuple[str, Server]
) -> Iterator[tuple["InfluxClient", "InfluxClient"]]:
    """Two servers with their roles, to be asked once, and not for long. Raises InfluxError."""
    from influx_client import connect  # noqa: PLC0415 -- heavy libraries

    options = job.options.model_copy(update={"timeout_client": min(PATIENCE, job.options.timeout_client)})
    with (
        closing(connect(options, own[1], own[0], stopping, retries=0)) as one,
        closing(connect(options, other[1], other[0], stopping, retries=0)) as two,
    ):
        yield one, two
