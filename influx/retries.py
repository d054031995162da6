"""A failed request is made again: which ones, how often, and after which waits. The only place for requests."""

import logging
from collections.abc import Callable
from typing import TypeVar

import tenacity

from basics.stopping import StopRequest
from influx.errors import InfluxError
from influx.listener import RequestListener

logger = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_WAIT = 60.0
"""Seconds: the delay between two attempts doubles up to this."""


class Retries:
    """Up to `most` retries, the first after `delay` seconds, while no stop is requested."""

    def __init__(self, most: int, delay: float, stopping: StopRequest, listener: RequestListener) -> None:
        self._most = most
        self._delay = delay
        self._stopping = stopping
        self._listener = listener

    def attempts(self, doing: str, request: Callable[[], T]) -> T:
        """The result of a request that is made until it succeeds, fails for good, or has failed too often.

        `doing` stands before each message. Raises the last InfluxError.
        """

        def report(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            kind = error if isinstance(error, InfluxError) else InfluxError
            wait = state.next_action.sleep if state.next_action else 0
            number = state.attempt_number
            trouble = f"{doing}: {error}{kind.retried}; retry {number} of {self._most} in {wait:.1f} s"
            logger.log(kind.severity, "%s", trouble)
            self._listener.retrying(trouble)

        def sleep(seconds: float) -> None:
            self._stopping.wait(seconds)

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda e: isinstance(e, InfluxError) and e.retryable),
            stop=lambda state: state.attempt_number > self._most or self._stopping.is_set(),
            wait=tenacity.wait_exponential(self._delay, LONGEST_WAIT) + tenacity.wait_random(0, self._delay / 4),
            sleep=sleep,
            before_sleep=report,
            reraise=True,
        )
        try:
            return retrying(request)
        except InfluxError as error:
            tries = retrying.statistics["attempt_number"]
            suffix = f" (tried {tries} times)" if tries > 1 else ""
            raise error.reworded(f"{doing}: {error}{suffix}") from error
        finally:
            if retrying.statistics["attempt_number"] > 1:
                self._listener.settled()
