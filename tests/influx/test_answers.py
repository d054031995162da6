"""Answers: what the server says becomes the right exception, and half an answer never counts as a whole one."""

from __future__ import annotations

import json
import socket
from typing import Any

import msgpack
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from influx import answers, error_texts
from influx.answers import Series
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
    Unreachable,
    WriteRefused,
)

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=300)
MIN_TIME, END_OF_TIME = -9223372036854775806, 9223372036854775807


# ---------------------------------------------------------------- documents


def packed(document: Any) -> bytes:  # noqa: ANN401 -- any document
    """A document as the server sends it; text and bytes alike are msgpack strings."""
    data: bytes = msgpack.packb(document, use_bin_type=False)
    return data


def answer(*values: list[Any], partial: bool = False, statement: int = 0) -> dict[str, Any]:
    """A document with one series, or none."""
    result: dict[str, Any] = {"statement_id": statement}
    if values:
        result["series"] = [{"name": "m", "columns": ["time", "f", "t"], "values": list(values)}]
    if partial:
        result["partial"] = True
    return {"results": [result]}


FIRST = answer([1, 1.5, b"a\xff"], [2, None, None], partial=True)
SECOND = answer([3, -(2**63), "🚀 \0\n"], [4, True, ""])
END = answer(["db"], statement=1)
DOCUMENTS = [packed(document) for document in (FIRST, SECOND, END)]


def statements(data: bytes, size: int = 1 << 18) -> list[dict[bytes, Any]]:
    """The results of an answer that arrives in pieces."""
    return list(answers.results(data[i : i + size] for i in range(0, len(data), size)))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_an_answer_is_read_the_same_however_it_is_cut_into_pieces(size: int) -> None:
    """The network's pieces are not the server's documents."""
    found = statements(b"".join(DOCUMENTS), size)
    assert [result[b"statement_id"] for result in found] == [0, 0, 1]
    assert [b"partial" in result for result in found] == [True, False, False]
    assert answers.series_of(found[0][b"series"][0]).rows == ((1, 1.5, b"a\xff"), (2, None, None))
    assert answers.series_of(found[1][b"series"][0]).rows == ((3, -(2**63), "🚀 \0\n".encode()), (4, True, b""))


def test_an_answer_cut_off_anywhere_is_never_taken_for_a_whole_one() -> None:
    """In the middle of a document it is an error; at a document's edge, what was to come is missing."""
    data = b"".join(DOCUMENTS)
    edges = {0: 0, len(DOCUMENTS[0]): 1, len(DOCUMENTS[0] + DOCUMENTS[1]): 2}
    for length in range(len(data)):
        if length in edges:
            assert len(statements(data[:length])) == edges[length]
        else:
            with pytest.raises(IncompleteAnswer, match="in the middle"):
                statements(data[:length])
            with pytest.raises(IncompleteAnswer, match="in the middle"):
                statements(data[:length], 1)


@pytest.mark.parametrize(
    "garbage",
    [b"\0", b"\n", b" ", b"\xc0", b"\xc1", b"\x80\x01", b"{}", b"<html>", b'{"results":[]}', b"\x81", b"\xd9"],
)
def test_bytes_after_the_last_document_are_an_error(garbage: bytes) -> None:
    """Whatever they are, this is not how InfluxDB ends an answer."""
    with pytest.raises(IncompleteAnswer):
        statements(b"".join(DOCUMENTS) + garbage)


@pytest.mark.parametrize(
    "body",
    [b"<html>502 Bad Gateway</html>", b'{"results":[{"statement_id":0}]}', b"name,tags,time\n", b"\xff\xff",
     b"\xc1",
     packed([1, 2]), packed("text"), packed(None), packed([{"results": []}]), b"\x91" * 5000,
     b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc7\x03\xff\0\0\0", b"\xd6\xff\0\0\0\0"],
)  # fmt: skip
def test_an_answer_that_is_not_influxdbs_is_incomplete(body: bytes) -> None:
    """A proxy's page with status 200 is worth a retry, never an empty result."""
    with pytest.raises(IncompleteAnswer):
        statements(body)


@pytest.mark.parametrize(
    "body",
    [packed({"results": 5}), packed({"results": None}), packed({"results": [None]}), packed({"results": [5]}),
     packed({"results": ["error"]}), packed({"results": {"error": "x"}}), b"\x81\x80\x00"],
)  # fmt: skip
def test_a_document_of_another_shape_is_incomplete_too(body: bytes) -> None:
    """It is reported like every other failure, not as a mistake in the tool."""
    with pytest.raises(InfluxError):
        statements(body)


@given(st.binary(max_size=12), st.integers(0, 200), st.integers(0, 255))
@REPRODUCIBLE
def test_a_damaged_answer_never_raises_anything_unexpected(extra: bytes, position: int, byte: int) -> None:
    """One byte changed, or stray bytes at the end: some results, or an error of ours."""
    data = bytearray(b"".join(DOCUMENTS))
    data[position % len(data)] = byte
    try:
        statements(bytes(data) + extra)
    except InfluxError as error:
        assert str(error)  # noqa: PT017 -- both ways are allowed


def test_no_bytes_are_no_results() -> None:
    """The reader then misses the end of the answer."""
    assert list(answers.results([])) == []
    assert list(answers.results([b"", b""])) == []


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"results": [{"statement_id": 0, "error": "query interrupted"}]}, Overloaded),
        ({"results": [{"statement_id": 0}, {"statement_id": 1, "error": "timeout"}]}, Overloaded),
        (
            {"results": [{"statement_id": 0, "series": [], "partial": True, "error": "engine is closed"}]},
            Overloaded,
        ),
        ({"error": "max-select-point limit exceeed: (5/4)"}, QueryTooLarge),
        ({"error": "error parsing query: found EOF"}, QueryRefused),
        ({"error": b"field \xff"}, QueryRefused),
    ],
)
def test_an_error_between_good_documents_ends_the_answer(document: Any, error: type[InfluxError]) -> None:  # noqa: ANN401
    """What came before it was handed out, what comes after it is not: the reader must drop all of it."""
    found: list[Any] = []
    with pytest.raises(error) as caught:
        found.extend(answers.results([DOCUMENTS[0] + packed(document) + DOCUMENTS[1] + DOCUMENTS[2]]))
    assert type(caught.value) is error
    assert found[0][b"partial"]
    assert all(result.get(b"statement_id") == 0 for result in found)
    assert not any(b"error" in result for result in found)


def test_an_error_after_the_last_rows_is_not_overlooked() -> None:
    """A killed query may end with it, after a chunk that is not marked as partial."""
    with pytest.raises(Overloaded, match="query interrupted"):
        statements(packed(answer([1, 2, 3])) + packed({"results": [{"error": "query interrupted"}]}))


def test_a_series_has_names_as_text_and_values_as_they_came() -> None:
    """Stray bytes in names survive as surrogates; values stay bytes."""
    document = {
        "name": b"m\xff",
        "tags": {b"k\xfe": b"", "é": b"\x80"},
        "columns": ["time", b"\xff"],
        "values": [[1, b"\xff"]],
    }
    (found,) = statements(packed({"results": [{"series": [document]}]}))
    assert answers.series_of(found[b"series"][0]) == Series(
        "m\udcff", {"k\udcfe": "", "é": "\udc80"}, ("time", "\udcff"), ((1, b"\xff"),)
    )


def test_a_series_without_name_tags_or_values_is_empty() -> None:
    """SHOW statements leave them out."""
    assert answers.series_of({b"columns": (b"name",)}) == Series("", {}, ("name",), ())


@pytest.mark.parametrize(
    ("value", "text"),
    [(b"a\xff", "a\udcff"), ("é".encode(), "é"), (b"", ""), ("x", "x"), (5, "5"), (True, "True")],
)
def test_text_of_the_wire_becomes_text(value: Any, text: str) -> None:  # noqa: ANN401
    """Whatever bytes it holds, it can be turned back."""
    assert answers.as_text(value) == text


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-29T00:00:00Z", -259_200_000_000_000),
        ("2024-01-01T00:00:00Z", 1_704_067_200_000_000_000),
        ("1677-09-21T00:12:44Z", -9_223_372_036_000_000_000),
        ("1677-09-21T00:12:43Z", MIN_TIME),
        ("1677-09-20T00:00:00Z", MIN_TIME),
        ("0001-01-01T00:00:00Z", MIN_TIME),
        ("2262-04-11T23:47:15Z", 9_223_372_035_000_000_000),
        ("2262-04-11T23:47:16Z", END_OF_TIME),
        ("2262-04-14T00:00:00Z", END_OF_TIME),
        ("9999-12-31T23:59:59Z", END_OF_TIME),
    ],
)
def test_an_edge_of_a_shard_group_lies_inside_time(text: str, nanoseconds: int) -> None:
    """The first group starts before the first nanosecond, the last ends within its last second."""
    assert answers.shard_time(text) == nanoseconds


# ---------------------------------------------------------------- errors of statements


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("query interrupted", Overloaded),
        ("not executed", Overloaded),  # what a KILL QUERY leaves of the statements after it
        ("max-concurrent-queries limit exceeded(4, 4)", Overloaded),
        ("engine is closed", Overloaded),
        ("server is shutting down", Overloaded),
        ("query engine shutdown", Overloaded),
        ("timeout", Overloaded),
        ("query-timeout limit exceeded", QueryTooLarge),
        ("max-select-point limit exceeed: (11/10)", QueryTooLarge),
        ("max-select-series limit exceeded: (2/1)", TooManySeries),
        ("max-select-buckets limit exceeded: (2/1)", QueryTooLarge),
        ("authorization failed", AccessDenied),
        ("unable to parse authentication credentials", AccessDenied),
        ("error authorizing query: u not authorized to execute statement 'SHOW SHARDS', requires admin privilege",
         AccessDenied),
        ("database not found: telegraf", NotFound),
        ("retention policy not found: autogen", NotFound),
        ("measurement not found", QueryRefused),
        ("error parsing query: found FRM, expected FROM at line 1, char 10", QueryRefused),
        ("retention policy name already exists", QueryRefused),
        ("retention policy conflicts with an existing policy", QueryRefused),
        ("unsupported mean iterator type: *query.stringIterator", QueryRefused),
        ("", QueryRefused),
    ],
)  # fmt: skip
def test_the_text_of_an_error_says_whether_to_retry_to_ask_for_less_or_to_give_up(
    text: str, error: type[InfluxError]
) -> None:
    """Inside an answer with status 200, and with status 400 alike; the message keeps the server's words."""
    with pytest.raises(error) as caught:
        statements(packed({"results": [{"error": text}]}))
    assert type(caught.value) is error
    remedy = "; raise coordinator.max-select-series of that server (0: no limit)" if error is TooManySeries else ""
    assert str(caught.value) == text + remedy
    assert type(error_texts.query_error(400, text)) is error


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (Unreachable, True),
        (Overloaded, True),
        (IncompleteAnswer, True),
        (QueryTooLarge, False),
        (AccessDenied, False),
        (NotFound, False),
        (QueryRefused, False),
        (WriteRefused, False),
        (FieldTypeConflict, False),
    ],
)
def test_only_what_may_pass_is_retried(error: type[InfluxError], retryable: bool) -> None:
    """A refusal stays one however often it is asked for."""
    assert error("x").retryable is retryable


def test_an_error_says_what_was_being_done_and_keeps_its_kind() -> None:
    """Messages are chained, the widest first."""
    error = QueryTooLarge("too many points").during("[a, b)").during("copy cpu")
    assert type(error) is QueryTooLarge
    assert str(error) == "copy cpu: [a, b): too many points"


# ---------------------------------------------------------------- errors of requests


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "error parsing query", QueryRefused),
        (404, "page not found", QueryRefused),
        (302, "", QueryRefused),
        (413, "Request Entity Too Large", QueryRefused),
        (428, "", QueryRefused),
        (430, "", QueryRefused),
        (499, "", QueryRefused),
        (401, "authorization failed", AccessDenied),
        (401, "database not found", AccessDenied),
        (403, '"u" user is not authorized to write to database "d"', AccessDenied),
        (404, 'database not found: "d"', NotFound),
        (500, 'retention policy not found: "p"', NotFound),
        (429, "too many requests", Overloaded),
        (500, "timeout", Overloaded),
        (500, "engine: cache-max-memory-size exceeded: (1/0)", Overloaded),
        (500, "write failed: no space left on device", Overloaded),
        (502, "<html> Bad Gateway", Overloaded),
        (503, "hinted handoff queue full", Overloaded),
        (504, "", Overloaded),
    ],
)
def test_a_status_stands_for_an_error(status: int, text: str, error: type[InfluxError]) -> None:
    """The message has both the status and the server's words."""
    found = error_texts.http_error(status, text)
    assert type(found) is error
    assert str(found).startswith(f"HTTP {status}: {text}" if text else f"HTTP {status}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"error\nno such thing\n", "no such thing"),
        (b'error\n"one, two"\n', "one, two"),
        (b'error\n"one\ntwo"\n', "one\ntwo"),
        (b"error\none\ntwo\n", "error one two"),
        (b"error\n\n", "error"),
        (b"error\n", "error"),
        (b"name,tags\ncpu,\n", "name,tags cpu,"),
        (b'{"error": "of JSON"}', "of JSON"),
    ],
)
def test_the_message_of_an_error_is_found_in_its_body(content: bytes, said: str) -> None:
    """In CSV it is a table of one column and one row; whatever else came is told as it is."""
    assert error_texts.error_text(content) == said


@pytest.mark.parametrize(("status", "advice"), [(401, "check user and password"), (403, "lacks a right")])
def test_a_denied_request_says_what_to_do(status: int, advice: str) -> None:
    """The remedy is in the message."""
    assert advice in str(error_texts.http_error(status, "x"))


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "", QueryRefused),
        (401, "timeout", AccessDenied),
        (500, "max-select-point limit exceeded", Overloaded),
        (503, "", Overloaded),
        (404, "database not found", NotFound),
    ],
)
def test_the_status_of_a_query_wins_over_its_text_unless_it_is_a_plain_refusal(
    status: int, text: str, error: type[InfluxError]
) -> None:
    """Only a 4xx without a meaning of its own is looked into."""
    assert type(error_texts.query_error(status, text)) is error


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, IncompleteAnswer),
        (404, IncompleteAnswer),
        (401, AccessDenied),
        (403, AccessDenied),
        (429, Overloaded),
        (503, Overloaded),
    ],
)
def test_what_a_proxy_says_of_a_query_tells_nothing_about_it(status: int, error: type[InfluxError]) -> None:
    """A refusal of its own may pass; that it is busy, or wants a password, it may say."""
    found = error_texts.query_error(status, "<html>", is_influxdb=False)
    assert type(found) is error
    assert ("is a proxy in the way?" in str(found)) is (error is IncompleteAnswer)


# ---------------------------------------------------------------- refused writes


DROPPED = (
    "partial write: dropped {} points outside retention policy of duration 168h0m0s{} - oldest n at "
    "2026-10-25T15:47:31.096921554Z dropped because it violates a Retention Policy Lower Bound at "
    "2026-11-17T15:47:31.993672855Z, newest m at 2026-11-14T15:47:31.096921554Z dropped because it violates a "
    "{} at 2026-11-17T15:47:31.993672855Z dropped={} for database: d b for retention policy: p"
)
"""How 1.12 says it: first and last stand in it with their measurements, and a write window if there is one."""
TOO_OLD = "Retention Policy Lower Bound"
WINDOW = " and {} points outside write window (-24h0m0s to 1h0m0s)"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (DROPPED.format(2, "", TOO_OLD, 2), 2),
        (DROPPED.format(2, "", TOO_OLD, 2).replace("oldest n", "oldest a\nb"), 2),
        ("partial write: points beyond retention policy dropped=1", 1),
        ("partial write: points beyond retention policy dropped=10000", 10_000),
        ("partial write: points beyond retention policy dropped=0", 0),
    ],
)
def test_points_beyond_retention_are_counted(text: str, count: int) -> None:
    """All others of that request are stored."""
    assert error_texts.expired(400, text, is_influxdb=True) == count


CONFLICT = (
    'partial write: field type conflict: input field "{}" on measurement "{}" is type {}, '
    "already exists as type {} dropped=1"
)


@pytest.mark.parametrize(
    ("name", "measurement"),
    [("f", "m"), ('f"', 'm "x"'), ('a" on measurement b', "m"), ("a\nb", "m\\\nn"), ("🚀", "é"), ("", "")],
)
def test_a_type_conflict_is_named_with_field_measurement_and_both_types(name: str, measurement: str) -> None:
    """Whatever quotes or newlines the names hold."""
    with pytest.raises(FieldTypeConflict) as caught:
        error_texts.expired(400, CONFLICT.format(name, measurement, "integer", "float"), is_influxdb=True)
    message = str(caught.value)
    assert caught.value.field == name
    assert CONFLICT.format(name, measurement, "integer", "float") in message
    assert message.startswith(
        f"field {name!r} of measurement {measurement!r} is integer in the source and float in the "
    )
    assert isinstance(caught.value, WriteRefused)


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("f", "f"),
        ('a\\"b', 'a"b'),
        ("a\\\\b", "a\\b"),
        ("\\t\\u200b\\x7f", "\t\u200b\x7f"),
        ('a"b', 'a"b'),
        ("a\\", "a\\"),
    ],
)
def test_names_that_1_12_quotes_in_a_conflict_are_known_again(shown: str, name: str) -> None:
    """With the escapes of Go; a name that is not quoted well stays as it is."""
    text = CONFLICT.format(shown, "m", "integer", "float") + " for database: d for retention policy: p"
    with pytest.raises(FieldTypeConflict) as caught:
        error_texts.expired(400, text, is_influxdb=True)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "unable to parse 'm f=': missing field value", WriteRefused),
        (400, "partial write: max-series-per-database limit exceeded: (1000000) dropped=3", WriteRefused),
        (400, "partial write: max-values-per-tag limit exceeded (1/1) dropped=3", WriteRefused),
        (
            400,
            'partial write: max-values-per-tag limit exceeded: value="database not found" dropped=1',
            WriteRefused,
        ),
        (400, "field type conflict", WriteRefused),
        (400, "partial write: points beyond retention policy dropped=1 and others", WriteRefused),
        (400, "partial write: points beyond retention policy dropped=1\nm v=1", WriteRefused),
        (400, "partial write: points beyond retention policy dropped=1 dropped=3", WriteRefused),
        (400, "others: partial write: points beyond retention policy dropped=1", WriteRefused),
        (400, "partial write: points beyond retention policy dropped=", WriteRefused),
        (400, "unexpected EOF", IncompleteAnswer),
        (400, "EOF", IncompleteAnswer),
        (400, "gzip: invalid header", IncompleteAnswer),
        (400, "gzip: invalid checksum", IncompleteAnswer),
        (400, "flate: corrupt input before offset 5", IncompleteAnswer),
        (413, "Request Entity Too Large", WriteRefused),
        (404, 'database not found: "d"', NotFound),
        (500, "retention policy not found", NotFound),
        (500, "timeout", Overloaded),
        (503, "queue full", Overloaded),
        (500, "partial write: points beyond retention policy dropped=3", Overloaded),
        (401, "authorization failed", AccessDenied),
        (403, "not authorized", AccessDenied),
        (200, "", IncompleteAnswer),
        (302, "", IncompleteAnswer),
        (404, "404 page not found", IncompleteAnswer),
    ],
)
def test_every_other_refusal_of_a_write_is_an_error(status: int, text: str, error: type[InfluxError]) -> None:
    """Nothing but 204 and points beyond retention counts as written."""
    with pytest.raises(error) as caught:
        error_texts.expired(status, text, is_influxdb=True)
    assert type(caught.value) is error


def test_an_acknowledged_write_has_lost_nothing() -> None:
    """204, from InfluxDB."""
    assert error_texts.expired(204, "", is_influxdb=True) == 0


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (204, "", IncompleteAnswer),
        (200, "<html>Please log in</html>", IncompleteAnswer),
        (400, "<html>Bad Request</html>", IncompleteAnswer),
        (400, "partial write: points beyond retention policy dropped=3", IncompleteAnswer),
        (405, "", IncompleteAnswer),
        (413, "<html>Request Entity Too Large</html>", WriteRefused),
        (401, "", AccessDenied),
        (403, "", AccessDenied),
        (502, "<html>Bad Gateway</html>", Overloaded),
    ],
)
def test_what_stands_between_refuses_no_points(status: int, text: str, error: type[InfluxError]) -> None:
    """A proxy's opinion is asked for again; only its limit on the size of a request is met with a smaller one."""
    with pytest.raises(error) as caught:
        error_texts.expired(status, text, is_influxdb=False)
    assert type(caught.value) is error


def test_an_error_keeps_its_kind_and_its_first_words_whatever_is_added() -> None:
    """What was being done stands in front; the cause and the field stay."""
    first = FieldTypeConflict("refused", "v")
    error = first.during("write").during("copy")
    assert str(error) == "copy: write: refused"
    assert (type(error), error.cause, error.field) == (FieldTypeConflict, "refused", "v")
    assert str(first) == "refused"


@pytest.mark.parametrize(
    "text",
    [
        CONFLICT.format("points beyond retention policy dropped=3", "m", "integer", "float"),
        CONFLICT.format("f", "points beyond retention policy dropped=3", "integer", "float"),
        "unable to parse 'm f=\"points beyond retention policy dropped=3\" x': bad timestamp",
        DROPPED.format(2, WINDOW.format(3), "Write Window Upper Bound", 5),
        DROPPED.format(2, WINDOW.format(0), TOO_OLD, 2),
        DROPPED.format(2, "", TOO_OLD, 5),
        CONFLICT.format(DROPPED.format(2, "", TOO_OLD, 2), "m", "integer", "float"),
    ],
)
def test_a_name_or_value_cannot_pass_for_points_beyond_retention(text: str) -> None:
    """The server quotes names and lines in its errors; a loss must not hide behind one."""
    with pytest.raises(WriteRefused):
        error_texts.expired(400, text, is_influxdb=True)


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"database not found: \\"d\\""}\n', 'database not found: "d"'),
        (b'{"error":" padded \\u00e9 "}', "padded é"),
        (packed({"error": "timeout"}), "timeout"),
        (packed({"error": "é"}), "é"),
        (b"", ""),
        (b" \n ", ""),
        (
            b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n",
            "<html> <head><title>502 Bad Gateway</title></head>",
        ),
        (b"404 page not found\n", "404 page not found"),
        (b'{"message":"no"}', '{"message":"no"}'),
        (b'["error"]', '["error"]'),
        (b'"error"', '"error"'),
        (b"12", "12"),
        (b'{"error":"cut', '{"error":"cut'),
        (b"\xff\xfe bad", "\ufffd\ufffd bad"),
        (b"x" * 500, "x" * 200),
    ],
)
def test_the_message_of_an_error_is_found_in_any_body(body: bytes, text: str) -> None:
    """JSON and msgpack hold it under `error`; of all else the beginning is shown, on one line."""
    assert error_texts.error_text(body) == text


@given(st.one_of(st.binary(max_size=40), st.dictionaries(st.text(max_size=6), st.integers(-9, 2**63)).map(packed)))
@REPRODUCIBLE
def test_no_body_is_too_strange_for_a_message(body: bytes) -> None:
    """An error is never replaced by another one while it is being read."""
    error_texts.error_text(body)


def test_a_body_nested_without_end_has_a_message() -> None:
    """Nor by one of the JSON reader."""
    assert error_texts.error_text(b"[" * 100_000).startswith("[[[")


def test_the_reason_of_a_refused_connection_is_the_systems_own() -> None:
    """Not the five layers of libraries around it."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(f"http://127.0.0.1:{unused.getsockname()[1]}/ping", timeout=5)
    assert error_texts.reason(caught.value) == "Connection refused"


def chained(outer: BaseException, inner: BaseException) -> BaseException:
    """`raise outer from inner`."""
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("plain"), "plain"),
        (ValueError(), "ValueError"),
        (OSError(111, "Connection refused"), "Connection refused"),
        (OSError("no number"), "no number"),
        (TimeoutError(), "TimeoutError"),
        (RuntimeError("outer", ValueError("inner")), "inner"),
        (RuntimeError(ValueError(OSError(32, "Broken pipe"))), "Broken pipe"),
        (chained(RuntimeError("outer"), KeyError("inner")), "'inner'"),
        (chained(RuntimeError("outer", ValueError("argument")), KeyError("cause")), "argument"),
    ],
)
def test_the_reason_is_the_innermost_cause(error: BaseException, text: str) -> None:
    """Arguments first, then the chain of causes; an error without words is named by its type."""
    assert error_texts.reason(error) == text


@pytest.mark.parametrize(
    ("url", "answer", "is_needed"),
    [
        ("http://a:8086", "Client sent an HTTP request to an HTTPS server.", True),
        ("http://a:443", "<html>The plain HTTP request was sent to HTTPS port</html>", True),
        ("http://a:8086", "BadStatusLine('\\x15\\x03\\x01')", True),
        ("http://a:8086", "\x15\x03\x01\0\x02\x02", True),
        ("https://a:8086", "Client sent an HTTP request to an HTTPS server.", False),
        ("http://a:8086", "<html>404</html>", False),
        ("http://a:8086", "", False),
    ],
)
def test_who_speaks_tls_is_known_by_the_answer(url: str, answer: str, is_needed: bool) -> None:
    """And told only where the url does not say so already."""
    assert error_texts.needs_tls(url, answer) == ("TLS is spoken there: write https://" if is_needed else "")


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("http://a", True),
        ("http://a:80", False),
        ("http://a:8086", False),
        ("http://a/influx", False),
        ("https://a", False),
    ],
)
def test_a_port_that_is_missing_is_suggested(url: str, is_told: bool) -> None:
    """Unless a path tells that a proxy is meant; https has a port of its own that may well be right."""
    text = f"the url names no port, so that is port 80: did you mean {url}:8086?"
    assert error_texts.names_no_port(url) == (text if is_told else "")


def test_an_error_that_is_its_own_cause_has_a_reason() -> None:
    """A circle comes to an end."""
    one, two = ValueError("one"), ValueError("two")
    one.__context__, two.__context__ = two, one
    assert error_texts.reason(one) == "two"


def test_a_json_error_of_influxdb_reaches_the_exception_unchanged() -> None:
    """From the body to the class, as a failed write goes."""
    body = json.dumps({"error": CONFLICT.format("f", "m", "string", "float")}).encode()
    with pytest.raises(FieldTypeConflict, match="field 'f' of measurement 'm' is string in the source and float"):
        error_texts.expired(400, error_texts.error_text(body), is_influxdb=True)


def test_a_refusal_that_quotes_a_long_line_is_shown_shortened() -> None:
    """A message of megabytes helps nobody."""
    with pytest.raises(WriteRefused) as caught:
        error_texts.expired(400, "unable to parse 'm s=\"" + "x" * 1_000_000, is_influxdb=True)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    ("version", "newer"),
    [("1.6.7~rc0", ""), ("v1.12.4", ""), ("", ""), ("unknown", ""), ("v2.7.1", "2.7.1"), ("3.1.0-nightly",) * 2,
     ("10.0", "10.0"), ("0.9.6", "")],
)  # fmt: skip
def test_a_server_of_another_generation_is_known_by_its_version(version: str, newer: str) -> None:
    """Everything from 2 on."""
    assert error_texts.newer_version({"X-Influxdb-Version": version}) == newer
    assert error_texts.newer_version({}) == ""


@pytest.mark.parametrize(
    ("text", "role", "advice"),
    [
        ("u not authorized, requires admin privilege", "source", "only an administrator may do that"),
        ("u not authorized", "source", "grant READ on the database"),
        ("u not authorized", "destination", "grant ALL on the database"),
    ],
)
def test_a_missing_right_is_named_for_the_side_it_is_missing_at(text: str, role: str, advice: str) -> None:
    """In queries and in writes."""
    assert str(error_texts.http_error(403, text, role)).endswith(f"the user lacks a right: {advice}")
    assert str(error_texts.query_error(403, text, role=role)).endswith(advice)
    with pytest.raises(AccessDenied, match=f"{advice}$"):
        error_texts.expired(403, text, is_influxdb=True, role=role)


def test_stray_bytes_in_an_answer_do_not_hide_whose_it_is() -> None:
    """InfluxDB quotes tag values in its errors as they are."""
    message = error_texts.influxdb_message(b'\x81\xa5error\xa8value="\xff')
    assert message == 'value="\\xff'
    assert error_texts.influxdb_message(b"<html></html>") is None


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", IncompleteAnswer),
        (b"<html>", IncompleteAnswer),
        (msgpack.packb({}), IncompleteAnswer),
        (msgpack.packb({"results": []}), IncompleteAnswer),
        (msgpack.packb({"results": [{"statement_id": 0}]})[:-1], IncompleteAnswer),
        (2 * msgpack.packb({"results": [{"statement_id": 0}]}), IncompleteAnswer),
        (msgpack.packb({"results": [{"statement_id": 0}]}) + b"\xc0", IncompleteAnswer),
        (msgpack.packb({"results": [{"statement_id": 0}, 5]}), IncompleteAnswer),
        (msgpack.packb({"results": 5}) + msgpack.packb({"results": [{"statement_id": 0}]}), IncompleteAnswer),
        (msgpack.packb([{"results": [{"statement_id": 0}]}]), IncompleteAnswer),
        (msgpack.packb({"error": "not authorized"}), AccessDenied),
        (msgpack.packb({"results": [{"error": "database not found: x"}]}), NotFound),
        (msgpack.packb({"results": [{"series": [{"values": [["a"]], "partial": True}]}]}), QueryRefused),
    ],
)
def test_a_document_counts_only_when_it_is_whole_and_says_no_error(content: bytes, error: type[Exception]) -> None:
    """What the library `influxdb` is given: never a page of a proxy, half an answer, or a list that was cut."""
    with pytest.raises(error):
        answers.document(content)


def test_a_document_keeps_names_that_are_not_utf8() -> None:
    """As surrogates, like all names."""
    whole = {"results": [{"series": [{"columns": ["name"], "values": [[b"caf\xe9"]]}]}]}
    packed = msgpack.packb(whole, use_bin_type=False)
    assert answers.document(packed)["results"][0]["series"][0]["values"] == [["caf\udce9"]]


def test_a_request_made_because_of_an_error_of_ours_has_a_reason_of_its_own() -> None:
    """Such as a shorter question after one that was too large: what is told, and done, is about the new one."""
    error = requests.ReadTimeout("Read timed out.")
    error.__context__ = QueryTooLarge("the answer is larger than 8 bytes")
    assert error_texts.reason(error) == "Read timed out."
