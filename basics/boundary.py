"""The boundary of a process and of a run, where an unforeseen error ends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


logger = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What `error_boundary` leaves behind: empty, or the unforeseen error."""

    problem: str = ""


@contextmanager
def error_boundary() -> Iterator[Outcome]:
    """The one place where an unforeseen error ends: it is logged with its traceback, and counts as a failure."""
    outcome = Outcome()
    try:
        yield outcome
    except Exception as error:  # the boundary of a process and of a run
        logger.exception("this is a bug, please report it")
        outcome.problem = f"unexpected {type(error).__name__}: {error}"
