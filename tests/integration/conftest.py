"""The pair of servers as one fixture; what needs VictoriaLogs is for `make test-versions`, which builds it."""

import os
from pathlib import Path

import pytest

from checking import verify
from tests.integration.harness import Pair
from tests.support.servers import InfluxServer

if os.environ.get("VERSION_TESTS") != "1":
    collect_ignore = ["test_loki.py"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before the second look of `verify`."""
    monkeypatch.setattr(verify, "SETTLE", 0.0)


@pytest.fixture
def pair(source: InfluxServer, destination: InfluxServer, database: str, tmp_path: Path) -> Pair:
    """The session's servers with a database of the test's own."""
    return Pair(source, destination, database, tmp_path)
