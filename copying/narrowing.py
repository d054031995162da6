"""Refused requests narrowed down to the lines at fault: the others are written, those go into the quarantine."""

import logging
from collections.abc import Iterator, Sequence

from basics.stopping import StopRequest
from copying.quarantine import Quarantine
from influx import line_protocol
from influx.errors import FieldTypeConflict, InfluxError, RequestTooLarge, WriteRefused
from influx.influxql import Location
from influx.line_protocol import Body
from influx.written import PutAside, Written
from influx_client import InfluxClient

logger = logging.getLogger(__name__)


def write_body(
    client: InfluxClient, body: Body, location: Location, quarantine: Quarantine | None, stopping: StopRequest
) -> Iterator[Written]:
    """Write a body, first lines first, telling of each acknowledged request before the next one.

    What the server refuses is sent in ever smaller parts, down to the lines that it does not take: these are put
    into the quarantine, and all others are written. Raises WriteRefused for a line that is refused where there is
    no quarantine, or none that takes it, and for what is left of a refused body when a stop or another error
    comes and there is no quarantine.
    """
    waiting: Sequence[Body] = (body,)
    refusal: WriteRefused | None = None
    doubted: Body | None = None
    while waiting:
        if refusal and stopping.is_set():
            yield from put_aside_whole(waiting, refusal, quarantine)
            return
        part, *later = waiting
        try:
            yield client.write_body(part, location)
            waiting = later
        except RequestTooLarge as error:
            smaller = line_protocol.halves(part)
            if not smaller:
                raise
            logger.info("%s; writing fewer points at once", error)
            waiting = (*smaller, *later)
        except WriteRefused as error:
            refusal = error
            smaller = _narrower(part, error)
            if smaller:
                waiting = (*smaller, *later)
            elif doubted is not part:
                doubted = part  # it is sent once more before the server is believed
            elif quarantine is None:
                raise
            elif quarantine.is_full:
                yield from put_aside_whole(waiting, refusal, quarantine)
                raise error.reworded(
                    f"more than {quarantine.most:,} lines are refused: that is not a few bad lines, it is the "
                    f"setup; nothing later was tried, correct it first: {error}"
                ) from error
            else:
                yield _put_aside([part], error, error.cause, quarantine)
                waiting = later
        except InfluxError:
            yield from put_aside_whole(waiting, refusal, quarantine)
            raise


def _narrower(body: Body, refusal: WriteRefused) -> tuple[Body, ...]:
    """What to send instead of a refused body; nothing when all of it is what the server refuses."""
    known = isinstance(refusal, FieldTypeConflict) and refusal.field in body.fields
    if isinstance(refusal, FieldTypeConflict) and known and line_protocol.can_be_taken_apart(body):
        return line_protocol.apart(body, refusal.field)  # all values of the field conflict, and nothing else
    return line_protocol.halves(body)


def put_aside_whole(
    bodies: Sequence[Body], refusal: WriteRefused | None, quarantine: Quarantine | None
) -> Iterator[Written]:
    """Put aside as a whole what is left of refused bodies, when there is no going on.

    The server may have stored some of it, with the newest points of it, and the next run would begin there. Raises
    the refusal where there is no quarantine.
    """
    if refusal is None:
        return
    if quarantine is None:
        raise refusal
    answer = f"{refusal.cause} (narrowing this down was given up, so some of these lines may be written already)"
    yield _put_aside(bodies, refusal, answer, quarantine)


def _put_aside(bodies: Sequence[Body], refusal: WriteRefused, answer: str, quarantine: Quarantine) -> Written:
    lines = [line for body in bodies for line in body.lines()]
    before = quarantine.added
    try:
        count = quarantine.put(lines, answer)
    except OSError as problem:
        raise refusal.reworded(
            f"{refusal}; and {quarantine.file} cannot be written to put it aside: {problem.strerror}"
        ) from problem
    part = PutAside(str(quarantine.file), answer, count, quarantine.added - before)
    return Written(put_aside=(part,) if count else ())
