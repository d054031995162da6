"""When a job runs. For now: once."""

import logging
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


def run_job_once(job: Callable[[], T]) -> T:
    """Run the job now, in this thread; whatever it raises is the caller's."""
    return job()
