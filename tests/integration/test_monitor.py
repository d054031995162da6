"""The monitor beside a copy: live lines on a real terminal; stopped, killed, orphaned, while the copy goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon import children, is_running, running, wait_until
from tests.integration.harness import MONDAY, ROOT, Pair, endpoint, job_config, run_main, write_job
from tests.support.proxy import Gate, Proxy, delay
from tests.support.terminal import Terminal
from tests.support.waiting import HANG

ROWS = 2500
"""Points of each of two measurements, spread over a week, of which a query takes half a day."""

LIVE = re.compile(
    r"^(\w+) +(\w+)  [━─]+ +(\d+)%  (\d) of (\d)  (\S+) points  (\S+) values  (\S+)/s(?:  \S+ left)?$"
)
"""A whole live line, and nothing else in it."""

LOG = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:DEBUG|INFO|WARNING|ERROR) +\[\w+\] .*$")
TABLE = re.compile(r"^(job +databases .*|[- ]+|\w+ +\d+ +\d+ +[\d,]+ .*(?:ok|stopped|FAILED)|LAG \w+: .*)$")


def load(pair: Pair) -> None:
    """Two measurements of a week."""
    for name in ("cpu", "mem"):
        pair.write("\n".join(f"{name},h=h{i % 7} v={i}i,w={i}.5 {MONDAY + i * 240 * 10**9}" for i in range(ROWS)))


@contextmanager
def slow_job(
    pair: Pair,
    seconds: float = 0.2,
    gate: Gate | None = None,
    **options: Any,  # noqa: ANN401 -- YAML's own
) -> Iterator[tuple[Path, Proxy]]:
    """A job whose every query takes a while, and asks for half a day; a gate holds it in its middle."""
    load(pair)
    with Proxy(pair.source.url) as proxy:
        if gate:
            proxy.inject(gate, "query", first=14, count=None)
            options["timeout_client"] = HANG
        proxy.inject(delay(response=seconds), "query", first=8, count=None)  # those before are for the plan
        # what is saved besides points has a path, which may be longer than a terminal is wide
        usual = {"days_of_pagination": 0.5, "parallel_workers": 1, "metadata": []}
        config = pair.config({"options": {**usual, **options}})
        config["source"]["url"] = proxy.url
        write_job(pair.directory / "jobs", config, "prod")
        yield pair.directory / "jobs", proxy


@contextmanager
def on_terminal(jobs: Path, *arguments: str, columns: int = 200) -> Iterator[Terminal]:
    """`main.py` on a terminal."""
    terminal = Terminal([sys.executable, "main.py", "--config", str(jobs), *arguments], ROOT, columns=columns)
    try:
        yield terminal
    finally:
        terminal.close()


def live_lines(screen: list[str]) -> list[re.Match[str]]:
    """Those of a screen."""
    return [match for line in screen if (match := LIVE.match(line))]


def monitors(parent: int) -> list[int]:
    """The monitor among the processes of a daemon."""
    return [pid for pid in children(parent) if Path(f"/proc/{pid}/comm").read_text() == "monitor\n"]


# ---------------------------------------------------------------- a terminal


def test_a_terminal_shows_a_live_line_while_the_job_runs_and_the_table_afterwards(pair: Pair) -> None:
    """The line moves on; no log line is torn by it; nothing of it stays, and the cursor comes back."""
    with slow_job(pair) as (jobs, _), on_terminal(jobs) as terminal:
        assert terminal.finish() == 0
        shown = [match.groups() for screen in terminal.seen for match in live_lines(screen)]
        assert {(job, database, of) for job, database, _, _, of, *_ in shown} == {("prod", pair.database, "2")}
        shares = [int(share) for _, _, share, *_ in shown]
        assert shares == sorted(shares)
        assert len(set(shares)) > 2
        lines = [line for line in terminal.everything if line]
        assert [line for line in lines if not LOG.match(line) and not TABLE.match(line)] == []
        assert sum("run ended" in line for line in lines) == 1
        assert any(line.startswith("prod") and line.endswith("ok") for line in lines)
        assert terminal.shows_cursor
    pair.assert_equal(points=4 * ROWS)


def test_log_lines_go_above_the_live_line(pair: Pair) -> None:
    """Every screen with a live line has it at the bottom, once, and whole lines above it."""
    with slow_job(pair, log_level="DEBUG") as (jobs, _), on_terminal(jobs) as terminal:
        assert terminal.finish() == 0
        screens = [[line for line in screen if line] for screen in terminal.seen if live_lines(screen)]
        assert len(screens) > 2
        for screen in screens:
            assert LIVE.match(screen[-1]), screen
            assert all(LOG.match(line) for line in screen[:-1]), screen


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_gets_what_matters_most_in_one_line(columns: int, pair: Pair) -> None:
    """Nothing wraps, so nothing is left behind when it is drawn again."""
    with slow_job(pair) as (jobs, _), on_terminal(jobs, columns=columns) as terminal:
        assert terminal.finish() == 0
        lives = [
            line for screen in terminal.seen for line in screen if line.startswith(f"prod  {pair.database}  ")
        ]
        assert any("%" in line for line in lives)
        left = "".join(terminal.everything)
        assert "%" not in left
        assert "run ended" in left


def test_quiet_says_nothing_when_all_is_well_and_what_fails_otherwise(pair: Pair) -> None:
    """Neither lines nor table."""
    with slow_job(pair, 0) as (jobs, _):
        with on_terminal(jobs, "--quiet") as terminal:
            assert terminal.finish() == 0
            assert terminal.raw == b""
        pair.source.query(f'DROP DATABASE "{pair.database}"')
        with on_terminal(jobs, "--quiet") as terminal:
            assert terminal.finish() == 1
            lines = [line for line in terminal.everything if line]
            assert "database not found" in "".join(lines)
            assert "INFO" not in "".join(lines)


def test_json_is_one_document_on_standard_output(pair: Pair) -> None:
    """Everything else is on standard error."""
    with slow_job(pair, 0) as (jobs, _):
        (jobs / "broken.yaml").write_text("sauce: 1\n")
        done = run_main("--config", jobs, "--json", "--once")
        document = json.loads(done.stdout)
        assert done.returncode == 1
        assert document["result"] == "FAILED"
        assert list(document["invalid"]) == ["broken"]
        (job,) = document["jobs"]
        assert (job["job"], job["result"], job["points"], job["values"]) == ("prod", "ok", 2 * ROWS, 4 * ROWS)
        (found,) = job["databases"]
        assert [(m["name"], m["points"]) for m in found["measurements"]] == [
            (f"{pair.database}.autogen.{name}", ROWS) for name in ("cpu", "mem")
        ]
        assert "run ended" in done.stderr


def test_json_of_wrong_usage_is_a_document_too(tmp_path: Path) -> None:
    """So a program that reads it need not look at anything else."""
    done = run_main("--config", tmp_path / "none", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["result"] == "not run"


# ---------------------------------------------------------------- a monitor in trouble


def test_a_monitor_that_stands_still_holds_nothing_up(pair: Pair) -> None:
    """The copy ends, every line of the log comes to the terminal, and so does the table."""
    with slow_job(pair, 0.1, log_level="DEBUG") as (jobs, _), on_terminal(jobs) as terminal:
        terminal.wait_for(lambda: bool(live_lines(terminal.lines)), "live line")
        (monitor,) = monitors(terminal.process.pid)
        os.kill(monitor, signal.SIGSTOP)
        assert terminal.finish() == 0
        assert not is_running(monitor)
        lines = [line for line in terminal.everything if line]
        assert any(line.startswith("prod") and line.endswith("ok") for line in lines)
        assert sum("run ended" in line for line in lines) == 1
        assert [line for line in lines if not LOG.match(line) and not TABLE.match(line)] == []
        assert terminal.shows_cursor
    pair.assert_equal(points=4 * ROWS)


def test_a_monitor_that_is_killed_comes_back_and_knows_all_again(pair: Pair) -> None:
    """Its successor draws the run that goes on; the copy never notices."""
    with slow_job(pair, 0.3) as (jobs, _), on_terminal(jobs) as terminal:
        terminal.wait_for(lambda: bool(live_lines(terminal.lines)), "live line")
        (first,) = monitors(terminal.process.pid)
        os.kill(first, signal.SIGKILL)
        terminal.wait_for(lambda: bool(set(monitors(terminal.process.pid)) - {first}), "second monitor")
        seen = len(terminal.seen)
        terminal.wait_for(lambda: any(map(live_lines, terminal.seen[seen + 1 :])), "live line of the second")
        assert terminal.finish() == 0
        text = "\n".join(terminal.everything)
        assert "the monitor died (SIGKILL); starting it again in 1 s; backups go on" in text
        assert "run ended" in text
        assert terminal.shows_cursor
    pair.assert_equal(points=4 * ROWS)


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_is_left_behind_when_the_parent_is_killed(stopped: bool, pair: Pair) -> None:
    """Neither a worker nor a monitor; one that stands still ends when it goes on."""
    with (
        slow_job(pair, incremental={"schedule": "0 0 1 1 *", "run_on_start": True}) as (jobs, _),
        on_terminal(jobs) as terminal,
    ):
        terminal.wait_for(lambda: bool(live_lines(terminal.lines)), "live line")
        (monitor,) = monitors(terminal.process.pid)
        processes = children(terminal.process.pid)
        assert len(processes) == 2
        if stopped:
            os.kill(monitor, signal.SIGSTOP)
        terminal.process.kill()
        terminal.process.wait()
        if stopped:
            wait_until(lambda: not any(is_running(pid) for pid in processes if pid != monitor), "the worker's end")
            os.kill(monitor, signal.SIGCONT)
        wait_until(lambda: not any(map(is_running, processes)), "the end of all processes")
        assert not terminal.read(5)
        assert terminal.shows_cursor


def test_a_job_that_is_stopped_in_the_middle_takes_its_live_line_with_it(pair: Pair) -> None:
    """Ctrl-C: the batch in flight is finished, the table says `stopped`."""
    gate = Gate()
    with slow_job(pair, gate=gate) as (jobs, _), on_terminal(jobs) as terminal:
        terminal.wait_for(lambda: gate.is_reached() and bool(live_lines(terminal.lines)), "live line")
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.wait_for(lambda: any("stopping after" in line for line in terminal.everything), "the stop")
        gate.open()
        assert terminal.finish() == 1
        lines = [line for line in terminal.everything if line]
        assert [line for line in lines if not LOG.match(line) and not TABLE.match(line)] == []
        assert lines[-1].endswith("stopped")
        assert terminal.shows_cursor


def test_without_a_terminal_there_is_no_monitor(pair: Pair) -> None:
    """Nobody looks, so nobody is told."""
    with (
        slow_job(pair, incremental={"schedule": "0 0 1 1 *"}) as (jobs, _),
        running(jobs, pair.directory) as daemon,
    ):
        daemon.wait_for("next run")
        assert monitors(daemon.process.pid) == []


def test_two_jobs_have_a_live_line_each(pair: Pair) -> None:
    """In the order of their names."""
    with slow_job(pair) as (jobs, proxy):
        other = job_config(pair.source, pair.destination, {pair.database: f"{pair.database}_2"})
        other["source"] = endpoint(pair.source) | other["source"] | {"url": proxy.url}
        other["options"]["days_of_pagination"] = 0.5
        write_job(jobs, other, "another")
        with on_terminal(jobs) as terminal:
            assert terminal.finish() == 0
            both = [[match[1] for match in live_lines(screen)] for screen in terminal.seen]
            assert ["another", "prod"] in both
    pair.destination.drop_database(f"{pair.database}_2")
