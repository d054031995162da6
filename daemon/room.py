"""Asks, before a run, whether one of the job's servers is one at which enough runs go on under another name."""

import logging
from collections.abc import Callable, Sequence

from basics.stopping import StopRequest
from daemon.rivals import for_questions
from daemon.turns import Doubt, Near, Place, Sameness, full
from settings.keys import Job

logger = logging.getLogger(__name__)


def no_room(job: Job, doubts: Sequence[Doubt], stopping: StopRequest, tell: Callable[[Sameness], object]) -> str:
    """Why the job has to wait; empty when it may run. `tell` hears of what is found.

    A server that does not answer, or does not show who it is, counts as another one.
    """
    for doubt in doubts:
        room = doubt.room
        for near in doubt.others:
            if _is_same(job, doubt.place, near, stopping, tell):
                room -= near.runs
        if room <= 0:
            return full(doubt.place, doubt.room - room)
    return ""


def _is_same(job: Job, own: Place, near: Near, stopping: StopRequest, tell: Callable[[Sameness], object]) -> bool:
    from influx.errors import InfluxError  # noqa: PLC0415 -- heavy libraries
    from influx.identity import is_same  # noqa: PLC0415

    place = near.place
    try:
        with for_questions(job, stopping, (own.role, own.server), (place.role, place.server)) as (one, other):
            found = bool(is_same(one, other))
    except InfluxError as error:
        logger.info("whether %s is the same server is not known yet: %s", place.server.url, error)
        return False
    tell(Sameness(own.address, place.address, found))
    return found
