"""A real daemon between real servers, seen in a browser and asked on the command line."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect

from tests.browser.harness import opened
from tests.integration.daemon import Daemon, Held, running, wait_until
from tests.integration.harness import MONDAY, job_config, run_main, write_job
from tests.support.leaks import assert_no_secret
from tests.support.servers import InfluxServer
from watching.web.server import Address, bound_address, listen

PASSWORD = "correct-horse-battery"


@pytest.fixture
def servers() -> Iterator[tuple[InfluxServer, InfluxServer]]:
    """A source with a password and some points, and a destination; tests stop and start them."""
    with InfluxServer.start("source") as source, InfluxServer.start("destination") as destination:
        source.create_database("telegraf")
        source.write("\n".join(f"cpu,host=h{i % 3} v={i} {MONDAY + i * 10**9}" for i in range(3_000)), "telegraf")
        source.write(f"mem v=1i {MONDAY}", "telegraf")
        yield source, destination


def job(source: InfluxServer, destination: InfluxServer, schedule: str = "* * * * *") -> dict[str, Any]:
    """A job that runs at once and every minute."""
    times = {"schedule": schedule, "run_on_start": True}
    config = job_config(source, destination, {"telegraf": "copy"})
    config["source"] |= {"user": "reader", "password": PASSWORD}
    quick = {"retries": 0, "timeout_client": 3, "initial_connection_retry_delay": 1}
    config["options"] |= {"incremental": times, **quick}
    return config


def url_of(daemon: Daemon) -> str:
    """Where it answers, as its log says."""
    daemon.wait_for("status page at ")
    match = re.search(r"status page at (\S+)/\n", daemon.log)
    assert match
    return match[1]


def status(url: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `main.py status`."""
    done = run_main("status", "--http", url.removeprefix("http://"), *arguments)
    return done.returncode, done.stdout


@pytest.mark.minutes
def test_an_operator_sees_a_job_wait_run_fail_and_recover(
    browser: Browser, servers: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """On one page that is never loaded again; command line, health and JSON say the same; no password anywhere."""
    source, destination = servers
    destination.stop()
    write_job(tmp_path / "jobs", job(source, destination), "telegraf")
    with running(tmp_path / "jobs", tmp_path, "--http", "127.0.0.1:0") as daemon, opened(browser, []) as page:
        url = url_of(daemon)
        page.goto(f"{url}/")
        page.evaluate("window.marked = true")
        card = page.locator("#job-telegraf")
        verdict = page.get_by_role("status")

        expect(verdict).to_have_text("1 of 1 job waits for a server: telegraf")
        expect(card).to_contain_text("Waiting for server")
        expect(card.locator(".error")).to_contain_text("Connection refused")
        assert requests.get(f"{url}/healthz", timeout=60).status_code == 503
        assert status(url)[0] == 1

        destination.restart()
        expect(verdict).to_have_text("The only job is fine")
        # The second is of the run after that, which may have come before this was read.
        copied = re.compile("The last run copied 3,001 points|Nothing new in the last run")
        expect(card).to_contain_text(copied)
        expect(card.locator("dl")).to_contain_text("telegraf")
        code, table = status(url)
        assert code == 0
        assert re.search(r"^telegraf +idle +", table, re.M)
        answer = requests.get(f"{url}/healthz", timeout=60)
        assert (answer.status_code, answer.text) == (200, "fine\n")

        destination.stop()
        expect(card).to_contain_text("Failing since")
        expect(card.locator(".error")).to_contain_text("Connection refused")
        expect(page).to_have_title("1 of 1 job is failing: telegraf · Backups")
        code, table = status(url)
        assert code == 1
        assert "FAILING telegraf since " in table
        code, text = status(url, "--json")
        assert code == 1
        assert json.loads(text)["jobs"][0]["problem"]

        destination.restart()
        expect(verdict).to_have_text("The only job is fine")
        expect(card.locator("details summary")).to_contain_text("A past error")
        assert page.evaluate("window.marked")

        paths = ("", "jobs/telegraf", "api/status", "api/jobs/telegraf", "healthz", "app.js")
        assert_no_secret([requests.get(f"{url}/{path}", timeout=60).content for path in paths], PASSWORD)
        assert_no_secret([text, table, page.content()], PASSWORD)
        code, _ = daemon.stop()
        assert code == 0
        expect(page.locator("#contact")).to_be_visible()
        assert status(url)[0] == 2


def test_a_monitor_that_is_killed_comes_back_on_the_same_port_and_knows_the_jobs(
    browser: Browser, servers: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """The page goes on by itself, and no run was disturbed."""
    write_job(tmp_path / "jobs", job(*servers, schedule="0 0 1 1 *"), "telegraf")
    with running(tmp_path / "jobs", tmp_path, "--http", "127.0.0.1:0") as daemon, opened(browser, []) as page:
        url = url_of(daemon)
        page.goto(f"{url}/")
        card = page.locator("#job-telegraf")
        expect(card).to_contain_text("The last run copied 3,001 points")
        (monitor,) = [pid for pid in daemon.workers() if holds_listener(pid, daemon)]
        os.kill(monitor, signal.SIGKILL)
        daemon.wait_for("the monitor died")
        wait_until(lambda: "telegraf" in requests.get(f"{url}/", timeout=60).text, "the page to come back", daemon)
        expect(page.locator("#contact")).to_be_hidden()
        expect(card).to_contain_text("The last run copied 3,001 points")
        assert daemon.log.count("run ended") == 1


def holds_listener(pid: int, daemon: Daemon) -> bool:
    """Whether a process holds a listening socket that the daemon holds, too."""

    def sockets(process: int) -> set[str]:
        files = (Path("/proc") / str(process) / "fd").iterdir()
        return {target for file in files if (target := str(file.readlink())).startswith("socket:")}

    inodes = {
        f"socket:[{fields[9]}]"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A"
    }
    return bool(sockets(pid) & sockets(daemon.process.pid) & inodes)


def test_workers_do_not_hold_the_port(servers: tuple[InfluxServer, InfluxServer], tmp_path: Path) -> None:
    """A daemon that was killed can be started again at once, while its workers still finish."""
    config = job(*servers, schedule="0 0 1 1 *")
    config["options"]["hooks"] = {"before": Held(tmp_path).hook}
    write_job(tmp_path / "jobs", config, "telegraf")
    with running(tmp_path / "jobs", tmp_path, "--http", "127.0.0.1:0") as daemon:
        url_of(daemon)
        daemon.wait_for("options.hooks.before")
        holders = [holds_listener(pid, daemon) for pid in daemon.workers()]
        assert sorted(holders) == [False, True]


def test_the_environment_says_where_to_answer_and_by_which_names(
    servers: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """As in the container, behind a proxy that passes on its own name."""
    write_job(tmp_path / "jobs", job(*servers, schedule="0 0 1 1 *"), "telegraf")
    environ = {"BACKUP_HTTP": "127.0.0.1:0", "BACKUP_HTTP_HOSTS": "a.example.org, b.example.org"}
    with running(tmp_path / "jobs", tmp_path, **environ) as daemon:
        url = url_of(daemon)
        codes = {
            name: requests.get(f"{url}/api/status", headers={"Host": name}, timeout=60).status_code
            for name in ("a.example.org", "b.example.org:80", "c.example.org")
        }
    assert codes == {"a.example.org": 200, "b.example.org:80": 200, "c.example.org": 421}


# ---------------------------------------------------------------- the start


def test_a_taken_port_is_an_error_at_the_start(servers: tuple[InfluxServer, InfluxServer], tmp_path: Path) -> None:
    """Exit code 2, and nothing has run."""
    path = write_job(tmp_path / "jobs", job(*servers), "telegraf")
    with listen(Address("127.0.0.1", 0)) as other:
        taken = str(bound_address(other))
        done = run_main("--config", path, "--http", taken)
    assert done.returncode == 2
    assert f"cannot listen on {taken}: Address already in use" in done.stderr
    assert "run ended" not in done.stderr


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_a_nonsense_address_is_an_error_at_the_start(
    where: str, servers: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """Whether it comes from the command line or from the environment."""
    write_job(tmp_path, job(*servers), "telegraf")
    arguments = ("--http", "eighty") if where == "argument" else ()
    environ = {**os.environ, "BACKUP_HTTP": "127.0.0.1:8186" if arguments else "eighty"}
    done = run_main("--config", tmp_path, *arguments, environ=environ)
    assert done.returncode == 2
    assert "'eighty' is no address for HTTP" in done.stderr


def test_a_single_run_beside_the_daemon_does_not_want_its_port(
    servers: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """In the container the address is in the environment of every command."""
    path = write_job(tmp_path / "jobs", job(*servers), "telegraf")
    with listen(Address("127.0.0.1", 0)) as other:
        environ = {**os.environ, "BACKUP_HTTP": str(bound_address(other))}
        done = run_main("--config", path, "--once", environ=environ)
    assert done.returncode == 0, done.stderr
    assert "status page" not in done.stderr


def test_without_an_address_nobody_listens(servers: tuple[InfluxServer, InfluxServer], tmp_path: Path) -> None:
    """HTTP is off unless somebody asks for it."""
    write_job(tmp_path / "jobs", job(*servers, schedule="0 0 1 1 *"), "telegraf")
    with running(tmp_path / "jobs", tmp_path) as daemon:
        daemon.wait_for("next run", count=1)
        assert "status page" not in daemon.log
        assert not any(holds_listener(pid, daemon) for pid in [*daemon.workers(), daemon.process.pid])


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_status_without_a_daemon_ends_with_2(arguments: tuple[str, ...]) -> None:
    """Which is told from a job that fails; with --json in JSON, too."""
    with listen(Address("127.0.0.1", 0)) as listener:
        free = str(bound_address(listener))
    done = run_main("status", "--http", free, *arguments)
    assert done.returncode == 2
    assert f"no daemon answers at http://{free}" in done.stderr
    assert "Traceback" not in done.stderr
    if arguments:
        assert json.loads(done.stdout)["result"] == "no daemon"
    else:
        assert not done.stdout
