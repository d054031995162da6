"""The test support itself: what the other tests rely on has to be right first."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from tests.support import reader, samples, servers
from tests.support.certificates import self_signed
from tests.support.containers import chosen_server
from tests.support.reader import (
    FIRST_TIME,
    LAST_TIME,
    Key,
    Policy,
    ReaderError,
    Snapshot,
    Value,
    difference,
    digest_database,
    digest_difference,
    exact,
    key,
    read_database,
    read_policies,
)
from tests.support.servers import InfluxdFailed, InfluxdMissing, InfluxServer, RequestFailed
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent
WEEK = 7 * 86400 * 10**9


@pytest.fixture
def filled(source: InfluxServer, database: str) -> str:
    """The database, created on the source."""
    source.create_database(database)
    return database


def assert_equal(found: Snapshot, expected: dict[Key, Value]) -> None:
    """Compare with a report that can be read."""
    report = difference(Snapshot(expected), found, names=("expected", "found"))
    assert not report, report


# ---- servers


def test_a_closed_server_leaves_no_process_and_no_directory() -> None:
    """Whatever a test does, its server is gone afterwards."""
    with InfluxServer.start("closed") as server:
        server.create_database("db")
        pid, directory = server.pid, server.directory
        assert directory.is_dir()
    assert not directory.exists()
    assert not server.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_missing_influxd_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests without a server never count as passed or skipped."""
    monkeypatch.setattr(servers, "SYSTEM_FOLDERS", ())
    monkeypatch.delenv("INFLUXD", raising=False)
    monkeypatch.delenv("INFLUXD_VERSION", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InfluxdMissing, match="apt-get install influxdb"):
        InfluxServer.start("missing")


def test_a_wrong_influxd_variable_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo in INFLUXD does not silently test another server."""
    monkeypatch.setenv("INFLUXD", "/nonexistent/influxd")
    with pytest.raises(InfluxdMissing, match="INFLUXD=/nonexistent/influxd"):
        InfluxServer.start("missing")


def test_the_influxd_variable_chooses_the_server(tmp_path: Path) -> None:
    """INFLUXD wins over PATH."""
    program = tmp_path / "influxd-1.8"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert servers.find_influxd({"INFLUXD": str(program), "PATH": os.environ["PATH"]}) == program


def test_a_version_that_is_missing_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test never runs on another version than the one that was asked for."""
    monkeypatch.delenv("INFLUXD", raising=False)
    monkeypatch.setenv("INFLUXD_VERSION", "1.5.0")
    with pytest.raises(InfluxdMissing, match=r"make influxd VERSION=1\.5\.0"):
        InfluxServer.start("missing")


def test_the_version_variable_chooses_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What runs says of itself that it is of the version that was asked for."""
    program = tmp_path / "1.5.0" / "influxd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho InfluxDB v1.5.0 '(git: unknown unknown)'\n")
    program.chmod(0o755)
    monkeypatch.setattr(servers, "CACHE", tmp_path)
    found = servers.find_influxd({"INFLUXD_VERSION": "1.5.0", "PATH": os.environ["PATH"]})
    assert (found, servers.told_version(found)) == (program, "1.5.0")


def test_a_running_server_tells_the_version_of_its_program() -> None:
    """So a test knows what it has met, however the program was chosen."""
    with InfluxServer.start("version") as server:
        program = servers.find_influxd()
        assert server.met_version.removesuffix(servers.UNSIGNED) == servers.told_version(program)
        assert server.met_version.endswith(servers.UNSIGNED) == program.parent.name.endswith(servers.UNSIGNED)
        assert server.met_version.startswith("1.")


def test_a_program_that_tells_no_version_is_an_error(tmp_path: Path) -> None:
    """Nothing is guessed."""
    program = tmp_path / "influxd"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    with pytest.raises(InfluxdFailed, match=r"influxd version: 'hello"):
        servers.told_version(program)


def test_the_session_says_which_server_it_runs_on(tmp_path: Path) -> None:
    """Its version and its program; a missing one is told too, and is an error only where it is needed."""
    program = tmp_path / "influxd"
    program.write_text("#!/bin/sh\necho InfluxDB v1.5.0\n")
    program.chmod(0o755)
    environ = {"INFLUXD": str(program), "PATH": os.environ["PATH"]}
    assert chosen_server(environ) == f"1.5.0 ({program})"
    program.unlink()
    assert chosen_server(environ) == f"none: INFLUXD={program} is not a program that can be run"
    in_containers = chosen_server({**environ, "INFLUX_SERVERS": "containers", "INFLUXDB_IMAGE": "influxdb:1.8.10"})
    assert in_containers.startswith("containers of influxdb:1.8.10; servers of a test's own: none: ")


def test_a_server_that_does_not_start_reports_the_end_of_its_log(tmp_path: Path) -> None:
    """The reason is in the message, and a given directory is kept."""
    with pytest.raises(InfluxdFailed, match=r"max-body-size|TOML value"):
        InfluxServer.start("broken", directory=tmp_path, settings={"http.max-body-size": "huge"})
    assert (tmp_path / "influxd.log").exists()


def test_a_port_that_somebody_took_meanwhile_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many test runs may start servers at the same time."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]])
        really_free = servers.free_port
        monkeypatch.setattr(servers, "free_port", lambda: next(ports, None) or really_free())
        with InfluxServer.start("second choice") as server:
            assert server.port != taken.getsockname()[1]
            assert server.rows("SHOW DATABASES") == []


def test_a_killed_server_comes_back_on_the_same_port_with_its_data() -> None:
    """A power cut loses nothing that was acknowledged."""
    with InfluxServer.start("killed") as server:
        server.create_database("db")
        server.write("m v=1 1000", "db")
        url = server.url
        server.kill()
        assert not server.running
        with pytest.raises(InfluxdFailed):
            server.rows("SHOW DATABASES")
        server.restart()
        assert server.url == url
        assert server.rows("SELECT v FROM m", db="db") == [[1000, 1.0]]


def test_a_paused_server_answers_nothing_until_it_is_resumed() -> None:
    """A server that hangs can be had at will."""
    with InfluxServer.start("paused") as server:
        server.pause()
        with pytest.raises(InfluxdFailed, match="timed out"):
            server.query("SHOW DATABASES", timeout=0.3)
        server.resume()
        assert server.rows("SHOW DATABASES") == []
        server.pause()


@pytest.mark.parametrize(
    ("open_for", "takes", "expected"),
    [
        (0.0, 0.25, 0.25),
        (0.125, 0.25, 0.125),
        (0.25, 0.25, 0.0),
        (9.5, 0.25, 0.0),
        (9.75, 0.25, 0.5),
        (1009.875, 0.25, 0.375),
        (9.875, 0.0625, 0.0),
        (6.0, 60.0, 4.25),
        (4.0, 60.0, 0.0),
    ],
)
def test_nothing_is_written_while_a_server_frees_caches(open_for: float, takes: float, expected: float) -> None:
    """Neither begun in that moment nor on its way when it comes, however long that takes."""
    assert servers.until_clear(open_for, takes) == expected


def test_a_server_tells_when_it_will_free_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time at which it opened its store, at its last start; a request waits for its length, too."""
    asked: list[tuple[float, float]] = []

    def until_clear(open_for: float, takes: float) -> float:
        asked.append((open_for, takes))
        return 0.0

    monkeypatch.setattr(servers, "until_clear", until_clear)
    begun = time.time()
    with InfluxServer.start("freeing") as server:
        server.create_database("db")
        server.write("m v=1 1000", "db")
        first = time.time() - begun
        server.restart()
        server.write("m v=1 1000\n" + "#" * 2_999_989, "db")
        second = time.time() - begun
    assert [takes for _, takes in asked] == [pytest.approx(0.1, abs=0.001), 1.1]
    assert 0 < asked[0][0] < first
    assert 0 < asked[1][0] < second - first


def test_settings_reach_the_server_and_can_change_at_a_restart() -> None:
    """Authentication and limits are a matter of settings."""
    with InfluxServer.start("settings", settings={"http.auth-enabled": True}) as server:
        assert server.rows("SHOW USERS") == [[server.user, True]]
        with pytest.raises(RequestFailed, match="HTTP 401"):
            server.query("SHOW DATABASES", u=server.user, p="wrong")
        with pytest.raises(ReaderError, match="401"):
            read_policies(server.url, "db")
        server.create_database("db")
        assert read_policies(server.url, "db", user=server.user, password=server.password)
        server.restart(settings={})
        assert server.user == ""
        assert read_policies(server.url, "db") == {"autogen": Policy("0s", "168h0m0s", True)}


def test_a_server_can_speak_tls(tmp_path: Path) -> None:
    """Also with a certificate that nobody signed."""
    with InfluxServer.start("tls", settings=self_signed(tmp_path).settings) as server:
        assert server.url.startswith("https://")
        server.create_database("db")
        server.write("m v=1 1000", "db")
        assert_equal(read_database(server.url, "db"), {key("autogen", "m", {}, "v", 1000): exact(1.0)})


def test_a_server_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    """Not even SIGKILL leaves servers behind."""
    program = """
        import os, pathlib, signal, sys
        from tests.support.servers import InfluxServer
        server = InfluxServer.start("orphan", directory=pathlib.Path(sys.argv[1]))
        print(server.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = int(done.stdout)
    wait_until(lambda: _has_ended(pid), "the server's end")
    assert _has_ended(pid)


def _has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_refused_writes_and_queries_raise_with_status_and_message(source: InfluxServer, filled: str) -> None:
    """Nothing that the server refused passes unnoticed."""
    source.write("m v=1 1000", filled)
    refused: list[tuple[Callable[[], object], int, str]] = [
        (lambda: source.write("m v=1i 1000", filled), 400, "field type conflict"),
        (lambda: source.write("m", filled), 400, "missing fields"),
        (lambda: source.write("m v=1 1000", "nowhere"), 404, "database not found"),
        (lambda: source.query("SHOW NONSENSE"), 400, "error parsing query"),
        (lambda: source.query("SHOW DATABASES; SELECT * FROM m", db="nowhere"), 200, "database not found"),
    ]
    for ask, status, message in refused:
        with pytest.raises(RequestFailed, match=message) as caught:
            ask()
        assert caught.value.status == status


# ---- the reader


NASTY: list[tuple[bytes, dict[Key, Value]]] = [
    (b"m v=-0.0 1", {key("autogen", "m", {}, "v", 1): ("float", "-0.0")}),
    (b"m v=0.0 2", {key("autogen", "m", {}, "v", 2): ("float", "0.0")}),
    (b"m v=1 3", {key("autogen", "m", {}, "v", 3): ("float", "1.0")}),
    (b"m v=1e21 4", {key("autogen", "m", {}, "v", 4): ("float", "1e+21")}),
    (b"m v=5e-324 5", {key("autogen", "m", {}, "v", 5): ("float", "5e-324")}),
    (b"m v=1.7976931348623157e308 6", {key("autogen", "m", {}, "v", 6): exact(1.7976931348623157e308)}),
    (b"m i=9223372036854775807i 1", {key("autogen", "m", {}, "i", 1): ("integer", 9223372036854775807)}),
    (b"m i=-9223372036854775808i 2", {key("autogen", "m", {}, "i", 2): ("integer", -9223372036854775808)}),
    (b"m i=9007199254740993i 3", {key("autogen", "m", {}, "i", 3): ("integer", 9007199254740993)}),
    (b"m i=1i 4", {key("autogen", "m", {}, "i", 4): ("integer", 1)}),
    (b"m b=true 1", {key("autogen", "m", {}, "b", 1): ("boolean", True)}),
    (b"m b=F 2", {key("autogen", "m", {}, "b", 2): ("boolean", False)}),
    (b'm s="" 1', {key("autogen", "m", {}, "s", 1): ("string", b"")}),
    (b'm s="null" 2', {key("autogen", "m", {}, "s", 2): ("string", b"null")}),
    (b'm s="1" 3', {key("autogen", "m", {}, "s", 3): ("string", b"1")}),
    (b'm s="a\\"b\\\\c" 4', {key("autogen", "m", {}, "s", 4): ("string", b'a"b\\c')}),
    (b'm s="a\nb\r\n" 5', {key("autogen", "m", {}, "s", 5): ("string", b"a\nb\r\n")}),
    (b'm s="\0" 6', {key("autogen", "m", {}, "s", 6): ("string", b"\0")}),
    (b'm s="\xff\xfe\xc3" 7', {key("autogen", "m", {}, "s", 7): ("string", b"\xff\xfe\xc3")}),
    (b'm s="\xf0\x9f\x9a\x80" 8', {key("autogen", "m", {}, "s", 8): ("string", b"\xf0\x9f\x9a\x80")}),
    (
        b'n,t=a a=1,b=2i,c="x",d=true 1',
        {
            key("autogen", "n", {"t": "a"}, "a", 1): ("float", "1.0"),
            key("autogen", "n", {"t": "a"}, "b", 1): ("integer", 2),
            key("autogen", "n", {"t": "a"}, "c", 1): ("string", b"x"),
            key("autogen", "n", {"t": "a"}, "d", 1): ("boolean", True),
        },
    ),
    (b"n,t=a,u=b a=1 1", {key("autogen", "n", {"t": "a", "u": "b"}, "a", 1): ("float", "1.0")}),
    (b"n a=1 1", {key("autogen", "n", {}, "a", 1): ("float", "1.0")}),
    # a tag and a field of one name, which InfluxDB would rename to x_1 when it lists both as columns
    (b"x,x=tag x=7i,x_1=8i 1", {
        key("autogen", "x", {"x": "tag"}, "x", 1): ("integer", 7),
        key("autogen", "x", {"x": "tag"}, "x_1", 1): ("integer", 8),
    }),
    (b"x,x=only\\ tag y=1 2", {key("autogen", "x", {"x": "only tag"}, "y", 2): ("float", "1.0")}),
    (b"x x=9i 3", {key("autogen", "x", {}, "x", 3): ("integer", 9)}),
    (b"t,tag=\xff\xfe v=1 1", {(
        "autogen", b"t", ((b"tag", b"\xff\xfe"),), b"v", 1): ("float", "1.0"),
    }),
    (b"t,a\\ b\\,c\\=d=e\\ f\\,g\\=h v=1 1", {
        key("autogen", "t", {"a b,c=d": "e f,g=h"}, "v", 1): ("float", "1.0"),
    }),
    (b"t,tag=a\0b\rc v=1 1", {key("autogen", "t", {"tag": "a\0b\rc"}, "v", 1): ("float", "1.0")}),
    (b"t f\0\r\\ \\,\\=\\\"=1 1", {key("autogen", "t", {}, 'f\0\r ,="', 1): ("float", "1.0")}),
    (b"a\0b v=1 1", {key("autogen", "a\0b", {}, "v", 1): ("float", "1.0")}),
    (b"a\rb v=1 1", {key("autogen", "a\rb", {}, "v", 1): ("float", "1.0")}),
    (b'a"b\'c/d\\x.e v=1 1', {key("autogen", "a\"b'c/d\\x.e", {}, "v", 1): ("float", "1.0")}),
    (b"a\\\nb v=1 1", {key("autogen", "a\\\nb", {}, "v", 1): ("float", "1.0")}),
    (b"a\\ b\\,c=d v=1 1", {key("autogen", "a b,c=d", {}, "v", 1): ("float", "1.0")}),
    (b".* v=1 1", {key("autogen", ".*", {}, "v", 1): ("float", "1.0")}),
    (b"time v=1 1", {key("autogen", "time", {}, "v", 1): ("float", "1.0")}),
]  # fmt: skip


def test_the_reader_reads_back_exactly_what_was_written(source: InfluxServer, filled: str) -> None:
    """Values, types, names and bytes that every format but one confuses."""
    expected: dict[Key, Value] = {}
    for line, values in NASTY:
        source.write(line, filled)
        expected |= values
    assert_equal(read_database(source.url, filled), expected)


def test_the_reader_reads_the_first_and_the_last_possible_nanosecond(source: InfluxServer, filled: str) -> None:
    """From 1677 to 2262, and one nanosecond before and after 1970."""
    times = [FIRST_TIME, FIRST_TIME + 1, -1, 0, 1, LAST_TIME - 1, LAST_TIME]
    source.write("\n".join(f"m v={number}i {at}" for number, at in enumerate(times)), filled)
    expected = {key("autogen", "m", {}, "v", at): exact(number) for number, at in enumerate(times)}
    assert_equal(read_database(source.url, filled), expected)
    assert sum(digest.rows for digest in digest_database(source.url, filled).values()) == len(times)


def test_a_field_has_the_type_of_each_shard(source: InfluxServer, filled: str) -> None:
    """Float, integer, string and boolean, one after the other, in the same field of the same series."""
    for week, text in enumerate(["1", "1i", '"1"', "true", "9007199254740993i", "2.5"]):
        source.write(f"m,t=a v={text} {week * WEEK}", filled)
    values = [exact(1.0), exact(1), exact("1"), exact(True), exact(2**53 + 1), exact(2.5)]
    expected = {key("autogen", "m", {"t": "a"}, "v", week * WEEK): value for week, value in enumerate(values)}
    assert_equal(read_database(source.url, filled), expected)


def test_all_policies_are_read_and_kept_apart(source: InfluxServer, filled: str) -> None:
    """The same point in two policies is two points."""
    source.query(f'CREATE RETENTION POLICY "other one" ON {filled} DURATION 90d REPLICATION 1 SHARD DURATION 2d')
    now = time.time_ns()
    source.write(f"m v=1 {now}", filled)
    source.write(f"m v=2 {now}", filled, "other one")
    source.write(f"only v=3 {now}", filled, "other one")
    other = {
        key("other one", "m", {}, "v", now): exact(2.0),
        key("other one", "only", {}, "v", now): exact(3.0),
    }
    assert_equal(read_database(source.url, filled, policies=["other one"]), other)
    assert_equal(read_database(source.url, filled), {key("autogen", "m", {}, "v", now): exact(1.0), **other})
    assert read_policies(source.url, filled) == {
        "autogen": Policy("0s", "168h0m0s", True),
        "other one": Policy("2160h0m0s", "48h0m0s", False),
    }
    with pytest.raises(ReaderError, match="no retention policy nothing"):
        read_database(source.url, filled, policies=["nothing"])


def test_a_changed_shard_duration_does_not_confuse_the_reader(source: InfluxServer, filled: str) -> None:
    """Shard groups of several lengths lie side by side, and on top of each other."""
    source.write(f"m v=1 {WEEK}\nm v=2 {WEEK + 86400 * 10**9}", filled)
    source.query(f"ALTER RETENTION POLICY autogen ON {filled} SHARD DURATION 1h")
    source.write(f"m v=3 {WEEK + 2}\nm v=4 {5 * WEEK}\nm v=5 {9 * WEEK}", filled)
    source.query(f"ALTER RETENTION POLICY autogen ON {filled} SHARD DURATION 52w")
    source.write(f"m v=6 {5 * WEEK + 2 * 86400 * 10**9}\nm v=7 {9 * WEEK + 1}", filled)
    values = {
        key("autogen", "m", {}, "v", WEEK): exact(1.0),
        key("autogen", "m", {}, "v", WEEK + 86400 * 10**9): exact(2.0),
        key("autogen", "m", {}, "v", WEEK + 2): exact(3.0),
        key("autogen", "m", {}, "v", 5 * WEEK): exact(4.0),
        key("autogen", "m", {}, "v", 9 * WEEK): exact(5.0),
        key("autogen", "m", {}, "v", 5 * WEEK + 2 * 86400 * 10**9): exact(6.0),
        key("autogen", "m", {}, "v", 9 * WEEK + 1): exact(7.0),
    }
    assert_equal(read_database(source.url, filled), values)
    source.write(f"m v=8i {200 * WEEK}", filled)
    if _overlap(source, filled):
        with pytest.raises(ReaderError, match="overlap"):
            read_database(source.url, filled)
    else:  # from 1.12 on a new group ends where an older one begins
        values[key("autogen", "m", {}, "v", 200 * WEEK)] = exact(8)
        assert_equal(read_database(source.url, filled), values)


def _overlap(server: InfluxServer, database: str) -> bool:
    groups = [g for g in server.records("SHOW SHARD GROUPS") if g["database"] == database]
    spans = sorted((g["start_time"], g["end_time"]) for g in groups)
    return any(end > start for (_, end), (start, _) in itertools.pairwise(spans))


def test_long_answers_and_many_shards_are_read_whole(source: InfluxServer, filled: str) -> None:
    """More rows than one chunk of an answer, more shard groups than one request."""
    lines = [f"long,t={number % 2} v={number}i {number}" for number in range(25_000)]
    lines += [f"wide v={number}i {number * WEEK}" for number in range(130)]
    for _ in range(2):  # the first request to a new shard is one that InfluxDB itself can lose
        source.write("\n".join(lines), filled)
    expected = {
        key("autogen", "long", {"t": str(number % 2)}, "v", number): exact(number) for number in range(25_000)
    }
    expected |= {key("autogen", "wide", {}, "v", number * WEEK): exact(number) for number in range(130)}
    assert_equal(read_database(source.url, filled), expected)
    counts = {name: digest.rows for (_, name), digest in digest_database(source.url, filled).items()}
    assert counts == {b"long": 25_000, b"wide": 130}


def test_names_that_no_query_can_read_are_an_error_or_left_out(source: InfluxServer, filled: str) -> None:
    """InfluxDB keeps some names for itself, and invents values for them."""
    source.write('m _name="x",v=1 1000', filled)
    with pytest.raises(ReaderError, match="_name"):
        read_database(source.url, filled)
    readable = {key("autogen", "m", {}, "v", 1000): exact(1.0)}
    assert_equal(read_database(source.url, filled, skip_unreadable=True), readable)
    source.query("DROP MEASUREMENT m", db=filled)
    source.write("_series v=1 1000\nm v=1 1000", filled)
    with pytest.raises(ReaderError, match="_series"):
        read_database(source.url, filled)
    assert_equal(read_database(source.url, filled, skip_unreadable=True), readable)


def test_two_names_that_one_pattern_cannot_tell_apart_are_an_error(source: InfluxServer, filled: str) -> None:
    """Read together they would share one type for each field."""
    source.write("m v=1 1", filled)  # in a new shard the server refuses such names, with status 500
    source.write(b"a\xff v=1 1", filled)
    expected: dict[Key, Value] = {
        ("autogen", b"a\xff", (), b"v", 1): exact(1.0),
        ("autogen", b"m", (), b"v", 1): exact(1.0),
    }
    assert_equal(read_database(source.url, filled), expected)
    source.write(b"a\xfe v=1i 1", filled)
    with pytest.raises(ReaderError, match="same pattern"):
        read_database(source.url, filled)


def test_an_answer_that_a_limit_cut_short_is_an_error() -> None:
    """InfluxDB ends such an answer with status 200 and an error in its last part."""
    with InfluxServer.start("limited") as server:
        server.create_database("db")
        server.write("\n".join(f"m v=1 {at}" for at in range(50_000)), "db")
        server.restart(settings={"coordinator.query-timeout": "1ms"})
        with pytest.raises(ReaderError, match="query-timeout"):
            read_database(server.url, "db")


def _document(**result: object) -> bytes:
    return bytes(msgpack.packb({"results": [{"statement_id": 0, **result}]}))


POLICY_ANSWER = _document(
    series=[
        {
            "columns": ["name", "duration", "shardGroupDuration", "replicaN", "default"],
            "values": [["autogen", "0s", "168h0m0s", 1, True]],
        }
    ]
)


@pytest.fixture
def answer_once() -> Iterator[Callable[[bytes], str]]:
    """A stand-in for a server that breaks: its URL, where one request gets the given bytes."""
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener, listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(answer)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for thread in threads:
        thread.join(5)


def _closing(body: bytes, length: int | None = None) -> bytes:
    header = "" if length is None else f"Content-Length: {length}\r\n"
    return f"HTTP/1.1 200 OK\r\nConnection: close\r\n{header}\r\n".encode() + body


def _chunked(*blocks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    framed = b"".join(f"{len(block):x}\r\n".encode() + block + b"\r\n" for block in blocks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + framed + end


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_chunked(), id="nothing"),
        pytest.param(_chunked(_document(partial=True)), id="the last part is missing"),
        pytest.param(_chunked(POLICY_ANSWER[:-1]), id="the last byte is missing"),
        pytest.param(_chunked(POLICY_ANSWER, b"\x81"), id="a second document begins"),
        pytest.param(_chunked(POLICY_ANSWER, end=b""), id="the body does not end"),
        pytest.param(_chunked(POLICY_ANSWER, end=b"400\r\nx"), id="the body ends inside a chunk"),
        pytest.param(_closing(POLICY_ANSWER, len(POLICY_ANSWER) + 1), id="shorter than its length"),
        pytest.param(_chunked(POLICY_ANSWER, _document(error="timeout")), id="an error at the end"),
        pytest.param(_chunked(POLICY_ANSWER, msgpack.packb({"error": "shutdown"})), id="an error of the request"),
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", id="another status"),
        pytest.param(b"", id="no answer"),
        pytest.param(_chunked(b"\xc1"), id="not msgpack"),
    ],
)
def test_an_answer_that_is_not_provably_complete_is_an_error(
    answer: bytes, answer_once: Callable[[bytes], str]
) -> None:
    """A reader that believed it would call two broken copies equal."""
    with pytest.raises(ReaderError):
        read_policies(answer_once(answer), "db")


def test_the_answer_those_broken_ones_are_made_of_is_good(answer_once: Callable[[bytes], str]) -> None:
    """So it is the breakage that the reader notices."""
    expected = {"autogen": Policy("0s", "168h0m0s", True)}
    assert read_policies(answer_once(_chunked(POLICY_ANSWER)), "db") == expected
    assert read_policies(answer_once(_closing(POLICY_ANSWER, len(POLICY_ANSWER))), "db") == expected


def test_overlapping_shard_groups_are_read_once_and_only_with_one_type() -> None:
    """Windows are cut at every edge of a group; a window in two shards has no exact type."""
    assert reader._windows([(0, 9), (10, 19)], one_type=False) == [(0, 9), (10, 19)]
    assert reader._windows([(0, 9), (30, 39)], one_type=False) == [(0, 9), (30, 39)]
    assert reader._windows([(0, 9), (5, 19)], one_type=True) == [(0, 4), (5, 9), (10, 19)]
    with pytest.raises(ReaderError, match="overlap"):
        reader._windows([(0, 9), (5, 19)], one_type=False)


# ---- comparing


BASE: dict[Key, Value] = {
    key("autogen", "m", {"t": "a"}, "v", 1000): exact(1.0),
    key("autogen", "m", {"t": "a"}, "w", 1000): exact("text"),
    key("autogen", "m", {}, "zero", 2000): exact(0.0),
}


def test_equal_snapshots_have_no_difference() -> None:
    """Whatever the order."""
    assert difference(Snapshot(BASE), Snapshot(dict(reversed(BASE.items())))) == ""
    assert Snapshot(BASE) == Snapshot(dict(BASE))


@pytest.mark.parametrize(
    ("new", "value", "told"),
    [
        (
            key("autogen", "m", {"t": "a"}, "v", 1001),
            exact(1.0),
            "at 1001 (1970-01-01T00:00:00.000001001Z)",
        ),
        (key("autogen", "m", {"t": "b"}, "v", 1000), exact(1.0), "'t'='b'"),
        (key("autogen", "m", {"t": "a", "u": "c"}, "v", 1000), exact(1.0), "'u'='c'"),
        (key("autogen", "m", {"t": "a"}, "V", 1000), exact(1.0), "field 'V'"),
        (key("autogen", "M", {"t": "a"}, "v", 1000), exact(1.0), "'M'"),
        (key("other", "m", {"t": "a"}, "v", 1000), exact(1.0), "other 'm'"),
        (key("autogen", "m", {"t": "a"}, "v", 1000), exact(1), "float 1.0, integer 1"),
        (key("autogen", "m", {"t": "a"}, "v", 1000), exact(True), "float 1.0, boolean True"),
        (key("autogen", "m", {"t": "a"}, "v", 1000), exact(1.0000000000000002), "1.0000000000000002"),
        (key("autogen", "m", {"t": "a"}, "v", 1000), exact("1.0"), "string b'1.0'"),
    ],
)
def test_a_difference_names_what_changed(new: Key, value: Value, told: str) -> None:
    """One nanosecond, tag, name, type or bit is enough."""
    changed = dict(BASE)
    del changed[key("autogen", "m", {"t": "a"}, "v", 1000)]
    changed[new] = value
    assert Snapshot(changed) != Snapshot(BASE)
    assert told in difference(Snapshot(BASE), Snapshot(changed))


def test_minus_zero_is_not_zero() -> None:
    """They are equal numbers and different bits."""
    changed = {**BASE, key("autogen", "m", {}, "zero", 2000): exact(-0.0)}
    assert "float 0.0, float -0.0" in difference(Snapshot(BASE), Snapshot(changed))


def test_a_long_difference_is_counted_whole_and_shown_in_part() -> None:
    """A report that floods the screen helps nobody."""
    many = Snapshot({key("autogen", "m", {}, "v", at): exact(at) for at in range(1000)})
    report = difference(many, Snapshot({}), limit=3)
    assert "source has 1000 values, destination has 0: 1000 missing, 0 extra, 0 different" in report
    assert len(report.splitlines()) == 5


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("m,t=a,u=b w=2i,v=1.5 1000", True),
        ("m,t=a,u=b v=1.5,w=2i,x=1 1000", False),
        ("m,t=a,u=b v=1.5 1000\nm,t=a,u=b w=2i 1001", False),
        ("m,t=a,u=b v=1.5,w=2i 1001", False),
        ("m,t=a,u=b v=1.5000000000000002,w=2i 1000", False),
        ("m,t=a,u=b v=1.5,w=2 1000", False),
        ("m,t=a v=1.5,w=2i 1000", False),
        ("m,t=a,u=c v=1.5,w=2i 1000", False),
        ("n,t=a,u=b v=1.5,w=2i 1000", False),
    ],
)
def test_digests_are_equal_exactly_for_equal_data(
    source: InfluxServer, destination: InfluxServer, database: str, line: str, same: bool
) -> None:
    """Not for one bit less, and whatever order the points were written in."""
    common = [f'm,t=a v={number},s="{number}" {number * WEEK}' for number in range(1, 5)] + ["k v=true 0"]
    for server in (source, destination):
        server.create_database(database)
    source.write("\n".join(["m,t=a,u=b v=1.5,w=2i 1000", *common]), database)
    for text in [*reversed(common), line]:
        destination.write(text, database)
    left, right = digest_database(source.url, database), digest_database(destination.url, database)
    assert (left == right) is same
    assert (digest_difference(left, right) == "") is same
    equal = read_database(source.url, database) == read_database(destination.url, database)
    assert equal is same


def test_a_digest_does_not_depend_on_columns_that_hold_only_nulls(
    source: InfluxServer, destination: InfluxServer, database: str
) -> None:
    """A field that was deleted from a shard still shows as an empty column."""
    for server in (source, destination):
        server.create_database(database)
        server.write("m,t=a v=1,w=2 1000", database)
    source.write("m,t=b a=1,x=3 1000", database)
    assert digest_database(source.url, database) != digest_database(destination.url, database)
    source.query("DROP SERIES FROM m WHERE t = 'b'", db=database)
    assert digest_database(source.url, database) == digest_database(destination.url, database)


# ---- the samples


def test_the_demo_data_are_the_same_each_time_and_counted(
    source: InfluxServer, destination: InfluxServer, database: str
) -> None:
    """What is loaded is what is said to be loaded, in three policies."""
    now = time.time_ns()
    counts = [samples.load_demo_data(server, database, weeks=0.3, now=now) for server in (source, destination)]
    left, right = digest_database(source.url, database), digest_database(destination.url, database)
    assert digest_difference(left, right) == ""
    assert counts == [sum(digest.rows for digest in left.values())] * 2
    assert {policy for policy, _ in left} == set(read_policies(source.url, database))
    kinds = {kind for kind, _ in read_database(source.url, database, policies=["autogen"]).points.values()}
    assert kinds == {"float", "integer", "string", "boolean"}


def test_new_points_are_newer_than_all_others_and_counted(source: InfluxServer, database: str) -> None:
    """So an incremental copy has exactly these to move."""
    samples.load_demo_data(source, database, weeks=0.1)
    before = read_database(source.url, database)
    count = samples.load_new_points(source, database)
    after = read_database(source.url, database)
    new = after.points.keys() - before.points.keys()
    assert before.points.items() <= after.points.items()
    assert len({(policy, name, tags, at) for policy, name, tags, _, at in new}) == count > 200
    newest = {at[:3]: at[4] for at in sorted(before.points, key=lambda at: at[4])}
    assert all(at[4] > newest.get(at[:3], FIRST_TIME) for at in new)
