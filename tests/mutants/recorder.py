"""A plugin of pytest that writes down which lines each test reaches."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from coverage import Coverage

ROOT = Path(__file__).parents[2]


class Recorder:
    """Follows the tests of one process."""

    def __init__(self, coverage: Coverage, folder: Path) -> None:
        self._coverage, self._folder = coverage, folder
        self._seconds = dict[str, float]()
        self._failed = set[str]()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """All of a test, its fixtures too."""
        name, begun = name_of(item.nodeid), time.monotonic()
        self._coverage.switch_context(name)
        result = yield
        self._coverage.switch_context("")
        self._seconds[name] = self._seconds.get(name, 0.0) + time.monotonic() - begun
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One that fails, or is skipped, can notice nothing."""
        if not report.passed:
            self._failed.add(name_of(report.nodeid))

    def pytest_sessionfinish(self) -> None:
        """Write down what was seen."""
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {
            str(Path(file).relative_to(ROOT)): {
                line: sorted({*tests} - {""}) for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        seconds = {test: took for test, took in self._seconds.items() if test not in self._failed}
        text = json.dumps({"seconds": seconds, "lines": lines})
        (self._folder / f"{time.time_ns()}.json").write_text(text)


def name_of(nodeid: str) -> str:
    """A test with all its parameters, whose texts no command line would survive."""
    return nodeid.partition("[")[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to write, and where the packages are that the tests themselves do not need."""
    parser.addoption("--reached", type=Path, help="a folder for what was reached")
    parser.addoption("--packages", help="where the package coverage is")


def pytest_configure(config: pytest.Config) -> None:
    """Begin, in a process that runs tests."""
    folder: Path | None = config.getoption("--reached")
    if folder is None or (config.getoption("numprocesses", None) and not hasattr(config, "workerinput")):
        return
    sys.path.append(config.getoption("--packages"))
    from coverage import Coverage

    coverage = Coverage(
        data_file=None,
        include=[str(ROOT / name) for name in ("copying/*", "influx/*", "checking/*", "*.py")],
        omit=[str(ROOT / "tests/*")],
        config_file=False,
    )
    config.pluginmanager.register(Recorder(coverage, folder))
    coverage.start()
