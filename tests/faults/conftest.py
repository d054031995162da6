"""The rounds of each fault, and servers that a test may stop or break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rounds import ONCE, PROPERTY, Rounds
from tests.integration.conftest import pair
from tests.integration.harness import Pair
from tests.support.servers import InfluxServer

__all__ = ["own", "pair", "rounds"]


@pytest.fixture
def rounds(request: pytest.FixtureRequest, part: int) -> Iterator[Rounds]:
    """Loop over `rounds.of("name of the fault", 100)`; the table at the end counts what was done."""
    failed_before = request.session.testsfailed
    counted = Rounds(part=part)
    yield counted
    passed = request.session.testsfailed == failed_before
    request.node.user_properties.append((PROPERTY, f"{counted.name}|{counted.done}|{passed}|{counted.seen}"))


@pytest.fixture
def part() -> int:
    """Each fault is injected once, unless FAULT_ROUNDS says otherwise."""
    return ONCE


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Pair]:
    """Two servers of the test's own: it may stop them, and give them other settings."""
    with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
        yield Pair(source, destination, "db", tmp_path)
