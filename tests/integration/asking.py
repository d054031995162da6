"""A client of the source that asks by a proxy, which counts its requests, notes them, or answers in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import msgpack

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from influx.influxql import Location
from influx_client import InfluxClient, connect
from tests.integration.harness import MONDAY, Pair, write_job
from tests.support.proxy import Action, Exchange, Proxy, forward, respond

JSON = "application/json"
OURS: dict[str, Any] = {"X-Influxdb-Version": "1.6.7"}
"""What every answer of InfluxDB's has."""

SPAN = Span(MONDAY, MONDAY + 1000)


@contextmanager
def asking(
    pair: Pair, proxy: Proxy, stopping: StopRequest | None = None, *, retries: int = 0, timeout: int = 5
) -> Iterator[InfluxClient]:
    """A client of the source, by the proxy; what it asked at first does not count."""
    options = {"retries": retries, "retry_delay": 0.01, "timeout_client": timeout}
    config = Config(write_job(pair.directory, pair.config({"source": {"url": proxy.url}, "options": options})))
    with closing(connect(config.job.options, config.job.source, "source", stopping or StopRequest())) as client:
        proxy.seen.clear()
        yield client


def refusal(status: int, text: str) -> Action:
    """An answer of InfluxDB's own with this error."""
    return respond(status, json.dumps({"error": text}).encode(), JSON, **OURS)


def answered(*answers: list[dict[str, Any]]) -> Action:
    """A whole answer of the server's, with these series for each of the statements."""
    results = [{"statement_id": n, "series": series} for n, series in enumerate([*answers, []])]
    body = b"".join(msgpack.packb({"results": [result]}, use_bin_type=False) for result in results)
    return respond(200, body, "application/x-msgpack", **OURS)


def noted(proxy: Proxy, endpoint: str = "query") -> list[str]:
    """The texts of all requests from now on."""
    texts: list[str] = []

    def act(exchange: Exchange) -> None:
        texts.append(exchange.text())
        forward(exchange)

    proxy.inject(act, endpoint, count=None)
    return texts


def place(pair: Pair, name: str = "m") -> Location:
    """A measurement of the test."""
    return Location(pair.database, "autogen", name)
