"""Lines that the destination refuses: narrowed down, put aside with its answer, and written by hand afterwards."""

import errno
import os
import shlex
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from random import Random
from typing import Any

import pytest

from basics.stopping import StopRequest
from config import Config
from copying import narrowing, quarantine, small_measurements
from copying.quarantine import Quarantine
from copying.results import JobResult
from influx import frames, line_protocol
from influx.errors import InfluxError, WriteRefused
from influx.frames import Frame
from influx.influxql import Location
from influx.written import Written
from influx_client import InfluxClient, connect
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, moved, run_main, write_job
from tests.integration.test_exactness import CASES
from tests.support.servers import InfluxServer
from tests.support.web import http_server

VALUES_PER_TAG = {"data.max-values-per-tag": 10}


@pytest.fixture
def limited(source: InfluxServer, database: str, tmp_path: Path) -> Iterator[Callable[[dict[str, int]], Pair]]:
    """Makes the pair of the source and a destination of the test's own, with a limit."""
    servers = []

    def start(settings: dict[str, int]) -> Pair:
        servers.append(InfluxServer.start("limited", settings=settings))
        return Pair(source, servers[0], database, tmp_path)

    yield start
    for server in servers:
        server.close()


def files(pair: Pair) -> dict[str, bytes]:
    """The quarantine files of the job."""
    return {path.name: path.read_bytes() for path in sorted((pair.directory / "quarantine" / "job").glob("*"))}


def lines_of(pair: Pair, measurement: str = "m") -> list[bytes]:
    """The lines in the quarantine file of a measurement, without comments; none of them holds a newline."""
    content = files(pair)[f"{pair.database}.autogen.{measurement}.lp"]
    return [line for line in content.splitlines() if not line.startswith(b"#")]


def write_by_hand(pair: Pair) -> None:
    """Do with every file what its own head says."""
    for name, content in files(pair).items():
        (command,) = [
            line for line in content.decode("utf-8", "replace").splitlines() if line.startswith("# curl")
        ]
        _, curl, _, url, option, data = shlex.split(command)
        assert (curl, option, data) == ("curl", "--data-binary", f"@{name}")
        request = urllib.request.Request(url, data=content)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            assert answer.status == 204, name
        (pair.directory / "quarantine" / "job" / name).unlink()


def fill_tag(pair: Pair, count: int = 10) -> None:
    """Bring the destination to its limit of tag values: it looks at what it held before a request."""
    pair.write("\n".join(f"m,host=h{i} v={i}i {MONDAY + i}" for i in range(count)))
    assert pair.backup().failures == ()


# ---------------------------------------------------------------- narrowing down


def test_the_look_back_brings_refused_lines_once_the_cause_is_gone(
    limited: Callable[[dict[str, int]], Pair],
) -> None:
    """Nobody has to write the file by hand while the look-back reaches the points."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    pair.write("\n".join(f'm,host=new{i} s="x",v={i}i {MONDAY + HOUR + i}' for i in range(20)))
    pair.write(f'm,host=h1 s="x",v=1i {MONDAY + 2 * HOUR}')
    assert pair.backup().written.quarantined == 20
    pair.destination.restart({})
    result = pair.backup()
    assert result.late > 0
    pair.assert_equal()
    (failure,) = result.failures  # until somebody has seen to the file
    assert "still holds 20 lines that an earlier run put aside" in failure
    write_by_hand(pair)
    assert pair.backup().failures == ()


def test_refused_lines_are_a_failure_until_the_file_is_deleted(
    limited: Callable[[dict[str, int]], Pair],
) -> None:
    """Also when no later run meets them: a look-back might, in the one older shard group that it picks."""
    options = {"options": {"incremental": {"lookback": "0"}}}
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    pair.write("\n".join(f"m,host=new{i} v={i}i {MONDAY + HOUR + i}" for i in range(5)))
    pair.write("\n".join(f"m,host=h1 v={d}i {MONDAY + d * DAY}" for d in range(1, 60)))
    assert pair.backup(options).written.quarantined == 5
    for _ in range(2):
        assert "still holds 5 lines" in " ".join(pair.backup(options).failures)
    pair.destination.restart({})
    write_by_hand(pair)
    assert pair.backup(options).failures == ()
    pair.assert_equal()


@pytest.mark.parametrize(
    "bad",
    [[2500], [0], [4999], [0, 1, 2, 4998, 4999], list(range(7, 5000, 97)), [1234, 1235]],
    ids=["middle", "first", "last", "edges", "many", "neighbours"],
)
def test_bad_lines_in_a_big_batch_are_put_aside_and_all_others_arrive(
    bad: list[int], limited: Callable[[dict[str, int]], Pair]
) -> None:
    """One or some, wherever they stand; after the limit is raised, the file makes both sides equal."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    lines = [
        f'm,host={"bad" if i in bad else "h"}{i % 10} s="x{i}",v={i}i {MONDAY + HOUR + i}' for i in range(5000)
    ]
    pair.write("\n".join(lines))
    result = pair.backup({"options": {"incremental": {"lookback": "0"}}})
    (failure,) = result.failures
    assert f"{len(bad):,} line" in failure
    assert 'max-values-per-tag limit exceeded (10/10): measurement="m" tag="host"' in failure
    file = pair.directory / "quarantine" / "job" / f"{pair.database}.autogen.m.lp"
    assert str(file) in failure
    assert (result.written.quarantined, result.written.expired) == (len(bad), 0)
    assert result.written.newly_quarantined == len(bad)
    assert result.written.points == 5000 - len(bad)
    assert moved(result) == 10 + 5000 - len(bad)  # points close to the newest one are written again
    assert lines_of(pair) == [lines[i].encode() for i in bad]
    missing = len(pair.snapshots()[0]) - len(pair.found())
    assert missing == 2 * len(bad)
    again = pair.backup()  # the look-back meets the same lines again
    assert (again.written.quarantined, again.late, len(again.failures)) == (len(bad), 0, 1)
    assert again.written.newly_quarantined == 0
    assert lines_of(pair) == [lines[i].encode() for i in bad]
    pair.destination.restart({})
    write_by_hand(pair)
    pair.assert_equal(points=10 + 2 * 5000)


def test_a_limit_on_series_lets_the_known_ones_pass(limited: Callable[[dict[str, int]], Pair]) -> None:
    """`max-series-per-database`, good and bad lines mixed; a later run says nothing of what it does not meet."""
    pair = limited({"data.max-series-per-database": 5})
    pair.write("\n".join(f"m,host=h{i} v={i}i {MONDAY + i}" for i in range(5)))
    assert pair.backup().failures == ()
    pair.write("\n".join(f"m,host=h{i % 10} v={i}i {MONDAY + 100 + i}" for i in range(200)))
    (failure,) = pair.backup().failures
    assert "100 lines refused" in failure
    assert "max-series-per-database" in failure
    assert {dict(at[2])[b"host"] for at in pair.found().points} == {b"h%d" % i for i in range(5)}
    pair.destination.restart({})
    write_by_hand(pair)
    pair.assert_equal(points=205)


def test_a_request_that_is_too_large_is_halved_and_nothing_is_lost(
    limited: Callable[[dict[str, int]], Pair],
) -> None:
    """413 is no failure as long as each point is small enough."""
    pair = limited({"http.max-body-size": 300})
    chance = Random(1)
    pair.write("\n".join(f'm,host=h{i % 7} v={chance.random()},s="{i}\n" {MONDAY + i}' for i in range(500)))
    assert pair.backup().failures == ()
    assert not files(pair)
    pair.assert_equal(points=1000)


def test_a_request_that_the_cache_cannot_take_is_halved_and_nothing_is_lost(
    limited: Callable[[dict[str, int]], Pair], caplog: pytest.LogCaptureFixture
) -> None:
    """InfluxDB answers with an error of its own then, which no retry of the same request would end."""
    caplog.set_level("INFO")
    pair = limited({"data.cache-max-memory-size": 60_000, "data.cache-snapshot-memory-size": 10_000})
    pair.write("\n".join(f"m v={i} {MONDAY + i}" for i in range(5000)))
    assert pair.backup({"options": {"retries": 50}}).failures == ()
    assert "cache-max-memory-size exceeded" in caplog.text
    assert "; writing fewer points at once" in caplog.text
    assert not files(pair)
    pair.assert_equal(points=5000)


def test_a_point_that_is_too_large_by_itself_is_put_aside(limited: Callable[[dict[str, int]], Pair]) -> None:
    """All others arrive, older and newer ones."""
    pair = limited({"http.max-body-size": 600})
    long = "".join(Random(2).choices("abcdefghijklmnopqrstuvwxyz", k=2000))
    pair.write("\n".join(f'm v={i}i,s="{long if i == 3 else "short"}" {MONDAY + i}' for i in range(8)))
    (failure,) = pair.backup().failures
    assert "1 line refused" in failure
    assert "413" in failure
    assert {at[4] for at in pair.found().points} == {MONDAY + i for i in range(8) if i != 3}
    pair.destination.restart({})
    write_by_hand(pair)
    pair.assert_equal(points=16)


# ---------------------------------------------------------------- field types


def test_only_the_values_of_a_field_of_another_type_are_put_aside(pair: Pair) -> None:
    """In the shards where it is one: all other fields, and that field elsewhere, arrive."""
    times = [MONDAY + w * WEEK + i * HOUR for w in range(3) for i in range(100)]
    fields = [f'v={i}.5,w={i}i,s="t{i}"' if i % 3 else f"v={i}.5" for i in range(len(times))]
    pair.write("\n".join(f"m,h=a\\ b {f} {t}" for f, t in zip(fields, times, strict=True)))
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m,h=old v=7i {MONDAY}\nm,h=old v=7i {MONDAY + 2 * WEEK}", pair.database)
    range_ = {"start_date": "2024-01-01", "end_date": "2025-01-01"}
    result = pair.backup({"options": {"backup_mode": "range", "range": range_}})
    (failure,) = result.failures
    for part in ("200 lines refused", "'m'", "'v'", "float", "integer", "rename or drop"):
        assert part in failure
    assert result.written.quarantined == 200
    in_conflict = [i for i in range(300) if not 100 <= i < 200]
    assert lines_of(pair) == [f"m,h=a\\ b v={i}.5 {times[i]}".encode() for i in in_conflict]
    ((_, content),) = files(pair).items()
    assert b'input field \\"v\\" on measurement \\"m\\" is type float, already exists as type integer' in content
    assert b"# 2" in content
    expected, found = pair.snapshots()
    conflicting = {times[i] for i in in_conflict}
    kept = {at: value for at, value in expected.points.items() if at[3] != b"v" or at[4] not in conflicting}
    assert {at: value for at, value in found.points.items() if dict(at[2])[b"h"] != b"old"} == kept


def test_a_type_that_only_the_server_knows_of_is_found_by_its_answer(pair: Pair) -> None:
    """DELETE takes the values of a field and leaves its type; several fields may be in conflict."""
    pair.destination.create_database(pair.database)
    # with its last series, 1.8 forgets the types of a measurement too: one stays, as the source has it
    pair.destination.write(f'm v=7i,w="x",ok=1 {MONDAY}\nm,h=a ok=0 {MONDAY}', pair.database)
    pair.destination.query("DELETE FROM m WHERE h = ''", db=pair.database)
    lines = [f"m,h={'ab'[i % 2]} v={i}.5,w={i}i,ok={i} {MONDAY + i}" for i in range(300)]
    pair.write("\n".join([*lines, f"m v=0.5 {MONDAY + 1000}"]))
    (failure,) = pair.backup().failures
    assert "601 lines refused" in failure
    put_aside = [line.split(b" ")[1].split(b"=")[0] for line in lines_of(pair)]
    assert (put_aside.count(b"v"), put_aside.count(b"w"), len(put_aside)) == (301, 300, 601)
    expected, found = pair.snapshots()
    assert found.points == {at: value for at, value in expected.points.items() if at[3] == b"ok"}
    pair.destination.drop_database(pair.database)
    pair.destination.create_database(pair.database)
    pair.backup()
    pair.assert_equal(points=901)
    write_by_hand(pair)  # writing again changes nothing
    assert pair.backup().failures == ()
    pair.assert_equal(points=901)


def test_a_field_of_another_type_stands_with_bad_lines_of_other_kinds(
    limited: Callable[[dict[str, int]], Pair],
) -> None:
    """A conflict and a limit in one request: each line is put aside for its own reason."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    pair.write("\n".join(f"m,host=h{i % 12} v={i}i,w={i}.5 {MONDAY + 100 + i}" for i in range(60)))
    pair.destination.write(f"m,host=h0 w=1i {MONDAY}", pair.database)
    result = pair.backup()
    assert len(result.failures) == 1
    # of 60 lines, 10 have too many hosts; w of all of them conflicts, also of those
    assert len(lines_of(pair)) == result.written.quarantined == 60 + 10
    content = b"".join(files(pair).values())
    assert b"max-values-per-tag" in content
    assert b"already exists as type integer" in content
    expected, found = pair.snapshots()
    assert {at for at in expected.points if at[3] == b"v" and dict(at[2])[b"host"] not in (b"h10", b"h11")} == {
        at for at in found.points if at[3] == b"v"
    }


# ---------------------------------------------------------------- the file


NASTY = (
    "quotes and backslashes",
    "newlines, NUL and control characters",
    "emoji and bytes that are not UTF-8",
    "escapes in names",
    "backslashes in names",
    "a tag and a field of the same name",
    "names that need a regex",
    "reserved words and odd characters",
)
PATHS = (
    b'../../escape v="\n# no comment\n" 1\n/etc/passwd v=1 1\n..  v=1 1\n'.replace(b"..  v", b".. v")
    + b'a/b\\,c,t=" v="one\ntwo\\"" 1\n'
    + b"x" * 300
    + b" v=1 1\n"
    + b"x" * 299
    + b"y v=1 1"
)


def test_whatever_is_put_aside_can_be_written_by_hand(limited: Callable[[dict[str, int]], Pair]) -> None:
    """Names, strings and paths of every kind, in one file for each measurement, inside the job's folder."""
    pair = limited({"data.max-series-per-database": 1})
    pair.write(f"first v=1 {MONDAY}")
    assert pair.backup().failures == ()
    pair.write(b"\n".join([*(CASES[name][0] for name in NASTY), PATHS]))
    result = pair.backup()
    expected, found = pair.snapshots()
    assert len(found) == 1
    measurements = {at[1] for at in expected.points} - {b"first"}
    assert len(files(pair)) == len(result.failures) == len(measurements)
    assert {path.name for path in pair.directory.iterdir()} == {"quarantine", "job.yaml"}
    assert pair.backup().written.quarantined == result.written.quarantined
    before = files(pair)
    pair.destination.restart({})
    assert files(pair) == before
    write_by_hand(pair)
    pair.assert_equal(points=len(expected))
    assert pair.backup().failures == ()


def test_a_later_run_adds_no_line_twice_and_still_fails(pair: Pair) -> None:
    """A field in conflict is met by every run; its new values are added."""
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m,h=old v=7i {MONDAY}", pair.database)
    pair.write(f"m v=1.5,w=1 {MONDAY}\nm v=2.5,w=2 {MONDAY + 1}")
    assert len(pair.backup().failures) == 1
    before = files(pair)
    (failure,) = pair.backup().failures
    assert "lines refused" in failure
    assert files(pair) == before
    pair.write(f"m v=3.5,w=3 {MONDAY + 2}")
    assert len(pair.backup().failures) == 1
    assert lines_of(pair) == [f"m v={i}.5 {MONDAY + i - 1}".encode() for i in (1, 2, 3)]


def test_no_credentials_are_in_the_file(source: InfluxServer, database: str, tmp_path: Path) -> None:
    """The URL stands there, the user and the password do not."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as destination:
        pair = Pair(source, destination, database, tmp_path)
        pair.write(f"m v=1.5 {MONDAY}")
        destination.create_database(database)
        destination.write(f"m,h=old v=7i {MONDAY}", database)
        assert len(pair.backup().failures) == 1
        ((name, content),) = files(pair).items()
        assert name == f"{database}.autogen.m.lp"
        assert destination.url.encode() in content
        assert destination.password.encode() not in content
        assert b"admin" not in content


def test_the_file_goes_to_the_logs_where_nothing_else_is_said(pair: Pair) -> None:
    """`log_directory`, then the environment, then the working directory."""
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m,h=old v=7i {MONDAY}", pair.database)
    pair.write(f"m v=1.5 {MONDAY}")
    logs = pair.directory / "logs"
    pair.backup({"options": {"quarantine_directory": None, "log_directory": str(logs)}})
    assert (logs / "job" / f"{pair.database}.autogen.m.lp").exists()
    job = write_job(pair.directory, pair.config({"options": {"quarantine_directory": None}}))
    done = run_main("--config", job, environ={"BACKUP_QUARANTINE_DIR": str(pair.directory / "by environment")})
    assert done.returncode == 1
    assert (pair.directory / "by environment" / "job" / f"{pair.database}.autogen.m.lp").exists()
    table = done.stdout.splitlines()
    assert table[0].split()[5:7] == ["quarantined", "expired"]
    assert table[2].split()[5:7] == ["1", "0"]


def test_nothing_is_passed_over_where_the_file_cannot_be_written(
    limited: Callable[[dict[str, int]], Pair],
) -> None:
    """The measurement fails with the server's words and the system's; nothing later of it is sent."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    blocked = pair.directory / "blocked"
    blocked.write_bytes(b"")
    pair.write(f"m,host=new v=1i {MONDAY + 50}\nm,host=h1 v=1i {MONDAY + WEEK}\nfine v=1 {MONDAY}")
    (failure,) = pair.backup({"options": {"quarantine_directory": str(blocked)}}).failures
    for part in ("max-values-per-tag", "cannot be written", "Not a directory", str(blocked), f"{pair.database}"):
        assert part in failure
    found = pair.found().points
    assert MONDAY + WEEK not in {at[4] for at in found}
    assert b"fine" in {at[1] for at in found}
    assert len(pair.backup().failures) == 1
    assert lines_of(pair) == [f"m,host=new v=1i {MONDAY + 50}".encode()]
    assert MONDAY + WEEK in {at[4] for at in pair.found().points}


def test_lines_that_do_not_get_to_the_disk_are_not_put_aside(
    limited: Callable[[dict[str, int]], Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says so and counts none of them, nothing later is sent, and the next run does both."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    pair.write(f"m,host=new v=1i {MONDAY + 50}\nm,host=h1 v=1i {MONDAY + WEEK}")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        result = pair.backup()
    (failure,) = result.failures
    for part in ("max-values-per-tag", "cannot be written", "Input/output error"):
        assert part in failure
    assert result.written.quarantined == 0
    assert set(files(pair).values()) == {b""}
    assert MONDAY + WEEK not in {at[4] for at in pair.found().points}
    assert pair.backup().written.quarantined == 1
    assert lines_of(pair) == [f"m,host=new v=1i {MONDAY + 50}".encode()]
    assert MONDAY + WEEK in {at[4] for at in pair.found().points}
    pair.destination.restart({})
    write_by_hand(pair)
    assert pair.backup().failures == ()
    pair.assert_equal(points=12)


# ---------------------------------------------------------------- an end before all is narrowed down


@pytest.mark.parametrize(
    ("options", "overlapping"),
    [({}, 3), ({"field_obsolete_threshold": "36500d"}, 1)],
    ids=["in any order", "in order"],
)
def test_too_many_bad_lines_end_the_measurement_and_lose_nothing(
    options: dict[str, Any],
    overlapping: int,
    limited: Callable[[dict[str, int]], Pair],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is named, nothing of it is begun any more, and with file and next run all of it arrives."""
    monkeypatch.setattr(quarantine, "QUARANTINE_MOST", 20)
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 3000)  # about 75 points to a request
    monkeypatch.setattr(small_measurements, "MOST_ROWS", 100)  # it does not travel with the other one
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    pair.write(
        "\n".join(f"m,host={'h' if i % 2 else 'new'}{i % 10} v={i}i {MONDAY + 100 + i}" for i in range(400))
    )
    pair.write(f"fine v=1 {MONDAY}")
    result = pair.backup({"options": options})
    ended, put_aside = result.failures
    assert "more than 20 lines are refused" in ended
    assert "max-values-per-tag" in ended
    assert f"{result.written.quarantined} lines refused" in put_aside
    assert 20 < result.written.quarantined <= 20 + overlapping * 80
    assert result.written.points + result.written.quarantined < 400
    assert b"narrowing this down was given up" in b"".join(files(pair).values())
    found = pair.found().points
    assert overlapping > 1 or MONDAY + 300 not in {at[4] for at in found}
    assert b"fine" in {at[1] for at in found}
    pair.destination.restart({})
    write_by_hand(pair)
    assert pair.backup().failures == ()
    pair.assert_equal(points=411)


def test_very_many_values_of_another_type_end_the_measurement(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not narrowed down one by one, and they count all the same."""
    monkeypatch.setattr(quarantine, "QUARANTINE_MOST", 20)
    line = f"m v=100.5 {MONDAY}\n"
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 30 * len(line))  # 30 points to a request
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m,h=old v=7i {MONDAY}", pair.database)
    pair.write("\n".join(f"m v={100 + i}.5,w={100 + i} {MONDAY + i}" for i in range(300)))
    result = pair.backup()
    ended, put_aside = result.failures
    assert "more than 20 lines are refused" in ended
    assert "60 lines refused" in put_aside
    assert {at[4] for at in pair.found().points if at[3] == b"w"} == {MONDAY + i for i in range(300)}


def destination_client(pair: Pair, stopping: StopRequest) -> InfluxClient:
    """A client of the destination, as a run has it."""
    config = Config(write_job(pair.directory, pair.config({"options": {"retries": 0}})))
    return connect(config.job.options, config.job.destination, "destination", stopping)


def frame_of(hosts: list[str]) -> Frame:
    """One row of `m` for each host, a nanosecond apart."""
    return frames.to_frame([(MONDAY + 100 + i, 1, host.encode()) for i, host in enumerate(hosts)], ["v"], ["host"])


@pytest.mark.parametrize("end", ["stop", "lost"])
def test_narrowing_down_that_has_to_end_early_keeps_what_is_left(
    end: str, limited: Callable[[dict[str, int]], Pair]
) -> None:
    """A stop, or a server that goes away: the server may have stored newer points than those not written yet."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    stopping = StopRequest()
    client = destination_client(pair, stopping)
    there = Location(pair.database, "autogen", "m")
    kept = Quarantine(pair.directory / "quarantine", "job", pair.destination.url, there, "now")
    hosts = [f"h{i % 10}" if i % 5 else "new" for i in range(40)]
    written, lost = Written(), False
    try:
        (body,) = line_protocol.encode_frame(frame_of(hosts), "m").bodies
        for part in narrowing.write_body(client, body, there, kept, stopping):
            written += part
            if written.put_aside and not stopping.requested and pair.destination.running:
                stopping.requested = end == "stop"
                if end == "lost":
                    pair.destination.stop()
    except InfluxError:
        lost = True
    assert lost is (end == "lost")
    client.close()
    if end == "lost":
        pair.destination.restart({})
    times = {int(line.rsplit(b" ")[-1]) for line in lines_of(pair)}
    assert len(times) == written.quarantined
    stored = {at[4] for at in pair.found().points}
    assert times | stored >= {MONDAY + 100 + i for i in range(40)}
    assert times >= {MONDAY + 100 + i for i in range(0, 40, 5)}


@pytest.mark.parametrize("is_bad", [False, True])
def test_a_stop_lets_the_request_in_hand_be_written(
    is_bad: bool, limited: Callable[[dict[str, int]], Pair]
) -> None:
    """Where none of it is refused; with a line that is, all of it is put aside, but for what the server took."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    stopping = StopRequest()
    stopping.requested = True
    client = destination_client(pair, StopRequest())  # who waits for answers all the same
    there = Location(pair.database, "autogen", "m")
    kept = Quarantine(pair.directory / "quarantine", "job", pair.destination.url, there, "now")
    (body,) = line_protocol.encode_frame(frame_of(["h1", "new" if is_bad else "h2", "h3"]), "m").bodies
    parts = list(narrowing.write_body(client, body, there, kept, stopping))
    client.close()
    assert [(part.points, part.quarantined) for part in parts] == [(0, 3) if is_bad else (3, 0)]
    assert not is_bad or b"narrowing this down was given up" in files(pair)[kept.file.name]


@pytest.mark.parametrize("is_kept", [False, True])
def test_without_a_quarantine_a_line_that_is_refused_is_an_error(
    is_kept: bool, limited: Callable[[dict[str, int]], Pair]
) -> None:
    """The lines before it are written; with one those behind it are, too."""
    pair = limited(VALUES_PER_TAG)
    fill_tag(pair)
    client = destination_client(pair, StopRequest())
    there = Location(pair.database, "autogen", "m")
    kept = Quarantine(pair.directory / "quarantine", "job", pair.destination.url, there, "now")
    (body,) = line_protocol.encode_frame(frame_of(["h1", "new", "h3", "h4"]), "m").bodies
    parts, refusal = list[Written](), None
    try:
        for part in narrowing.write_body(client, body, there, kept if is_kept else None, StopRequest()):
            parts.append(part)
    except WriteRefused as error:
        refusal = error
    client.close()
    assert (sum(part.points for part in parts), refusal is None) == ((3, True) if is_kept else (1, False))
    assert kept.file.exists() is is_kept


# ---------------------------------------------------------------- what is not refused


def test_expired_points_are_counted_apart(limited: Callable[[dict[str, int]], Pair]) -> None:
    """Beside refused lines in the same requests; the table shows both."""
    pair = limited(VALUES_PER_TAG)
    now = time.time_ns()
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 10d NAME "autogen"')
    for i in range(10):
        pair.destination.write(f"m,host=h{i} v=1i {now}", pair.database)
    lines = [f"m,host={'new' if i % 4 == 0 else 'h1'} v={i}i {now - i * DAY - HOUR}" for i in range(40)]
    pair.write("\n".join(lines))
    range_ = {"start_date": "2020-01-01", "end_date": "2200-01-01"}
    result = pair.backup({"options": {"backup_mode": "range", "range": range_}})
    # which is asked first, the limit or the retention, is the server's choice: no expired point gets to the limit
    assert (result.written.expired, result.written.quarantined, result.written.points) == (30, 3, 7)
    refused, expired = result.failures
    assert "3 lines refused" in refused
    assert "30 points older" in expired
    assert lines_of(pair) == [lines[i].encode() for i in (8, 4, 0)]


class _Between(BaseHTTPRequestHandler):
    """A proxy that gives an answer of its own, or harms the request, to the first writes, and then passes on."""

    protocol_version = "HTTP/1.1"
    upstream = ""
    faults: list[str] = []  # noqa: RUF012 -- each test makes a class of its own

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.faults.pop() if self.path.startswith("/write") and body and self.faults else ""
        if fault == "refused":
            headers = {"X-Influxdb-Version": "1.6.7", "Content-Type": "application/json"}
            return self._say(400, b'{"error":"partial write: no reason dropped=1"}', headers)
        own = {"large": 413, "html": 400, "empty": 400, "moved": 302, "accepted": 200, "nobody": 204, "lost": 404}
        if fault in own:
            return self._say(own[fault], b"<html>Bad Request</html>" if fault == "html" else b"")
        if fault == "cut":
            body = body[: len(body) // 2]
        if fault == "flipped":
            body = body[:-6] + bytes([body[-6] ^ 1]) + body[-5:]
        names = ("Content-Encoding", "Accept", "Content-Type")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        request = urllib.request.Request(  # noqa: S310
            self.upstream + self.path, body or None, headers, method=self.command
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return self._say(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as refused:
            with refused:
                return self._say(refused.code, refused.read(), dict(refused.headers))

    def _say(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name in ("Content-Type", "X-Influxdb-Version"):
            if headers and headers.get(name):
                self.send_header(name, headers[name])
        if status == 302:
            self.send_header("Location", "http://elsewhere.invalid/")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _pass_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """No lines on the console."""


def through(pair: Pair, faults: list[str]) -> JobResult:
    """A backup whose writes meet these faults, the last one first."""
    handler = type("_Between", (_Between,), {"upstream": pair.destination.url, "faults": faults})
    with http_server(handler) as url:
        return pair.backup({"destination": {"url": url}})


@pytest.mark.parametrize("fault", ["html", "empty", "moved", "accepted", "nobody", "lost", "cut", "flipped"])
def test_an_answer_that_is_not_influxdbs_refuses_no_points(fault: str, pair: Pair) -> None:
    """Nor is it an acknowledgement: the request is made again, and fails the run when that does not help."""
    pair.write("\n".join(f"m v={i}i {MONDAY + i}" for i in range(100)))
    result = through(pair, [fault] * 3)
    (failure,) = result.failures
    assert "tried 3 times" in failure
    assert (
        "damaged on its way" if fault in ("cut", "flipped") else "proxy" if fault != "moved" else "redirects"
    ) in (failure)
    assert not files(pair)
    assert through(pair, [fault]).failures == ()
    pair.assert_equal(points=100)


@pytest.mark.parametrize("fault", ["refused", "large"])
def test_a_refusal_that_is_not_repeated_puts_nothing_aside(fault: str, pair: Pair) -> None:
    """A single line is sent once more before that is believed; a proxy's 413 is met with smaller requests."""
    pair.write(f"m v=1i {MONDAY}")
    assert through(pair, [fault]).failures == ()
    pair.assert_equal(points=1)
    pair.write("\n".join(f"m v={i + 1}i {MONDAY + i}" for i in range(100)))
    assert through(pair, [fault] * 5).failures == ()
    pair.assert_equal(points=100)
    assert not files(pair)
