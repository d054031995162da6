"""Two real InfluxDB servers for the whole session, and a database name for each test."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator

import pytest

from tests.faults.rounds import table
from tests.support.containers import chosen_server, start_server
from tests.support.servers import InfluxServer

_numbers = itertools.count(1)


def pytest_report_header() -> str:
    """Which InfluxDB the tests run on."""
    return f"InfluxDB: {chosen_server()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes of pytest-xdist begin with those that wait for the clock; others take the rest from them.

    Each of an even number of processes gets a stretch of the list, so one of them begins in its middle.
    """
    waiting = [item for item in items if item.get_closest_marker("minutes")]
    others = [item for item in items if not item.get_closest_marker("minutes")]
    middle = len(items) // 2 - len(waiting[::2])
    items[:] = [*waiting[::2], *others[:middle], *waiting[1::2], *others[middle:]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output may hold bytes that are not UTF-8, which the processes of pytest-xdist cannot exchange."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections
    ]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What became of each fault that was injected."""
    everything = (report for reports in terminalreporter.stats.values() for report in reports)
    lines = table([report for report in everything if isinstance(report, pytest.TestReport)])
    if lines:
        terminalreporter.section("faults: rounds, source and destination compared after each")
        terminalreporter.write("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def source() -> Iterator[InfluxServer]:
    """The server that backups read; tests that stop or reconfigure a server start their own."""
    with start_server("source") as server:
        yield server


@pytest.fixture(scope="session")
def destination() -> Iterator[InfluxServer]:
    """The server that backups write."""
    with start_server("destination") as server:
        yield server


@pytest.fixture
def database(source: InfluxServer, destination: InfluxServer) -> Iterator[str]:
    """A database name that nobody else uses, not created yet; dropped on both servers after the test."""
    name = f"test_{next(_numbers)}"
    yield name
    for server in (source, destination):
        server.drop_database(name)
