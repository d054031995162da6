"""The boundary of a process and of a run, where an unforeseen error ends."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from basics.shortages import shortage

logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What `error_boundary` leaves behind: empty, or the unforeseen error."""

    problem: str = ""


def _unforeseen() -> tuple[type[BaseException], ...]:
    """All errors, also those in which a library in Rust ends, which are no `Exception`."""
    polars = sys.modules.get("polars")
    return (Exception, polars.exceptions.PanicException) if polars else (Exception,)


@contextmanager
def error_boundary() -> Iterator[Outcome]:
    """The one place where an unforeseen error ends: it is logged with its traceback, and counts as a failure.

    Too little memory, or too few of something else that the system gives, is no bug and needs no traceback.
    """
    outcome = Outcome()
    try:
        yield outcome
    except _unforeseen() as error:  # the boundary of a process and of a run
        outcome.problem = shortage(error)
        if outcome.problem:
            logger.error("%s", outcome.problem)  # noqa: TRY400 -- where it happened says nothing about the cause
            return
        logger.exception("this is a bug, please report it")
        outcome.problem = f"unexpected {type(error).__name__}: {error}"
