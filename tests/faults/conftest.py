"""The rounds of each fault."""

from collections.abc import Iterator

import pytest

from tests.faults.rounds import PROPERTY, Rounds
from tests.integration.conftest import pair

__all__ = ["pair", "rounds"]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Iterator[Rounds]:
    """Loop over `rounds.of("name of the fault", 100)`; the table at the end counts what was done."""
    failed_before = request.session.testsfailed
    counted = Rounds()
    yield counted
    passed = request.session.testsfailed == failed_before
    request.node.user_properties.append((PROPERTY, f"{counted.name}|{counted.done}|{passed}"))
