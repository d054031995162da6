"""What tells that a restore is not complete, and whether it goes on."""

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from basics.spans import Span
from basics.times import MINUTE, SECOND
from config import parse_config
from copying.restore import marker as markers
from copying.restore.asked import Asked, Mapped
from copying.restore.marker import SILENT, Keeper, Marker, described, file_of, in_folder, load, save, unfinished
from influx.influxql import Location
from influx.written import PutAside, Refusal, Written
from tests.support.waiting import wait_until

BEGUN = 1_795_492_640 * SECOND
MARKER = Marker("job", "http://one:8086", ("db", "b"), BEGUN, "fill", 200, 50)


def kept(file: Path, marker: Marker) -> Marker:
    """As somebody else reads it."""
    save(file, marker)
    found = load(file)
    assert found is not None
    return found


def test_a_marker_is_read_as_it_was_saved(tmp_path: Path) -> None:
    """With how far each measurement is."""
    marker = replace(MARKER, pid=7, host="x", positions={Location("db", "autogen", "m"): 5})
    found = kept(tmp_path / "job.1.json", marker)
    assert replace(found, beat=0.0) == marker
    (tmp_path / "job.2.json").write_text("{")
    assert list(in_folder(tmp_path)) == [found]
    assert list(in_folder(tmp_path / "nowhere")) == []


def test_here_the_process_tells_whether_it_goes_on(tmp_path: Path) -> None:
    """At once: a restore that was killed has ended."""
    going = kept(tmp_path / "job.1.json", replace(MARKER, pid=os.getpid(), host=socket.gethostname()))
    assert going.is_running
    text = "restore of db, b to http://one:8086 is not complete: begun 3 min ago, 50 values written, 25 %; "
    assert described(going, BEGUN + 3 * MINUTE) == f"{text}process {os.getpid()} is at it"
    gone = replace(going, pid=2**30)
    assert not gone.is_running
    assert described(gone, BEGUN + 3 * MINUTE) == f"{text}it was stopped: run the same command again"


def test_in_another_container_its_signs_of_life_tell(tmp_path: Path) -> None:
    """The number of a process says nothing there."""
    file = tmp_path / "job.1.json"
    going = kept(file, replace(MARKER, pid=2**30, host="elsewhere"))
    assert going.is_running
    assert "process 1073741824 of elsewhere is at it" in described(going, BEGUN + 3 * MINUTE)
    os.utime(file, (time.time() - SILENT - 1,) * 2)
    (silent,) = in_folder(tmp_path)
    assert not silent.is_running
    assert not replace(silent, pid=os.getpid()).is_running


def test_a_restore_that_writes_nothing_for_long_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would be taken for stopped by another container, which may then begin beside it."""
    monkeypatch.setattr(markers, "BEAT", 0.01)
    file = tmp_path / "job.1.json"
    Keeper(file, replace(MARKER)).begin()
    os.utime(file, (1, 1))
    wait_until(lambda: time.time() - file.stat().st_mtime < SILENT, "a sign of life")
    found = load(file)
    assert found is not None
    assert (found.pid, found.host) == (os.getpid(), socket.gethostname())


@pytest.mark.parametrize(
    "short",
    [
        Written(expired=1),
        Written(5, 5, put_aside=(PutAside("file", "refused", 1),)),
        Written(refusals=(Refusal("tag", "ends with a backslash", 1),)),
    ],
)
def test_a_measurement_stays_before_what_is_not_at_the_target(tmp_path: Path, short: Written) -> None:
    """Whatever ends the restore, the same command tries that again; others go on."""
    keeper = Keeper(tmp_path / "marker", replace(MARKER, positions={}))
    one, other = Location("db", "autogen", "one"), Location("db", "autogen", "other")
    keeper.reached(one, 10)
    keeper.wrote(one, short)
    keeper.reached(one, 20)
    keeper.wrote(other, Written(5, 5))
    keeper.reached(other, 20)
    assert keeper.marker.positions == {one: 10, other: 20}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that a keeper sees, in its only element."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_how_far_a_restore_is_is_kept_once_a_second(tmp_path: Path, clock: list[float]) -> None:
    """A restore that is killed goes on from there; a disk that is full costs nothing but that."""
    file, place = tmp_path / "job.1.json", Location("db", "autogen", "one")
    keeper = Keeper(file, replace(MARKER, written=0, positions={}))
    kept = []
    for clock[0] in (100.5, 101.0, 101.5, 102.0, 102.5, 103.0):
        keeper.wrote(place, Written(5, 15))
        keeper.reached(place, int(clock[0]))
        found = load(file)
        kept.append((found.written, *found.positions.values()) if found else None)
    assert kept == [None, None, *[(45, 101)] * 3, (90, 102)]
    gone = Keeper(tmp_path / "none" / "job.1.json", replace(MARKER, positions={}))
    (tmp_path / "none").write_text("")
    clock[0] += 5
    gone.reached(place, 20)
    assert gone.marker.positions == {place: 20}


def test_how_far_a_restore_is_is_told_twice_a_minute(
    tmp_path: Path, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Not with every request."""
    caplog.set_level("INFO")
    keeper, place = Keeper(tmp_path / "marker", replace(MARKER, written=0)), Location("db", "autogen", "one")
    for clock[0] in (101.0, 130.0, 130.5, 131.0, 161.0):
        keeper.wrote(place, Written(5, 15))
    assert caplog.messages == ["45 values of about 200 written", "75 values of about 200 written"]


def test_the_same_command_finds_its_marker_and_another_one_does_not(tmp_path: Path) -> None:
    """Whatever it says of points that are there."""
    servers = "source: {url: http://a}\ndestination: {url: http://b}\n"
    options = f"options: {{backup_mode: incremental, quarantine_directory: {tmp_path}}}\n"
    job = parse_config(servers + options, {}, "a.yaml")
    one = [Mapped("a", "a", "a")]

    def file(target: str = "http://a", databases: list[Mapped] = one, snapshot: str = "", **asked: object) -> Path:
        return file_of(job, {}, snapshot, target, databases, Asked(**asked))  # type: ignore[arg-type]

    assert file() == file(existing="fill") == file(metadata=frozenset())
    assert file().parent == tmp_path / ".restoring"
    others = [
        file("http://c"), file(databases=[Mapped("a", "a", "b")]), file(policies=("p",)),
        file(measurements=("p",)), file(span=Span(0, 5)), file(snapshot="one"), file(snapshot="two"),
    ]  # fmt: skip
    assert len({file(), *others}) == 8
    for name, marker in ((file(), replace(MARKER, job="a")), (others[0], replace(MARKER, job="b"))):
        save(name, marker)
    assert [marker.job for marker in unfinished(job, {})] == ["a"]
    assert len(list(in_folder(tmp_path / ".restoring"))) == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"positions": 5}', '{"positions": [], "databases": [], "x": 1}'])
def test_a_marker_that_cannot_be_read_is_none(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and the restore begins anew; one that is not there is no news."""
    file = tmp_path / "job.1.json"
    assert (load(file), caplog.messages) == (None, [])
    file.write_text(content)
    assert load(file) is None
    assert f"{file} cannot be used" in caplog.text
    assert list(in_folder(tmp_path)) == []
    file.unlink()
    file.mkdir()
    assert load(file) is None


def test_a_restore_that_is_nearly_done_is_not_called_done() -> None:
    """More may have been written than there is, when it was begun several times; of nothing there is no share."""
    assert "written, 99 %; it was stopped" in described(replace(MARKER, written=200), BEGUN)
    assert "1 value written; it was" in described(replace(MARKER, values=0, written=1), BEGUN)
    assert "begun just now, 50 values written, 25 %" in described(MARKER, BEGUN)
    assert ", 0 values written, 0 %" in described(
        Marker("job", "http://one:8086", ("db",), BEGUN, "fill", 9), BEGUN
    )
    assert not replace(MARKER, pid=0, host=socket.gethostname()).is_running
