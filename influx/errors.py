"""The errors of requests to InfluxDB, as one tree of exceptions.

InfluxError
+- Unreachable        no connection, connection lost, no byte for the timeout       retried
+- Overloaded         5xx, 429, too many queries, query killed, server stopping     retried
+- IncompleteAnswer   the answer ended early, or is not InfluxDB's, or says that    retried
                      the request was damaged on its way
+- NotKept            acknowledged points are not there                             retried
   +- LostOnce           for the first time, which InfluxDB does by itself
+- QueryTooLarge      a limit of the server, or of our memory: ask for less
|  +- TooManySeries      more series than the server lets a query read, in each shard perhaps
+- TypesChanged       a field has a type that was not known when the query was made
+- RequestTooLarge    the destination's cache cannot take so many points at once: write fewer
+- AccessDenied       401, 403, a certificate that cannot be trusted
+- NotFound           no such database or retention policy
+- SameServer         both addresses lead to one server, which would be copied onto itself
+- QueryRefused       any other error of a statement
+- WriteRefused       400 of InfluxDB's own, 413: fewer points may be stored
   +- FieldTypeConflict  the server holds the field with another type
"""

import copy
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self


class InfluxError(Exception):
    """A request that failed for good; the message says what was asked of which server, and what to do."""

    retryable = False
    severity = logging.WARNING
    """The level at which a retry is told."""
    retried = ""
    """What a retry does about it, where that is worth a word."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.cause = message
        """The message as it was at first, without what was being done."""

    def reworded(self, message: str) -> Self:
        """The same error with another message."""
        again = copy.copy(self)
        again.args = (message,)
        return again

    def during(self, what: str) -> Self:
        """The same error with what was being done in front of its message."""
        return self.reworded(f"{what}: {self}")


class Unreachable(InfluxError):
    """The server did not answer."""

    retryable = True


class Overloaded(InfluxError):
    """The server answered that it cannot, for now."""

    retryable = True


class IncompleteAnswer(InfluxError):
    """The answer cannot be proved complete, or to be InfluxDB's, so nothing of it counts."""

    retryable = True


class NotKept(InfluxError):
    """The server acknowledged points and does not have them."""

    retryable = True
    retried = "; writing it again"


class LostOnce(NotKept):
    """A race inside InfluxDB does that, rarely; the same request is not likely to meet it twice."""

    severity = logging.INFO


class QueryTooLarge(InfluxError):
    """The same question about a shorter range may be answered."""


class TooManySeries(QueryTooLarge):
    """The same about fewer shards may be answered; about one of them it never is."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}; raise coordinator.max-select-series of that server (0: no limit)")


class TypesChanged(InfluxError):
    """Fields have types by now (`types`: all of them) that the query was not made for: do not trust its answer."""

    def __init__(self, message: str, types: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.types = types


class RequestTooLarge(InfluxError):
    """Fewer points at once may be taken."""


class AccessDenied(InfluxError):
    """Wrong credentials, missing rights, or an untrusted certificate."""


class NotFound(InfluxError):
    """The database or the retention policy does not exist."""


class SameServer(InfluxError):
    """What would be copied is what would be written."""


class QueryRefused(InfluxError):
    """The server refuses the statement."""


class WriteRefused(InfluxError):
    """The server refuses points; others of the same request may have been stored, or be in a smaller one."""


class FieldTypeConflict(WriteRefused):
    """The server holds the field with another type in the same shard group, so it refuses all values there."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field
