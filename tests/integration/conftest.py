"""The pair of servers as one fixture; what needs VictoriaLogs is for `make test-versions`, which builds it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from checking import verify
from tests.integration.harness import READER, Pair
from tests.support.proxy import Proxy
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


@pytest.fixture
def guarded_pair(pair: Pair) -> Iterator[Pair]:
    """With a source of its own that shows `READER` the points of the database, and no more."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query(f"CREATE USER {READER['user']} WITH PASSWORD '{READER['password']}'")
        guarded.create_database(pair.database)
        guarded.query(f'GRANT READ ON "{pair.database}" TO {READER["user"]}')
        yield Pair(guarded, pair.destination, pair.database, pair.directory)


@pytest.fixture
def proxy(pair: Pair) -> Iterator[Proxy]:
    """In front of the source."""
    with Proxy(pair.source.url) as found:
        yield found


@pytest.fixture
def signals() -> Iterator[None]:
    """As they were: the commands take them as requests to stop."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
