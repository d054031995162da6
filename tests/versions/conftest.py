"""The session's servers of other versions: each test of this folder runs on every trip.

They are collected only with VERSION_TESTS=1, which `make test-versions` sets. Then a version that is missing is a
failure, never a skip.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.faults.conftest import rounds
from tests.integration.conftest import pair
from tests.support.servers import VERSIONS, InfluxServer

__all__ = ["pair", "rounds"]

if os.environ.get("VERSION_TESTS") != "1":
    collect_ignore_glob = ["test_*.py"]


@dataclass(frozen=True)
class Kind:
    """A version of InfluxDB with one of its kinds of index."""

    version: str
    index: str

    def start(self, name: str) -> InfluxServer:
        """A running server of this kind."""
        return InfluxServer.start(name, settings={"data.index-version": self.index}, version=self.version)

    def __str__(self) -> str:
        return f"{self.version} {self.index}"


@dataclass(frozen=True)
class Trip:
    """From where to where."""

    source: Kind
    destination: Kind

    def __str__(self) -> str:
        return f"{self.source} to {self.destination}" if self.source != self.destination else str(self.source)


@pytest.fixture
def part() -> int:
    """Two rounds of fifty: a first load, and an incremental run."""
    return 25


KINDS = [Kind(v, index) for v in VERSIONS if not v.endswith("-uint64") for index in ("inmem", "tsi1")]
TRIPS = [
    *(Trip(kind, kind) for kind in KINDS),
    Trip(Kind("1.6", "inmem"), Kind("1.8.10", "tsi1")),
    Trip(Kind("1.7.11", "inmem"), Kind("1.12.4", "tsi1")),
    Trip(Kind("1.8.10", "tsi1"), Kind("1.6", "inmem")),
]


@pytest.fixture(scope="session", params=TRIPS, ids=str)
def trip(request: pytest.FixtureRequest) -> Trip:
    """From which server to which one the test copies."""
    found: Trip = request.param
    return found


@pytest.fixture(scope="session")
def source(trip: Trip) -> Iterator[InfluxServer]:
    """The server that backups read."""
    with trip.source.start("source") as server:
        yield server


@pytest.fixture(scope="session")
def destination(trip: Trip) -> Iterator[InfluxServer]:
    """The server that backups write."""
    with trip.destination.start("destination") as server:
        yield server
