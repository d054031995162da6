"""The library `influxdb` (influxdb-python) as our control plane: its calls, made over our own transport.

Its statements for databases and retention policies are right. What is not right for a backup lies in its one
method that makes requests, so that one is replaced: it tries again by itself, takes a proxy's page for an answer,
and cannot read names that are not UTF-8. Its times lose their nanoseconds, so points never go through it.
tests/facts/test_library.py shows each of these.
"""

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import requests

from influx import answers, influxql
from influx.influxql import Policy
from influx.transport import Transport

_DATA_FRAMES = "influxdb.dataframe_client"


def _client_class() -> Any:  # noqa: ANN401 -- the library has no types
    """InfluxDBClient, without the other class of the library, which imports pandas: half a second and 60 MB."""
    placeholder = ModuleType(_DATA_FRAMES)
    placeholder.__dict__["DataFrameClient"] = None
    is_ours = sys.modules.setdefault(_DATA_FRAMES, placeholder) is placeholder
    try:
        from influxdb import InfluxDBClient  # noqa: PLC0415 -- not before the placeholder is there
    finally:
        if is_ours:
            del sys.modules[_DATA_FRAMES]
    return InfluxDBClient


_InfluxDBClient: Any = _client_class()


class Library(_InfluxDBClient):  # type: ignore[misc]  # the library has no types
    """An `influxdb.InfluxDBClient` of one server. Its calls raise InfluxError, and try nothing a second time."""

    def __init__(self, transport: Transport) -> None:
        url = urlsplit(transport.url)
        super().__init__(
            host=f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname,
            port=url.port or {"http": 80, "https": 443}[url.scheme],
            username=None,  # the session has user and password
            password=None,
            ssl=url.scheme == "https",
            path=url.path,
            session=transport.session,
        )
        self._transport = transport
        transport.mount()  # the library has put an adapter of its own into the session

    def request(
        self,
        url: str,
        method: str = "GET",
        params: Mapping[str, Any] | None = None,
        data: object = None,  # noqa: ARG002
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002
        expected_response_code: int = 200,  # noqa: ARG002
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> requests.Response:
        """Ask by our transport, and give the answer to the library as it wants it. Raises InfluxError."""
        if url == "ping":
            return self._transport.ping()
        response = self._transport.query(params or {}, method)
        response.__dict__["_msgpack"] = answers.document(response.content)
        return response

    def policies(self, database: str) -> tuple[Policy, ...]:
        """The retention policies of a database."""
        return tuple(
            Policy(
                row["name"],
                influxql.parse_go_duration(row["duration"]),
                influxql.parse_go_duration(row["shardGroupDuration"]),
                bool(row["default"]),
            )
            for row in self.get_list_retention_policies(database)
        )

    def create_policy(self, database: str, policy: Policy) -> None:
        """Create a retention policy with the same durations and default flag."""
        durations = [influxql.go_duration(ns) for ns in (policy.duration, policy.shard_duration)]
        self.create_retention_policy(policy.name, durations[0], "1", database, policy.is_default, durations[1])
