"""One server for all facts that need no settings of their own, and a database for each of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.facts import differences
from tests.facts.harness import Client, Database
from tests.support.servers import InfluxServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[InfluxServer]:
    """The server that facts are found on."""
    with InfluxServer.start("facts") as server:
        yield server


@pytest.fixture
def db(server: InfluxServer) -> Iterator[Database]:
    """An empty database of the fact's own."""
    name = f"fact_{next(_numbers)}"
    server.create_database(name)
    yield Database(server, name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def version(server: InfluxServer) -> str:
    """Which version is being looked at: $INFLUXD_VERSION, else what the server says of itself."""
    asked = os.environ.get("INFLUXD_VERSION")
    return differences.column(asked or Client(server).request("GET", "/ping").headers["X-Influxdb-Version"])


@pytest.fixture
def outcome(request: pytest.FixtureRequest, version: str) -> str:
    """What differences.py says that this version does."""
    return differences.outcome(request.node.originalname, version)
