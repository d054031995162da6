"""Names that servers and users choose are only names: never InfluxQL, line protocol, log lines or paths."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from main import run_worker
from tests.integration.harness import MONDAY, Pair, job_config, run_main, snapshot, write_job
from tests.soak.loki import Loki
from tests.support.reader import difference
from tests.support.servers import InfluxServer, RequestFailed, quoted
from watching.health import write_health

INJECTIONS = [
    '"; DROP DATABASE canary --',
    'x" WHERE 1=1; DROP DATABASE canary; --',
    "x'; DROP DATABASE canary; --",
    '\\"; DROP DATABASE canary --',
    'x\\\\"; DROP DATABASE canary --',
    "/.*/; DROP DATABASE canary",
    "; DROP MEASUREMENT canary",
    "/* x */ -- y",
    "x INTO canary.autogen.c",
    "x::field) FROM canary..c --",
    "a,b=c d=e",
    'm v=1 1 canary v="x"',
    "../../etc/passwd",
    "..\\..\\etc",
    "%s%s%s%n%(message)s",
    "{0}{job}{}",
    "\x1b[2J\x1b[31mred",
    "tab\tand\x07bell",
    "del\x7f and \u202e right to left \u2028 and line separator \x85",
    "`id` $(id) ${HOME} $HOME",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "é 日本 🎉",
    "-- comment",
    "#hash",
    "trailing space ",
    " leading",
]
"""Each is tried as a name of everything; which of them a server takes for what is its own matter."""

FORGED = "2026-01-01T00:00:00.000Z INFO    [job] run ended: 1 points, 1 values, 9 B in 0.0 s: ok"
KEPT_NEWLINE = f"x\\\n{FORGED}"
"""A newline that InfluxDB keeps, because a backslash stands before it."""

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) +\[[^\]]+\] .+")


def escaped(name: str, characters: str) -> str:
    """The name in line protocol."""
    return re.sub(f"([{characters}])", r"\\\1", name)


def lines(name: str, time: int) -> Iterator[str]:
    """Points that hold the name in each place."""
    tag, key = escaped(name, ", ="), escaped(name, ', ="')
    text = name.replace("\\", "\\\\").replace('"', '\\"')
    yield f"{escaped(name, ', ')},t=x v=1i {time}"
    yield f"m,{tag}=x v=2i {time}"
    yield f"m,t={tag} v=3i {time}"
    yield f"m,n={time} {key}=4i {time}"
    yield f'm,s={time} s="{text}" {time}'


@pytest.fixture(scope="module")
def servers(source: InfluxServer, destination: InfluxServer) -> Iterator[tuple[InfluxServer, InfluxServer]]:
    """The two servers, with something on each that an injection would destroy or change."""
    for server in (source, destination):
        server.create_database("canary")
        server.write("c v=1 1\ncanary v=1 1", "canary")
    before = [snapshot(server, "canary") for server in (source, destination)]
    yield source, destination
    assert [snapshot(server, "canary") for server in (source, destination)] == before
    for server in (source, destination):
        server.drop_database("canary")


def fill(server: InfluxServer, database: str, policy: str | None = None) -> int:
    """Write all points with these names that the server takes; how many."""
    taken = 0
    for number, name in enumerate([*INJECTIONS, KEPT_NEWLINE]):
        for line in lines(name, MONDAY + number):
            try:
                server.write(line, database, policy)
            except RequestFailed:
                continue
            taken += 1
    return taken


def accepts(server: InfluxServer, statement: str) -> bool:
    """Whether the server runs the statement."""
    try:
        server.query(statement)
    except RequestFailed:
        return False
    return True


def as_written(names: Mapping[str, str]) -> dict[str, str]:
    """The names as a file holds them: a literal ${ is doubled."""
    return {name.replace("${", "$${"): other.replace("${", "$${") for name, other in names.items()}


def log_texts(directory: Path) -> list[str]:
    """The content of all log files."""
    return [path.read_text() for path in sorted(directory.rglob("*.log"))]


def assert_no_forgery(text: str) -> None:
    """Every line is one of ours, without a control character, and none is what a name says."""
    for line in text.splitlines():
        assert line.isprintable(), line
        assert not line.startswith(FORGED)


def test_names_of_measurements_tags_and_fields_are_only_names(
    servers: tuple[InfluxServer, InfluxServer], database: str, tmp_path: Path
) -> None:
    """The copy is exact, canaries survive, and the log at its most talkative has one line for each event."""
    source, destination = servers
    source.create_database(database)
    assert fill(source, database) > 4 * len(INJECTIONS)
    loki = Loki()
    options = {"log_level": "DEBUG", "log_directory": str(tmp_path / "logs"), "loki": loki.options, "retries": 0}
    path = write_job(tmp_path, job_config(source, destination, [database], {"options": options}))
    done = run_main("--config", path)
    checked = run_main("check", "--config", path)
    assert difference(snapshot(source, database), snapshot(destination, database)) == ""
    assert done.returncode == 0, done.stdout
    (log,) = log_texts(tmp_path / "logs")
    for text in (done.stdout, done.stderr, checked.stdout, checked.stderr, log, *loki.texts):
        assert_no_forgery(text)
    assert all(LINE.fullmatch(line) for line in [*done.stderr.splitlines(), *log.splitlines()])
    assert all(len(text.splitlines()) == 1 for text in loki.texts)
    for name in ("\\x1b[2J\\x1b[31mred", "x\\\\n" + FORGED):
        assert name in log
        assert name in checked.stdout
        assert any(name in text for text in loki.texts)


def test_names_of_databases_and_policies_are_only_names(
    servers: tuple[InfluxServer, InfluxServer], tmp_path: Path
) -> None:
    """The same for what is created at the destination."""
    source, destination = servers
    names = [name for name in INJECTIONS if accepts(source, f"CREATE DATABASE {quoted(name)}")]
    assert len(names) > len(INJECTIONS) // 2
    for number, name in enumerate(names):
        source.write(f"m v=1 {MONDAY}", name)
        for policy in INJECTIONS if number == 0 else names[number:][:1]:
            where = f"{quoted(policy)} ON {quoted(name)}"
            if accepts(source, f"CREATE RETENTION POLICY {where} DURATION INF REPLICATION 1"):
                source.write(f"m v=2 {MONDAY}", name, policy)
    assert len({at[0] for at in snapshot(source, names[0]).points}) > len(INJECTIONS) // 2
    copies = {name: f"{name} copy" for name in names}
    config = job_config(source, destination, as_written(copies), {"options": {"log_level": "DEBUG", "retries": 0}})
    try:
        done = run_main("--config", write_job(tmp_path, config))
        for name, copy in copies.items():
            assert difference(snapshot(source, name), snapshot(destination, copy)) == ""
        assert done.returncode == 0, done.stdout
        assert_no_forgery(done.stdout + done.stderr)
    finally:
        for name, copy in copies.items():
            source.drop_database(name)
            destination.drop_database(copy)


def test_a_name_of_the_users_is_only_a_name(servers: tuple[InfluxServer, InfluxServer], tmp_path: Path) -> None:
    """Databases that a file names and no server has, with characters that no identifier can hold."""
    source, destination = servers
    hostile = [*INJECTIONS, "x\r\nDROP DATABASE canary", "x\0; DROP DATABASE canary", FORGED, "x\n" + FORGED]
    config = job_config(source, destination, as_written(dict.fromkeys(hostile, "")), {"options": {"retries": 0}})
    done = run_main("--config", write_job(tmp_path, config))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(re.findall("^FAILED job: ", done.stdout, re.MULTILINE)) >= len(hostile) - 1
    assert_no_forgery(done.stdout + done.stderr)


# ---------------------------------------------------------------- jobs

JOBS = ["a b", f"x\n{FORGED}", "\x1b[2J%s %(message)s", "{job} $(id) é\u202e", os.fsdecode(b"not utf-8 \xff")]


def test_names_of_job_files_are_only_names(
    servers: tuple[InfluxServer, InfluxServer], database: str, tmp_path: Path
) -> None:
    """Each is run, logs one line for each event, and keeps its log inside of the log directory."""
    source, destination = servers
    source.create_database(database)
    source.write(f"m v=1 {MONDAY}", database)
    loki, logs, jobs = Loki(), tmp_path / "logs", tmp_path / "jobs"
    options = {"log_directory": str(logs), "loki": loki.options, "retries": 0}
    for number, name in enumerate(JOBS):
        config = job_config(source, destination, {database: f"{database}_{number}"}, {"options": options})
        write_job(jobs, config, name)
    (jobs / "link.yaml").symlink_to(jobs / "a b.yaml")
    (jobs / "broken\n.yaml").symlink_to("nowhere")
    (jobs / "invalid\n\x1b[2J.yaml").write_text("source: 1")
    done = run_main("--config", jobs)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert_no_forgery(done.stdout + done.stderr)
    ended = [line for line in done.stdout.splitlines() if line.endswith(" ok") and not line.startswith("total ")]
    assert len(ended) == len(JOBS) - 1
    assert sorted(path.name for path in logs.iterdir() if path.name not in (".compared", "metadata")) == sorted(
        name for name in JOBS if name != "a b"
    )
    for text in loki.texts:
        assert_no_forgery(text)
    for number in range(len(JOBS)):
        destination.drop_database(f"{database}_{number}")


def test_a_health_report_is_one_line(tmp_path: Path) -> None:
    """It is shown by tools for containers."""
    name = f"x\n{FORGED}\x1b[2J"
    write_health(tmp_path / "health", {name: name}, time.time())
    done = run_main("health", environ={**os.environ, "BACKUP_HEALTH_FILE": str(tmp_path / "health")})
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert line.count(f"x\\n{FORGED}\\x1b[2J") == 2
    assert_no_forgery(done.stdout + done.stderr)


@pytest.mark.parametrize("name", ["..", ".", "...", "..\\..\\x"])
def test_a_job_whose_name_is_a_path_is_refused_or_stays_inside(name: str, pair: Pair) -> None:
    """`...yaml` is the job `..`: its log would lie beside the log directory."""
    pair.write(f"m v=1 {MONDAY}")
    logs = pair.directory / "deep" / "logs"
    path = write_job(pair.directory, pair.config({"options": {"log_directory": str(logs)}}), name)
    before = set(pair.directory.rglob("*"))
    result = run_worker(path)
    created = {found for found in pair.directory.rglob("*") if found not in before}
    kept = pair.directory / "quarantine"
    folders = (logs, kept / ".compared", kept / "metadata")
    assert all(found in (logs.parent, kept) or {found, *found.parents} & {*folders} for found in created)
    assert result.succeeded == (name == "...")
    if not result.succeeded:
        assert "cannot be a file name; rename the job" in result.failures[0]
