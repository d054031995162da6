"""Being told by a real daemon: once when a job begins to fail, and once when it is fine again."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemon import IN_TIME, Runs, running, wait_until
from tests.integration.harness import MONDAY, Pair, run_main, write_job
from tests.support.leaks import assert_no_secret
from tests.support.recorder import Recorder, recorder
from tests.support.servers import InfluxServer, free_port

TOKEN = "hush-hush-token"
FAILING, FINE, SUCCEEDED = "yearly: backup is failing", "yearly: backup is fine again", "yearly: backup succeeded"


@pytest.fixture
def service() -> Iterator[Recorder]:
    """What takes messages and pings."""
    with recorder() as found:
        yield found


def telling(pair: Pair, options: dict[str, Any]) -> dict[str, Any]:
    """A job that runs when it is started, and then not before the next year."""
    config = pair.config({"options": {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}})
    config["options"] |= {"log_level": "DEBUG", "retries": 0} | options
    return config


def test_failing_runs_are_told_once_and_the_recovery_once(pair: Pair, service: Recorder) -> None:
    """However often it fails; the check is pinged for each run."""
    base = f"127.0.0.1:{service.port}"
    urls = [f"json://{base}/default/{TOKEN}"]
    options = {"notify": {"urls": urls}, "ping_url": f"http://{base}/{TOKEN}"}
    config, jobs = telling(pair, options), pair.directory / "jobs"
    write_job(jobs, config, "yearly")
    address = f"127.0.0.1:{free_port()}"
    with running(jobs, pair.directory, "--http", address) as daemon:
        runs = Runs(daemon, jobs, config, "yearly")  # the database is not there yet
        runs.again()
        for path in ("/", "/jobs/yearly", "/api/status", "/api/jobs/yearly", "/metrics"):
            with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as page:
                assert_no_secret([page.read()], TOKEN)
        runs.again()
        pair.write(f"m v=1 {MONDAY}")
        runs.again()
        runs.again()
        wait_until(lambda: len(service.at(f"/{TOKEN}")) == 2, "two successes", daemon)
        assert daemon.stop()[0] == 0
        log = daemon.log
    assert service.titles(f"/default/{TOKEN}") == [FAILING, FINE]
    failure, recovery = (request.json["message"] for request in service.at(f"/default/{TOKEN}"))
    assert pair.database in failure
    assert "Since: 20" in failure
    assert "Next try: 20" in failure
    assert pair.database in recovery
    pings = [request.path for request in service.taken if not request.path.startswith("/default")]
    start, success, fail = f"/{TOKEN}/start", f"/{TOKEN}", f"/{TOKEN}/fail"
    assert pings == [start, fail, start, fail, start, fail, start, success, start, success]
    assert pair.database in service.at(fail)[0].body
    assert service.at(success)[0].body.startswith("ok: 1 point, 1 value")
    assert_no_secret([log], TOKEN)


def test_each_success_is_told_where_it_is_asked_for(pair: Pair, service: Recorder) -> None:
    """And nothing else is."""
    notify = {"urls": [f"json://127.0.0.1:{service.port}/x"], "on": ["success"]}
    config, jobs = telling(pair, {"notify": notify}), pair.directory / "jobs"
    write_job(jobs, config, "yearly")
    with running(jobs, pair.directory) as daemon:
        runs = Runs(daemon, jobs, config, "yearly")
        pair.write(f"m v=1 {MONDAY}")
        runs.again()
        runs.again()
        assert daemon.stop()[0] == 0
    assert service.titles("/x") == [SUCCEEDED, SUCCEEDED]


def test_a_server_that_does_not_answer_is_told_once_and_its_return_once(
    source: InfluxServer, database: str, tmp_path: Path, service: Recorder
) -> None:
    """Not for each attempt to reach it."""
    with InfluxServer.start("late") as destination:
        pair = Pair(source, destination, database, tmp_path)
        pair.write(f"m v=1 {MONDAY}")
        destination.stop()
        options = {
            "notify": {"urls": [f"json://127.0.0.1:{service.port}/x"]},
            "initial_connection_retry_delay": 0.2,
        }
        write_job(tmp_path / "jobs", telling(pair, options), "yearly")
        with running(tmp_path / "jobs", tmp_path) as daemon:
            daemon.wait_for("waiting for the destination", count=5)
            destination.restart()
            wait_until(lambda: len(service.titles("/x")) == 2, "two messages", daemon)
            daemon.wait_for("run ended")
            assert daemon.stop()[0] == 0
        pair.assert_equal(points=1)
    assert service.titles("/x") == [FAILING, FINE]
    assert "waiting for the destination" in service.at("/x")[0].json["message"]
    assert "Connection refused" in service.at("/x")[0].json["message"]


def test_services_that_are_dead_cost_one_warning_each_and_no_backup(pair: Pair) -> None:
    """Nobody listens on that port; runs succeed, and the daemon stops in time."""
    pair.write(f"m v=1 {MONDAY}")
    jobs = pair.directory / "jobs"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"127.0.0.1:{unused.getsockname()[1]}/{TOKEN}"
        notify = {"urls": [f"json://{base}"], "on": ["failure", "recovery", "success"]}
        config = telling(pair, {"notify": notify, "ping_url": f"http://{base}"})
        write_job(jobs, config, "yearly")
        with running(jobs, pair.directory) as daemon:
            runs = Runs(daemon, jobs, config, "yearly")
            runs.again()
            runs.again()
            daemon.wait_for("takes no messages", count=2)
            code, seconds = daemon.stop()
            log = daemon.log
    assert code == 0
    assert seconds < IN_TIME
    warnings = [line for line in log.splitlines() if " WARNING " in line and "messages" in line]
    assert len([line for line in warnings if "the notification service json://" in line]) == 1
    assert len([line for line in warnings if "the check to ping" in line]) == 1
    assert "Traceback" not in log
    assert_no_secret([log], TOKEN)
    pair.assert_equal(points=1)


@pytest.mark.parametrize("fails", [True, False])
def test_a_single_run_is_told_before_the_process_ends(fails: bool, pair: Pair, service: Recorder) -> None:
    """As from cron: what is known at the end is on its way, and the exit code is that of the backup."""
    if not fails:
        pair.write(f"m v=1 {MONDAY}")
    base = f"127.0.0.1:{service.port}"
    notify = {"urls": [f"json://{base}/x"], "on": ["failure", "success"]}
    config = telling(pair, {"notify": notify, "ping_url": f"http://{base}/ping"})
    done = run_main("--once", "--config", write_job(pair.directory, config, "yearly"))
    assert done.returncode == int(fails), done.stderr
    assert service.titles("/x") == [FAILING if fails else SUCCEEDED]
    assert [r.path for r in service.taken if r.path != "/x"] == ["/ping/start", "/ping/fail" if fails else "/ping"]


def test_a_wrong_url_is_an_error_at_the_start(pair: Pair) -> None:
    """It names the file and the key, and shows nothing of the URL."""
    notify = {"urls": [f"slak://{TOKEN}"]}
    path = write_job(pair.directory, telling(pair, {"notify": notify, "ping_url": f"hc/{TOKEN}"}), "yearly")
    path.chmod(0o600)
    for command in ("run", "check"):
        done = run_main(command, "--config", path)
        assert done.returncode == 1
        assert f"{path}: 2 problems" in done.stderr
        assert "options.notify.urls[0]: unknown Apprise scheme slak://; did you mean slack://?" in done.stderr
        assert "options.ping_url: not the http:// or https:// URL of a check" in done.stderr
        assert_no_secret([done.stdout, done.stderr], TOKEN)


# ---------------------------------------------------------------- main.py notify --test


AWAY = {"source": {"url": "http://127.0.0.1:9"}, "destination": {"url": "http://127.0.0.1:8"}}


def test_a_test_message_comes_to_each_service_of_each_job(service: Recorder, tmp_path: Path) -> None:
    """From whom, about what; no server has to be there, no check is pinged, no URL is shown."""
    base = f"127.0.0.1:{service.port}"
    urls = [f"json://{base}/{name}/{TOKEN}" for name in ("chat", "mail")]
    options = {
        "backup_mode": "incremental",
        "notify": {"urls": urls, "daily": "07:00"},
        "ping_url": f"http://{base}/{TOKEN}",
    }
    write_job(tmp_path, {**AWAY, "options": options}, "nightly")
    write_job(tmp_path, {**AWAY, "destination": {"url": "http://127.0.0.1:7"}, "options": options}, "hourly")
    for job in ("nightly", "hourly"):
        (tmp_path / f"{job}.yaml").chmod(0o600)
    done = run_main("notify", "--test", "--config", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        line
        for job in ("hourly", "nightly")
        for line in (
            f"job {job}: options.notify.urls[0], json://: took the message",
            f"job {job}: options.notify.urls[1], json://: took the message",
            f"job {job}: options.ping_url is not pinged: that would count as a run",
        )
    ]
    for name in ("chat", "mail"):
        assert service.titles(f"/{name}/{TOKEN}") == ["hourly: test message", "nightly: test message"]
    text = service.at(f"/chat/{TOKEN}")[1].json["message"]
    assert f"job nightly on {socket.gethostname()} can tell you" in text
    assert "It tells of: failure, warning, recovery" in text
    assert "Every day at 07:00 UTC: a digest of all jobs" in text
    assert len(service.taken) == 4
    assert_no_secret([done.stdout, done.stderr], TOKEN)


def test_a_service_that_does_not_take_the_test_message_is_named(service: Recorder, tmp_path: Path) -> None:
    """With its answer, and exit code 1; the others get theirs."""
    service.status = 503
    urls = [f"json://127.0.0.1:{service.port}/x/{TOKEN}", f"json://127.0.0.1:{free_port()}/y/{TOKEN}"]
    options = {"backup_mode": "incremental", "notify": {"urls": urls}}
    file = write_job(tmp_path, {**AWAY, "options": options})
    done = run_main("notify", "--test", "--config", file)
    assert done.returncode == 1
    assert done.stdout.count("json://: NOT DELIVERED: ") == 2
    assert "503" in done.stdout
    assert_no_secret([done.stdout, done.stderr], TOKEN)


def test_notify_needs_somebody_to_tell_and_the_word_test(tmp_path: Path) -> None:
    """Exit code 2, and what to write."""
    file = write_job(tmp_path, {**AWAY, "options": {"backup_mode": "incremental"}})
    for arguments, said in (([], "say --test"), (["--test"], "set options.notify.urls")):
        done = run_main("notify", *arguments, "--config", file)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
