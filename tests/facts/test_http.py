"""Ping, headers, compressed answers."""

from __future__ import annotations

from tests.facts import differences
from tests.facts.harness import Database


def test_ping(db: Database, version: str) -> None:
    """`/ping` is answered 204, and `X-Influxdb-Version` is the version."""
    answer = db.request("GET", "/ping")
    assert answer.status == 204
    assert differences.column(answer.headers["X-Influxdb-Version"]) == version.removesuffix("-uint64")


def test_version_header(db: Database) -> None:
    """Every answer to a query or a write has `X-Influxdb-Version`, those that refuse too."""
    for answer in (
        db.send("m v=1 1"),
        db.send("nonsense"),
        db.write("m v=1 1", "none"),
        db.send("m v=1 1", rp="none"),
        db.select("SHOW DATABASES"),
        db.ask("SELEC"),
    ):
        assert answer.headers["X-Influxdb-Version"]


def test_error_forms(db: Database) -> None:
    """The error of a write is JSON, or msgpack for who accepts that: a map with `error`."""
    assert db.send("nonsense").body.startswith(b'{"error":"unable to parse')
    answer = db.write("nonsense", db.name, {"Accept": "application/x-msgpack"})
    assert answer.headers["Content-Type"] == "application/x-msgpack"
    assert answer.error.startswith("unable to parse")


def test_compressed_answers(db: Database) -> None:
    """With `Accept-Encoding: gzip` the answer is compressed, with `identity` it is not."""
    for encoding, expected in (("gzip", "gzip"), ("identity", None)):
        headers = {"Accept": "application/x-msgpack", "Accept-Encoding": encoding}
        answer = db.request("POST", "/query", {"chunked": "true"}, {"q": "SHOW DATABASES"}, headers)
        assert answer.headers.get("Content-Encoding") == expected
        assert [db.name] in answer.rows
