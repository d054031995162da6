"""What InfluxDB's answers mean: msgpack documents as series, error texts and statuses as exceptions. Pure.

InfluxError
+- Unreachable        no connection, connection lost, no byte for the timeout       retried
+- Overloaded         5xx, 429, too many queries, query killed, server stopping     retried
+- IncompleteAnswer   the answer ended early, or is not InfluxDB's, or says that    retried
                      the request was damaged on its way
+- NotKept            acknowledged points are not there                             retried
   +- LostOnce           for the first time, which InfluxDB does by itself
+- QueryTooLarge      a limit of the server, or of our memory: ask for less
+- TypesChanged       a field has a type that was not known when the query was made
+- RequestTooLarge    the destination's cache cannot take so many points at once: write fewer
+- AccessDenied       401, 403, a certificate that cannot be trusted
+- NotFound           no such database or retention policy
+- QueryRefused       any other error of a statement
+- WriteRefused       400 of InfluxDB's own, 413: fewer points may be stored
   +- FieldTypeConflict  the server holds the field with another type
"""

import ast
import copy
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self

import msgpack

from timeline import END_OF_TIME
from values import MIN_TIME, SECOND


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


class QueryRefused(InfluxError):
    """The server refuses the statement."""


class WriteRefused(InfluxError):
    """The server refuses points; others of the same request may have been stored, or be in a smaller one."""


class FieldTypeConflict(WriteRefused):
    """The server holds the field with another type in the same shard group, so it refuses all values there."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer: text is raw bytes, times are nanoseconds."""

    name: str
    tags: Mapping[str, str]
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


def results(pieces: Iterable[bytes]) -> Iterator[dict[bytes, Any]]:
    """The result of each document in a chunked msgpack answer. Raises for errors inside and stray bytes."""
    unpacker = msgpack.Unpacker(raw=True, use_list=False, max_buffer_size=2**31 - 1, strict_map_key=False)
    for piece in pieces:
        unpacker.feed(piece)
        for document in _documents(unpacker):
            yield from _checked(document)
    unpacker.feed(_NIL)  # comes back alone, unless half a document is still waiting for its rest
    if list(_documents(unpacker)) != [None]:
        raise IncompleteAnswer("the answer ended in the middle of a document")


_NIL = b"\xc0"


def _documents(unpacker: msgpack.Unpacker) -> Iterator[Any]:
    try:
        yield from unpacker
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise IncompleteAnswer("the answer is not msgpack") from error


def _checked(document: Any) -> Iterator[dict[bytes, Any]]:  # noqa: ANN401 -- whatever the wire holds
    if not isinstance(document, dict):
        raise IncompleteAnswer("the answer is not a document of InfluxDB's")
    if b"error" in document:
        raise _statement_error(as_text(document[b"error"]))
    found = document.get(b"results", ())
    if not isinstance(found, tuple) or not all(isinstance(result, dict) for result in found):
        raise IncompleteAnswer("the answer is not a document of InfluxDB's")
    for result in found:
        if b"error" in result:
            raise _statement_error(as_text(result[b"error"]))
        yield result


def series_of(series: Mapping[bytes, Any]) -> Series:
    """A series of a document."""
    return Series(
        as_text(series.get(b"name", b"")),
        {as_text(k): as_text(v) for k, v in series.get(b"tags", {}).items()},
        tuple(map(as_text, series[b"columns"])),
        series.get(b"values", ()),
    )


def add_types(types: dict[str, tuple[str, ...]], series: Series) -> None:
    """Add what SHOW FIELD KEYS says of a measurement: field -> all its types."""
    for key, type_ in series.rows:
        name = as_text(key)
        types[name] = (*types.get(name, ()), as_text(type_))


def as_text(value: bytes | str | Any) -> str:  # noqa: ANN401 -- whatever the wire holds
    """Text of the wire as `str`, stray bytes as surrogates."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def shard_time(text: str) -> int:
    """A shard group's edge; the outermost ones lie beyond what a point's time can be."""
    seconds = int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    nanoseconds = seconds * SECOND
    return END_OF_TIME if nanoseconds > END_OF_TIME - SECOND else max(nanoseconds, MIN_TIME)


# ---------------------------------------------------------------- errors, pure

_ERRORS: tuple[tuple[str, type[InfluxError]], ...] = (
    (r"max-select-(point|series|buckets)|query-timeout", QueryTooLarge),
    (r"query (interrupted|aborted)|not executed|max-concurrent-queries|timeout", Overloaded),
    (r"engine (is closed|shutdown)|shutting down", Overloaded),
    (r"not authorized|authorization failed|unable to parse authentication|requires admin", AccessDenied),
    (r"(database|retention policy) not found", NotFound),
)
"""What the text of an error means; anything else is refused for good."""


def _statement_error(text: str) -> InfluxError:
    """The error of a statement, which comes inside an answer with status 200."""
    for pattern, error in _ERRORS:
        if re.search(pattern, text):
            return error(text)
    return QueryRefused(text)


def http_error(status: int, text: str) -> InfluxError:
    """The error that a status stands for, on reads and writes alike."""
    message = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status == 401:
        return AccessDenied(f"{message}; check user and password")
    if status == 403:
        return AccessDenied(f"{message}; the user lacks a right, grant ALL on the database or make it admin")
    if "retention policy not found" in text or "database not found" in text:
        return NotFound(message)
    if status >= 500 or status == 429:
        return Overloaded(message)
    return QueryRefused(message)


def query_error(status: int, text: str, *, is_influxdb: bool = True) -> InfluxError:
    """The error of a query's status other than 200. What a proxy says tells nothing about the query."""
    error = http_error(status, text)
    if isinstance(error, QueryRefused) and not is_influxdb:
        return IncompleteAnswer(f"{error}; that is not InfluxDB's answer, is a proxy in the way?")
    return _statement_error(text) if isinstance(error, QueryRefused) and text else error


_LONGEST_ANSWER = 2000
"""Characters of a refusal that are shown: InfluxDB may quote a line of megabytes."""

_DAMAGED = r"(unexpected )?EOF|(gzip|flate): .*"
"""What InfluxDB says of a compressed request that did not arrive as it was sent."""


_EXPIRED = (
    re.compile(r"partial write: points beyond retention policy dropped=(\d+)"),
    re.compile(
        r"partial write: dropped (\d+) points outside retention policy of duration \S+ - oldest .*"
        r" dropped=\1 for database: .*",
        re.DOTALL,
    ),
)
"""How versions before and from 1.12 on tell of points beyond retention, and of no other loss.

From 1.12 on a policy can also have a window of times that it takes. Such a policy counts points outside of it as
too old where no shard holds their time, and says "0 points outside write window": that is not believed.
"""


def expired(status: int, text: str, *, is_influxdb: bool) -> int:
    """How many points of a write were beyond retention, when all others were stored; 0 after a plain 204.

    The server gives this reason only after every shard has acknowledged its points. Raises the error for every
    other answer. Names of the user's may stand in the text, so all of it must match.

    `is_influxdb`: the answer bears InfluxDB's marks. Only InfluxDB itself can refuse points; what a proxy thinks
    of them says nothing about them, but for 413, which a smaller request gets past whoever said it.
    """
    if is_influxdb and status == 204:
        return 0
    if is_influxdb and status == 400:
        return _refused_write(text)
    error = http_error(status, text)
    if status == 413:
        raise WriteRefused(str(error))
    if isinstance(error, QueryRefused):
        raise IncompleteAnswer(f"{error}; that is not InfluxDB's answer to a write, is a proxy in the way?")
    raise error


def _refused_write(text: str) -> int:
    """What InfluxDB's own 400 means: points beyond retention, counted, or the error."""
    for words in _EXPIRED:
        expired = words.fullmatch(text)
        if expired:
            return int(expired[1])
    if re.fullmatch(_DAMAGED, text):
        raise IncompleteAnswer(f"the request was damaged on its way: {text}")
    conflict = re.match(
        r'partial write: field type conflict: input field "(.*)" on measurement "(.*)" is type (\w+), '
        r"already exists as type (\w+)",
        text,
        re.DOTALL,
    )
    if conflict:
        name, measurement, ours, theirs = conflict.groups()
        if " for database: " in text[conflict.end() :]:  # from 1.12 on, names are quoted
            name, measurement = _unquoted(name), _unquoted(measurement)
        text = text[:_LONGEST_ANSWER]
        raise FieldTypeConflict(
            f"field {name!r} of measurement {measurement!r} is {ours} in the source and {theirs} in the "
            f"destination; rename or drop one of them, or copy into another database ({text})",
            name,
        )
    raise WriteRefused(f"HTTP 400: {text[:_LONGEST_ANSWER]}")  # whatever names of the user's stand in it


def _unquoted(name: str) -> str:
    """A name that Go has quoted, whose escapes Python knows."""
    try:
        return str(ast.literal_eval(f'"{name}"'))
    except (ValueError, SyntaxError):
        return name


def error_text(content: bytes) -> str:
    """What an error's body says: InfluxDB's own message, or the start of whatever else came."""
    message = influxdb_message(content)
    return " ".join(content[:200].decode("utf-8", "replace").split()) if message is None else message


def influxdb_message(content: bytes) -> str | None:
    """InfluxDB's own message in an error's body; None when the body holds none."""
    for read in (_unpacked, json.loads):
        try:
            document = read(content)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
            continue
        if isinstance(document, dict) and "error" in document:
            return str(document["error"]).strip()
    return None


def _unpacked(content: bytes) -> object:
    # the server quotes names and values in its messages, and those may hold stray bytes
    return msgpack.unpackb(content, unicode_errors="backslashreplace")


def reason(error: BaseException) -> str:
    """The innermost cause of a failed request, in the system's words: `Connection refused`."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        inner = getattr(current, "reason", None)
        arguments = [inner, *current.args] if isinstance(current, Exception) else []
        nested = next((a for a in arguments if isinstance(a, BaseException)), None)
        current = nested or current.__cause__ or current.__context__
    innermost = seen[-1]
    if isinstance(innermost, OSError) and innermost.strerror:
        return innermost.strerror
    return str(innermost) or type(innermost).__name__
