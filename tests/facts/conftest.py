"""One server for all facts that need no settings of their own, and a database for each of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.facts import differences
from tests.facts.harness import Database
from tests.support.servers import InfluxServer

_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=["inmem", "tsi1"])
def server(request: pytest.FixtureRequest) -> Iterator[InfluxServer]:
    """The server that facts are found on, with each kind of index."""
    with InfluxServer.start("facts", settings={"data.index-version": request.param}) as server:
        yield server


@pytest.fixture
def db(server: InfluxServer) -> Iterator[Database]:
    """An empty database of the fact's own."""
    with Database.make(server, f"fact_{next(_numbers)}") as database:
        yield database


@pytest.fixture(scope="session")
def version() -> str:
    """The column of the version that is being looked at, as a server tells it."""
    with InfluxServer.start("version") as server:
        return differences.column(server.met_version)


@pytest.fixture
def outcome(request: pytest.FixtureRequest, version: str) -> str:
    """What differences.py says that this version does."""
    return differences.outcome(request.node.originalname, version)
