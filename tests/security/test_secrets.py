"""No password anywhere but in requests to the server that it is for: logs, files, processes, errors, reprs."""

import base64
import json
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest

from basics.boundary import error_boundary
from basics.stopping import StopRequest
from commands.jobs import load_jobs
from config import Config
from daemon.job_file import JobFile
from daemon.supervisor import Supervisor
from influx.listener import SilentRequests
from influx.transport import Transport
from influx_client import connect
from logger_config import setup_logging
from tests.integration.daemon import Held, running, wait_until
from tests.integration.harness import MONDAY, Pair, endpoint, job_config, run_main, snapshot, write_job
from tests.soak.loki import Loki
from tests.support.leaks import assert_no_secret
from tests.support.reader import difference
from tests.support.servers import InfluxServer
from tests.support.web import http_server, page
from watching.health import health_problem

SECRET = """hush'hush" 7é\\n%s{0}=,:@"""
"""A password whose every encoding looks different."""

WAYS = ("password", "password_file", "variable")


# ---------------------------------------------------------------- the check itself


@pytest.mark.parametrize(
    "leak",
    [
        SECRET,
        repr(SECRET),
        json.dumps({"x": SECRET}),
        urllib.parse.quote(SECRET),
        urllib.parse.urlencode({"p": SECRET}),
        *(base64.b64encode(f"{user}:{SECRET}!".encode()).decode() for user in ("u", "us", "use")),
        SECRET.replace("\\", "\\\\").replace('"', '\\"'),
    ],
)
def test_a_leak_is_found_in_any_form(leak: str, tmp_path: Path) -> None:
    """A check that finds nothing must be able to find something."""
    (tmp_path / "file").write_text(f"before {leak} after")
    for text in (f"before {leak} after", leak.encode(), tmp_path / "file"):
        with pytest.raises(AssertionError) as caught:
            assert_no_secret(["harmless", text], SECRET)
        assert SECRET not in str(caught.value)


# ---------------------------------------------------------------- whole processes


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """A server that wants the secret."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        escaped = SECRET.replace("\\", "\\\\").replace("'", "\\'")
        server.query(f"CREATE USER reader WITH PASSWORD '{escaped}' WITH ALL PRIVILEGES")
        server.create_database("kept")
        server.write(f"m v=1 {MONDAY}", "kept")
        yield server


def login(way: str, directory: Path) -> tuple[dict[str, str], Mapping[str, str]]:
    """The keys that give the secret in this way, and the environment that belongs to them."""
    if way == "password":
        return {"user": "reader", "password": SECRET}, os.environ
    if way == "variable":
        return {"user": "reader", "password": "${SECRET_OF_THE_TEST}"}, {
            **os.environ,
            "SECRET_OF_THE_TEST": SECRET,
        }
    (directory / "secret").write_text(SECRET + "\n")
    return {"user": "reader", "password_file": str(directory / "secret")}, os.environ


def logging_options(directory: Path, loki: Loki) -> dict[str, Any]:
    """Everything that logs, at its most talkative."""
    return {"log_level": "DEBUG", "log_directory": str(directory / "logs"), "loki": loki.options}


@pytest.mark.parametrize("way", WAYS)
def test_no_run_shows_the_password(way: str, guarded: InfluxServer, pair: Pair) -> None:
    """A good run and every failure that has to do with a server: output, log files, Loki."""
    loki, jobs = Loki(), pair.directory / "jobs"
    keys, environ = login(way, pair.directory)
    wrong = {**keys, "user": "nobody"}
    redirect = page(302, {"Location": f"http://reader:{SECRET}@elsewhere.invalid/?p={urllib.parse.quote(SECRET)}"})
    headers = {"Content-Type": "application/x-msgpack", "X-Influxdb-Version": "1.6.7"}
    fake = page(200, headers, msgpack.packb({"results": [{}]}))
    with http_server(redirect) as redirecting, http_server(fake) as faking:
        urls = {
            "good": (guarded.url, keys),
            "wrong": (guarded.url, wrong),
            "unreachable": ("http://127.0.0.1:9", keys),
            "redirect": (redirecting, keys),
            "tls": (guarded.url.replace("http:", "https:"), keys),
            "fake": (faking, keys),
        }
        options = {"retries": 1, "retry_delay": 0, **logging_options(pair.directory, loki)}
        for name, (url, given) in urls.items():
            copy = {"kept": f"{pair.database}{name}"}
            config = job_config(guarded, pair.destination, copy, {"options": options})
            config["source"] = {**config["source"], "url": url} | {"password": ""} | given
            write_job(jobs, config, name)
        done = run_main("--config", jobs, environ=environ)
        checked = run_main("check", "--config", jobs, environ=environ)
    for name in urls:
        line = next(line for line in done.stdout.splitlines() if line.startswith(name))
        assert line.endswith("ok" if name == "good" else "FAILED")
    assert difference(snapshot(guarded, "kept"), snapshot(pair.destination, f"{pair.database}good")) == ""
    pair.destination.drop_database(f"{pair.database}good")
    logs = sorted((pair.directory / "logs").rglob("*.log"))
    assert [log.stem for log in logs] == sorted(urls)
    assert "authorization failed" in (pair.directory / "logs/wrong/wrong.log").read_text()
    assert "redirects to http://***@elsewhere.invalid/..." in done.stdout
    assert len(loki.texts) > len(urls)
    output = (done.stdout, done.stderr, checked.stdout, checked.stderr)
    assert_no_secret([*output, *logs, *loki.requests], SECRET)


@pytest.mark.parametrize("way", WAYS)
def test_no_process_and_no_health_file_shows_the_password(way: str, guarded: InfluxServer, pair: Pair) -> None:
    """The process list of a running daemon; its environment only where the user put it there."""
    keys, environ = login(way, pair.directory)
    health, jobs = pair.directory / "health", pair.directory / "jobs"
    config = job_config(guarded, pair.destination, {"kept": f"{pair.database}_kept"})
    config["source"] = {**config["source"], "password": ""} | {**keys, "user": "nobody"}
    config["options"] |= {"incremental": {"schedule": "0 0 1 1 *", "run_on_start": True}}
    held = Held(pair.directory)
    config["options"] |= {"hooks": {"before": held.hook}}
    write_job(jobs, config)
    (jobs / "invalid.yaml").write_text(f"source: {{password: ['{SECRET.replace(chr(39), chr(39) * 2)}']}}")
    added = {key: value for key, value in environ.items() if key not in os.environ}
    with running(jobs, pair.directory, BACKUP_HEALTH_FILE=str(health), **added) as daemon:
        daemon.wait_for("options.hooks.before")
        processes = [Path("/proc") / str(pid) for pid in (daemon.process.pid, *daemon.workers())]
        assert len(processes) == 2
        assert_no_secret([process / "cmdline" for process in processes], SECRET)
        if way != "variable":
            assert_no_secret([process / "environ" for process in processes], SECRET)
        held.let_go()
        daemon.wait_for("run ended")
        wait_until(
            lambda: health.exists() and "job" in json.loads(health.read_text())["failing"], "health", daemon
        )
        state = health.read_text()
        assert "authorization failed" in health_problem(health, json.loads(state)["alive"])
        assert_no_secret([daemon.log, state], SECRET)


@pytest.mark.parametrize("key", ["source", "destination", "options.loki"])
def test_credentials_in_a_url_are_refused_and_not_shown(key: str, pair: Pair) -> None:
    """They would be in every message that names the server."""
    config = pair.config()
    section = config
    for part in key.split("."):
        section = section.setdefault(part, {})
    if key == "options.loki":
        section["enabled"] = True  # what is switched off is not looked at
    quoted = urllib.parse.quote(SECRET)
    for url in (f"http://reader:{SECRET}@127.0.0.1:8086", f"http://reader:{quoted}@127.0.0.1:8086"):
        section["url"] = url
        path = write_job(pair.directory, config)
        for command in ("run", "check"):
            done = run_main(command, "--config", path)
            assert done.returncode == 1
            assert f"{key}.url: a URL must not hold credentials; put them into the keys user" in done.stderr
            assert_no_secret([done.stdout, done.stderr], SECRET)


# ---------------------------------------------------------------- objects and tracebacks


@pytest.fixture
def objects(guarded: InfluxServer, pair: Pair) -> list[object]:
    """Whatever holds the password while a job runs."""
    config = pair.config()
    config["source"] = endpoint(guarded) | {"user": "reader", "password": SECRET, "databases": [{"name": "kept"}]}
    path = write_job(pair.directory, config)
    loaded = Config(path)
    assert loaded.job.source.password.get_secret_value() == SECRET
    file = JobFile(loaded, path.read_bytes())
    server = loaded.job.source
    transport = Transport(
        server,
        "source",
        timeout=5,
        retries=0,
        retry_delay=0,
        threads=1,
        stopping=StopRequest(),
        listener=SilentRequests(),
    )
    client = connect(loaded.job.options, server, "source", StopRequest())
    supervisor = Supervisor([file], lambda: None)
    values = [loaded.get(key) for key in ("source", "source.password", "source.url")]
    return [loaded, loaded.job, server, transport, client, file, supervisor, load_jobs([path]), *values]


def test_no_object_shows_the_password(objects: list[object]) -> None:
    """Somebody will print them once."""
    assert_no_secret([shown(value) for value in objects for shown in (repr, str, ascii)], SECRET)
    assert_no_secret([json.dumps([repr(vars(value)) for value in objects if hasattr(value, "__dict__")])], SECRET)


def test_no_traceback_shows_the_password(objects: list[object], capsys: pytest.CaptureFixture[str]) -> None:
    """An unforeseen error is logged with its traceback, and told in one sentence."""
    setup_logging("job", "DEBUG")
    with error_boundary() as outcome:
        raise LookupError(*objects)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "LookupError" in outcome.problem
    assert_no_secret([shown, outcome.problem], SECRET)


# ---------------------------------------------------------------- files that others may read

WAYS_TO_GIVE: dict[str, tuple[dict[str, str], bool]] = {
    "literal": ({"password": "literal"}, True),
    "default": ({"password": "${NO_SUCH_VARIABLE:-literal}"}, True),
    "partly": ({"password": "${HOME}literal"}, True),
    "variable": ({"password": "${HOME}"}, False),
    "unset": ({"password": "${NO_SUCH_VARIABLE:-}"}, False),
    "empty": ({"password": ""}, False),
    "none": ({}, False),
    "file": ({"password_file": "SECRET_FILE"}, False),
    "invalid": ({"password": "literal", "ulr": "http://a"}, True),
}
"""Keys of a server, and whether they hold the password themselves."""


def shown_file(way: str, pair: Pair, directory: Path) -> Path:
    """A job whose destination has its password in this way."""
    (pair.directory / "secret").write_text("literal")
    given, _ = WAYS_TO_GIVE[way]
    keys = {key: value.replace("SECRET_FILE", f"{pair.directory}/secret") for key, value in given.items()}
    config = job_config(pair.source, pair.destination, {pair.database: f"{pair.database}_{way}"})
    config["destination"] |= keys
    return write_job(directory, config, way)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o620, 0o602, 0o604, 0o640, 0o644, 0o444])
@pytest.mark.parametrize("way", WAYS_TO_GIVE)
def test_a_file_that_shows_its_password_gets_one_warning(
    way: str, mode: int, pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the file and what to do; a file whose password is elsewhere, and a private file, get none."""
    path = shown_file(way, pair, pair.directory)
    path.chmod(mode)
    setup_logging("main")
    load_jobs([path])
    warnings = [line for line in capsys.readouterr().err.splitlines() if " WARNING " in line]
    if WAYS_TO_GIVE[way][1] and mode & 0o044:
        (line,) = warnings
        assert f"[main] {path} holds a password, and others may read the file: " in line
        assert line.endswith("chmod 600, or take the password from password_file or ${VARIABLE}")
        assert "literal" not in line.replace("literal.yaml", "")
    else:
        assert warnings == []


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_warning_comes_once_with_every_command(command: str, pair: Pair) -> None:
    """Not from the job's own process again."""
    pair.write(f"m v=1 {MONDAY}")
    path = shown_file("literal", pair, pair.directory)
    done = run_main(command, "--config", path)
    assert done.returncode == 0
    assert done.stderr.count(f"{path} holds a password") == 1
    pair.destination.drop_database(f"{pair.database}_literal")
