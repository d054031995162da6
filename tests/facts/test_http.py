"""Ping, headers, compressed answers."""

from __future__ import annotations

import uuid
from itertools import pairwise

from tests.facts import differences
from tests.facts.harness import Client, Database
from tests.support.servers import InfluxServer


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


def test_request_ids(db: Database) -> None:
    """Every answer has a `Request-Id`, a UUID of version 1: its node is the same in all of a process, and its
    clock sequence grows by one with each request, whoever makes it, modulo 16,384.
    """
    ids = [uuid.UUID(db.request("GET", "/ping").headers["Request-Id"]) for _ in range(3)]
    ids.append(uuid.UUID(Client(db.server).ask("SHOW DATABASES").headers["Request-Id"]))
    assert {(found.version, found.node) for found in ids} == {(1, ids[0].node)}
    assert all(b.clock_seq == (a.clock_seq + 1) % (1 << 14) for a, b in pairwise(ids))


def test_request_ids_of_others(db: Database) -> None:
    """A request that comes with an `X-Request-Id` is answered with that one, and not with one of the server's."""
    answer = db.request("GET", "/ping", headers={"X-Request-Id": "mine"})
    assert answer.headers["X-Request-Id"] == answer.headers["Request-Id"] == "mine"


def test_request_ids_of_two_servers(db: Database) -> None:
    """Two processes count apart: numbers of requests that are made in turn are not in order."""
    with InfluxServer.start("other") as other:
        clients = (db, Client(other))
        ids = [uuid.UUID(c.request("GET", "/ping").headers["Request-Id"]) for _ in range(4) for c in clients]
        counts = [found.clock_seq for found in ids]
        assert not all(0 < (b - a) % (1 << 14) < 1 << 13 for a, b in pairwise(counts))
