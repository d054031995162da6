"""Asks, before a run, whether one of the job's servers is one at which enough runs go on under another name."""

import logging
from collections.abc import Callable, Sequence

from basics.stopping import StopRequest
from daemon.rivals import PATIENCE
from daemon.turns import Doubt, Near, Place, Sameness, full
from settings.keys import Job, Options

logger = logging.getLogger(__name__)


def no_room(job: Job, doubts: Sequence[Doubt], stopping: StopRequest, tell: Callable[[Sameness], object]) -> str:
    """Why the job has to wait; empty when it may run. `tell` hears of what is found.

    A server that does not answer, or does not show who it is, counts as another one.
    """
    options = job.options.model_copy(update={"timeout_client": min(PATIENCE, job.options.timeout_client)})
    for doubt in doubts:
        room = doubt.room
        for near in doubt.others:
            if _is_same(options, doubt.place, near, stopping, tell):
                room -= near.runs
        if room <= 0:
            return full(doubt.place, doubt.room - room)
    return ""


def _is_same(
    options: Options, own: Place, near: Near, stopping: StopRequest, tell: Callable[[Sameness], object]
) -> bool:
    from influx.errors import InfluxError  # noqa: PLC0415 -- heavy libraries
    from influx.identity import is_same  # noqa: PLC0415
    from influx_client import connect  # noqa: PLC0415

    try:
        one = connect(options, own.server, own.role, stopping, retries=0)
        try:
            other = connect(options, near.place.server, near.place.role, stopping, retries=0)
            try:
                found = bool(is_same(one, other))
            finally:
                other.close()
        finally:
            one.close()
    except InfluxError as error:
        logger.info("whether %s is the same server is not known yet: %s", near.place.server.url, error)
        return False
    tell(Sameness(own.address, near.place.address, found))
    return found
