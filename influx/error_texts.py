"""What a status and the text of an error mean, as exceptions. Pure."""

import ast
import csv
import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgpack

from influx.errors import (
    AccessDenied,
    FieldTypeConflict,
    IncompleteAnswer,
    InfluxError,
    NotFound,
    Overloaded,
    QueryRefused,
    QueryTooLarge,
    TooManySeries,
    WriteRefused,
)

_ERRORS: tuple[tuple[str, type[InfluxError]], ...] = (
    (r"max-select-series", TooManySeries),
    (r"max-select-(point|buckets)|query-timeout", QueryTooLarge),
    (r"query (interrupted|aborted)|not executed|max-concurrent-queries|timeout", Overloaded),
    (r"engine (is closed|shutdown)|shutting down", Overloaded),
    (r"not authorized|authorization failed|unable to parse authentication|requires admin", AccessDenied),
    (r"(database|retention policy) not found", NotFound),
)
"""What the text of an error means; anything else is refused for good."""


_NO_QUESTION = 'missing required parameter "q"'
"""What InfluxDB says of a form that is longer than it reads."""


def statement_error(text: str) -> InfluxError:
    """The error of a statement, which comes inside an answer with status 200."""
    for pattern, error in _ERRORS:
        if re.search(pattern, text):
            return error(text)
    if text == _NO_QUESTION:
        return QueryRefused(f"{text}: its names are longer than the 10 MB that InfluxDB reads; exclude fields")
    return QueryRefused(text)


def lacking_right(text: str, role: str) -> str:
    """What to do about a 403: reading takes READ, the destination takes more, some things only administrators."""
    if "admin privilege" in text:
        return "only an administrator may do that"
    return f"grant {'READ' if role == 'source' else 'ALL'} on the database"


def http_error(status: int, text: str, role: str = "") -> InfluxError:
    """The error that a status stands for, on reads and writes alike; `role` is that of the server."""
    message = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    if status == 401:
        return AccessDenied(f"{message}; check user and password")
    if status == 403:
        return AccessDenied(f"{message}; the user lacks a right: {lacking_right(text, role)}")
    if "retention policy not found" in text or "database not found" in text:
        return NotFound(message)
    if status >= 500 or status == 429:
        return Overloaded(message)
    return QueryRefused(message)


def query_error(status: int, text: str, *, is_influxdb: bool = True, role: str = "") -> InfluxError:
    """The error of a query's status other than 200. What a proxy says tells nothing about the query."""
    error = http_error(status, text, role)
    if isinstance(error, QueryRefused) and not is_influxdb:
        return IncompleteAnswer(f"{error}; that is not InfluxDB's answer, is a proxy in the way?")
    return statement_error(text) if isinstance(error, QueryRefused) and text else error


def newer_version(headers: Mapping[str, str]) -> str:
    """The version of a server of another generation, by the headers of its answer to a ping; empty: none."""
    version = headers.get("X-Influxdb-Version", "")
    return version.removeprefix("v") if re.match(r"v?([2-9]|[1-9]\d+)\.", version) else ""


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


def expired(status: int, text: str, *, is_influxdb: bool, role: str = "") -> int:
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
    error = http_error(status, text, role)
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
        raise FieldTypeConflict(f"{type_conflict(measurement, name, ours, theirs)} ({text})", name)
    raise WriteRefused(f"HTTP 400: {text[:_LONGEST_ANSWER]}")  # whatever names of the user's stand in it


def type_conflict(measurement: str, field: str, ours: str, theirs: str) -> str:
    """Two types of a field in one shard group of the destination, in words."""
    return (
        f"field {field!r} of measurement {measurement!r} is {ours} in the source and {theirs} in the destination; "
        "rename or drop one of them, or copy into another database"
    )


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
    for read in (_unpacked, json.loads, _from_csv):
        try:
            document = read(content)
        except (ValueError, TypeError, RecursionError, csv.Error, msgpack.UnpackException):
            continue
        if isinstance(document, dict) and "error" in document:
            return str(document["error"]).strip()
    return None


def _from_csv(content: bytes) -> object:
    """The message of an error in CSV: a table of one column and one row."""
    rows = list(csv.reader(content.decode("utf-8", "backslashreplace").splitlines(keepends=True)))
    return {"error": rows[1][0]} if len(rows) == 2 and rows[0] == ["error"] and rows[1] else None


def _unpacked(content: bytes) -> object:
    # the server quotes names and values in its messages, and those may hold stray bytes
    return msgpack.unpackb(content, unicode_errors="backslashreplace")


_TLS_ANSWERS = re.compile(r"HTTPS (server|port)|\\x15\\x03|\x15\x03")
"""What servers and proxies answer who speak TLS and were asked without: in words, or an alert of TLS itself."""


def needs_tls(url: str, answer: str) -> str:
    """What is wrong with an http:// URL, by the answer there or the reason that there is none; empty: nothing."""
    is_tls = url.startswith("http://") and _TLS_ANSWERS.search(answer)
    return "TLS is spoken there: write https://" if is_tls else ""


def names_no_port(url: str) -> str:
    """What may be wrong with an http:// URL where no InfluxDB answers; empty where it names a port or a path."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.port or parts.path:
        return ""
    return f"the url names no port, so that is port 80: did you mean {url}:8086?"


def reason(error: BaseException) -> str:
    """The innermost cause of a failed request, in the system's words: `Connection refused`.

    An error of ours is none: it is what was being dealt with when the request was made.
    """
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen and not (seen and isinstance(current, InfluxError)):
        seen.append(current)
        inner = getattr(current, "reason", None)
        arguments = [inner, *current.args] if isinstance(current, Exception) else []
        nested = next((a for a in arguments if isinstance(a, BaseException)), None)
        current = nested or current.__cause__ or current.__context__
    innermost = seen[-1]
    if isinstance(innermost, OSError) and innermost.strerror:
        return innermost.strerror
    return str(innermost) or type(innermost).__name__
