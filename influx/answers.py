"""InfluxDB's answers in msgpack: documents as series, proved to be whole documents. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgpack

from basics.times import END_OF_TIME, MIN_TIME, SECOND
from influx.error_texts import statement_error
from influx.errors import IncompleteAnswer, QueryRefused


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
        raise statement_error(as_text(document[b"error"]))
    found = document.get(b"results", ())
    if not isinstance(found, tuple) or not all(isinstance(result, dict) for result in found):
        raise IncompleteAnswer("the answer is not a document of InfluxDB's")
    for result in found:
        if b"error" in result:
            raise statement_error(as_text(result[b"error"]))
        yield result


def document(content: bytes) -> dict[str, Any]:
    """The one document of an answer that has not been cut into several; stray bytes of text are surrogates.

    Raises for an error inside, and IncompleteAnswer for what is no such document.
    """
    unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape", strict_map_key=False)
    unpacker.feed(content + _NIL)  # which comes back alone at the end, unless half a document is there
    found = list(_documents(unpacker))
    documents = [part for part in found[:-1] if isinstance(part, dict)]
    given = [document.get("results") for document in documents]
    results = [result for part in given if isinstance(part, list) for result in part if isinstance(result, dict)]
    for part in (*documents, *results):
        if "error" in part:
            raise statement_error(str(part["error"]))
    if found[-1:] != [None] or len(found) != 2 or not results or given != [results]:
        raise IncompleteAnswer("the answer is not a document of InfluxDB's")
    if any(series.get("partial") for result in results for series in result.get("series", ())):
        raise QueryRefused("the server has cut the list (max-row-limit); raise that limit, or set it to 0")
    return dict(documents[0])


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
