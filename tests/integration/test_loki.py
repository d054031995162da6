"""Log lines pushed to a real server that speaks Loki's protocol, and read back from it by queries."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from logger_config import setup_logging
from settings.keys import Loki
from tests.integration.daemon import wait_until
from tests.integration.harness import MONDAY, Pair, run_main, write_job
from tests.support.victorialogs import VictoriaLogs, victorialogs
from watching import loki

log = logging.getLogger("backup")

TEXTS = [
    "plain",
    'quotes " and \\ backslashes',
    "Zürich 🚀",
    '{"looks": "like JSON"}',
    "level=error looks=like logfmt",
    "x" * 7900,
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[VictoriaLogs]:
    """An empty server."""
    with victorialogs(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_logging_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loki, "LOKI_RETRY", 0.05)
    monkeypatch.setattr(loki, "LOKI_LONGEST_RETRY", 0.1)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def _wait_for(server: VictoriaLogs, job: str, count: int) -> list[str]:
    def arrived() -> bool:
        return len(server.lines(job=job)) >= count

    wait_until(arrived, f"{count} lines")
    return [line.text for line in server.lines(job=job)]


def test_lines_arrive_unchanged_and_in_order(server: VictoriaLogs) -> None:
    """Text, level, logger and the tags of the job."""
    setup_logging("odd", loki=Loki.model_validate({**server.options, "tags": {"site": "home"}}))
    texts = TEXTS + [f"line {number}" for number in range(500)]
    for text in texts:
        log.warning("%s", text)
    assert _wait_for(server, "odd", len(texts)) == texts
    (labels,) = {line.labels for line in server.lines(job="odd")}
    assert labels == (("job", "odd"), ("level", "warning"), ("logger", "backup"), ("site", "home"))


def test_lines_wait_for_a_server_that_is_down(server: VictoriaLogs) -> None:
    """Each arrives, once: what is logged while it is down, too."""
    setup_logging("waiting", loki=Loki.model_validate(server.options))
    log.warning("before")
    assert _wait_for(server, "waiting", 1) == ["before"]
    server.stop()
    log.warning("between")
    server.start()
    log.warning("after")
    assert [t for t in _wait_for(server, "waiting", 3) if "Loki at" not in t] == ["before", "between", "after"]


def test_all_lines_of_a_run_arrive(server: VictoriaLogs, pair: Pair) -> None:
    """What the console shows of the job, the server has, as far as the job's own process writes it."""
    pair.write(f"m v=1 {MONDAY}")
    job = write_job(pair.directory / "jobs", pair.config({"options": {"loki": server.options}}))
    done = run_main("--config", job)
    assert done.returncode == 0, done.stderr
    printed = [line.partition("[job] ")[2] for line in done.stderr.splitlines() if "[job] " in line]
    assert any("created database" in text for text in printed)
    assert _wait_for(server, "job", 1) == printed
