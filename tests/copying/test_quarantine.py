"""The quarantine file: safe names, comments that stay comments, lines that are not added twice."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copying import quarantine
from copying.quarantine import Quarantine, choose_directory, comment, file_name, heading, split_lines
from influx.influxql import Location
from tests.influx.test_line_protocol import split_lines as split_as_influxdb

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=200)
NAMES = st.text(st.sampled_from("ab./\\~%: \n\0é\U0001f600\udcff"), max_size=8) | st.text(max_size=80)


@pytest.fixture
def kept(tmp_path: Path) -> Quarantine:
    """The quarantine of a measurement."""
    return Quarantine(tmp_path, "job", "http://there:8086", Location("d", "p", "m"), "2026-01-05T00:00:00Z")


def again(tmp_path: Path) -> Quarantine:
    """The same quarantine in a later run."""
    return Quarantine(tmp_path, "job", "http://there:8086", Location("d", "p", "m"), "2026-01-06T00:00:00Z")


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (Location("telegraf", "autogen", "cpu"), "telegraf.autogen.cpu.lp"),
        (Location("a.b", "c", "d"), "a%2Eb.c.d.lp"),
        (Location("a", "b.c", "d"), "a.b%2Ec.d.lp"),
        (Location("d", "p", "../../etc/passwd"), "d.p.%2E%2E%2F%2E%2E%2Fetc%2Fpasswd.lp"),
        (Location("d", "p", "~\0\n%\udcffé"), "d.p.%7E%00%0A%25%FF%C3%A9.lp"),
    ],
)
def test_a_file_is_named_after_its_location(location: Location, name: str) -> None:
    """Readable where that is possible, and never a path."""
    assert file_name(location) == name


@given(st.lists(st.builds(Location, NAMES, NAMES, NAMES), min_size=2, max_size=2, unique=True))
@REPRODUCIBLE
def test_no_two_locations_share_a_file(locations: list[Location]) -> None:
    """Nor is any name too long for a file system, or special to it."""
    names = [file_name(location) for location in locations]
    assert len(set(names)) == len(locations)
    for name in names:
        assert len(name.encode()) <= 255
        assert not set(name) & set("/\\\0\n ")


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    """A measurement's name may have thousands of characters."""
    names = {file_name(Location("d", "p", "x" * 5000 + end)) for end in "ab"}
    assert len(names) == 2
    assert max(map(len, names)) <= 255


@pytest.mark.parametrize(
    ("configured", "logs", "environ", "expected"),
    [
        ("q", "logs", {"BACKUP_QUARANTINE_DIR": "env"}, "q"),
        (None, "logs", {"BACKUP_QUARANTINE_DIR": "env"}, "logs"),
        (None, None, {"BACKUP_QUARANTINE_DIR": "env"}, "env"),
        (None, None, {"BACKUP_QUARANTINE_DIR": ""}, "quarantine"),
        (None, None, {}, "quarantine"),
    ],
)
def test_the_directory_is_the_most_particular_one(
    configured: str | None, logs: str | None, environ: dict[str, str], expected: str
) -> None:
    """The key, the log directory, the environment, the working directory."""
    paths = [None if path is None else Path(path) for path in (configured, logs)]
    assert choose_directory(paths[0], paths[1], environ) == Path(expected)


# ---------------------------------------------------------------- comments


@given(st.text(st.sampled_from('ab ,=\\"\n\r\0é\u2028\udcff')))
@REPRODUCIBLE
def test_a_comment_is_one_line_to_the_server_whatever_is_in_it(text: str) -> None:
    """The server looks for the end of the line first, past quotes and backslashes."""
    line = comment(text).encode()
    assert split_as_influxdb(line + b"\nm v=1 1\n") == [line, b"m v=1 1", b""]
    assert split_lines(line + b"\nm v=1 1\n") == [line, b"m v=1 1"]


def test_a_comment_reads_like_the_text() -> None:
    """What needs no escape has none."""
    assert comment('field "v" is\nbad') == '# field \\"v\\" is\\nbad'


def test_the_heading_says_how_to_write_the_file_by_hand() -> None:
    """Names are encoded for a URL, and for a shell."""
    lines = heading("job", "http://there:8086", Location("d b", "p&", "m'"))
    assert lines[-1] == (
        "curl -i 'http://there:8086/write?db=d%20b&rp=p%26&precision=ns' --data-binary '@d%20b.p%26.m%27.lp'"
    )


# ---------------------------------------------------------------- the file


def test_lines_stand_below_the_answer_to_them(kept: Quarantine) -> None:
    """One comment for all that follow with the same answer, and the heading once."""
    kept.put([b"m v=1 1", b"m v=2 2"], "no")
    kept.put([b"m v=3 3"], "no")
    kept.put([b"m v=4 4"], "never")
    lines = kept.file.read_bytes().split(b"\n")
    head = [comment(line).encode() for line in heading("job", "http://there:8086", Location("d", "p", "m"))]
    assert lines == [
        *head,
        b"# 2026-01-05T00:00:00Z: no",
        b"m v=1 1",
        b"m v=2 2",
        b"m v=3 3",
        b"# 2026-01-05T00:00:00Z: never",
        b"m v=4 4",
        b"",
    ]


def test_only_its_owner_may_read_the_file(kept: Quarantine) -> None:
    """It holds data of the database."""
    before = os.umask(0)
    try:
        kept.put([b"m v=1 1"], "no")
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600


TRICKY = [
    b"m v=1 1",
    b'm s="one\ntwo" 1',
    b'm s="\nm v=1 1\n" 1',
    b'm s="# no comment\n# none" 2',
    b'm s="a\\"\nb\\\\" 3',
    b'm,t=a"b s="x\ny",f\\"q="z" 4',
    b"m\\\nn,t=v\\\nw v=1 5",
    b"m,t=\xff v=1 6",
    b'm s="" 7',
    b'm,path=C:\\Program\\ Files\\x v="C:\\\\" 8',
]


def test_a_line_that_is_there_already_is_not_added_again(kept: Quarantine, tmp_path: Path) -> None:
    """Not in the same run, nor in the next one, whatever newlines and quotes it holds."""
    kept.put(TRICKY, "no")
    content = kept.file.read_bytes()
    kept.put(TRICKY[::-1], "no")
    later = again(tmp_path)
    later.put(TRICKY, "another answer")
    assert kept.file.read_bytes() == content
    assert (kept.added, later.added) == (len(TRICKY), 0)
    later.put([*TRICKY, b"m v=9 9"], "new")
    assert later.added == 1
    assert quarantine.left_over(tmp_path / "job") == [(later.file, len(TRICKY) + 1)]
    assert kept.file.read_bytes() == content + b"# 2026-01-06T00:00:00Z: new\nm v=9 9\n"


@given(st.permutations(TRICKY))
@REPRODUCIBLE
def test_lines_are_found_where_the_server_finds_them(lines: list[bytes]) -> None:
    """However they follow each other, and with comments between them."""
    content = b"\n".join([b"# one", *lines[:5], b'# \\"two', *lines[5:]])
    assert split_lines(content) == split_as_influxdb(content)


def test_a_line_inside_a_string_does_not_hide_a_real_one(kept: Quarantine, tmp_path: Path) -> None:
    """A log message may quote a whole line of line protocol."""
    kept.put([b'm s="\nm v=1 1\n" 1'], "no")
    again(tmp_path).put([b"m v=1 1"], "no")
    assert kept.file.read_bytes().endswith(b'"\n" 1\n# 2026-01-06T00:00:00Z: no\nm v=1 1\n'.removeprefix(b'"'))


def test_a_line_that_a_user_removed_is_added_again(kept: Quarantine, tmp_path: Path) -> None:
    """What stands in the file counts, and an editor that leaves out the last newline does no harm."""
    kept.put([b"m v=1 1", b"m v=2 2"], "no")
    kept.file.write_bytes(kept.file.read_bytes().removesuffix(b"m v=2 2\n").removesuffix(b"\n"))
    again(tmp_path).put([b"m v=1 1", b"m v=2 2"], "no")
    assert kept.file.read_bytes().endswith(b"\nm v=1 1\n# 2026-01-06T00:00:00Z: no\nm v=2 2\n")


def test_a_line_whose_end_the_server_may_miss_is_marked(kept: Quarantine) -> None:
    """A backslash that has no partner, before a separator in a tag key, and a quote after it."""
    kept.put([b'm,t\\\\ x=" v=1 1', b"m v=2 2"], "no")
    lines = kept.file.read_bytes().split(b"\n")
    assert lines[-4].startswith(b"# Cut out the next line")
    assert lines[-3:] == [b'm,t\\\\ x=" v=1 1', b"m v=2 2", b""]


def test_it_is_full_after_so_many_lines_of_one_run(
    kept: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that an earlier run put there count too, for this one met them; the same line counts once."""
    again(tmp_path).put([b"m v=1 1"], "no")
    monkeypatch.setattr(quarantine, "QUARANTINE_MOST", 3)
    assert kept.put([b"m v=1 1", b"m v=2 2"], "no") == 2
    assert kept.put([b"m v=1 1"], "no") == 0
    assert not kept.is_full
    assert kept.put([b"m v=3 3"], "no") == 1
    assert kept.is_full
    assert not again(tmp_path).is_full


def test_a_file_that_cannot_be_written_is_an_error(kept: Quarantine, tmp_path: Path) -> None:
    """And nothing counts as put aside, so that it is tried again."""
    (tmp_path / "job").write_bytes(b"a file, where a folder should be")
    with pytest.raises(OSError, match=r"."):
        kept.put([b"m v=1 1"], "no")
    (tmp_path / "job").unlink()
    kept.put([b"m v=1 1"], "no")
    assert kept.file.read_bytes().endswith(b"m v=1 1\n")


def test_a_full_disk_leaves_no_half_line(kept: Quarantine) -> None:
    """The file is as it was before; the limit of a process on its files stands for the disk."""
    import resource
    import signal

    kept.put([b"m v=1 1"], "no")
    content = kept.file.read_bytes()
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            kept.put([b"m v=1234567890 2"], "no")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert kept.file.read_bytes() == content
    kept.put([b"m v=1234567890 2"], "no")
    assert kept.file.read_bytes() == content + b"m v=1234567890 2\n"


def test_no_file_stays_open(tmp_path: Path) -> None:
    """A run may put lines aside very often, and of very many measurements."""
    before = len([*Path("/proc/self/fd").iterdir()])
    for number in range(20):
        location = Location("d", "p", f"m{number}")
        kept = Quarantine(tmp_path, "job", "http://there:8086", location, "2026-01-05T00:00:00Z")
        for time in range(3):
            kept.put([b"m v=1 %d" % time], "no")
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def break_disk(monkeypatch: pytest.MonkeyPatch, chosen: Callable[[int], bool]) -> None:
    """Have the system say of chosen kinds of files that they did not get to the disk."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if chosen(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("chosen", [stat.S_ISREG, stat.S_ISDIR], ids=["file", "folder"])
def test_lines_that_do_not_get_to_the_disk_do_not_count(
    chosen: Callable[[int], bool], kept: Quarantine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are taken out of the file again, and stand below its heading once the disk does as it is told."""
    break_disk(monkeypatch, chosen)
    with pytest.raises(OSError, match="Input/output error"):
        kept.put([b"m v=1 1"], "no")
    assert not kept.was_used
    assert kept.file.read_bytes() == b""
    monkeypatch.undo()
    assert kept.put([b"m v=1 1"], "no") == 1
    content = kept.file.read_bytes()
    head = [comment(line).encode() for line in heading("job", "http://there:8086", Location("d", "p", "m"))]
    assert content.split(b"\n") == [*head, b"# 2026-01-05T00:00:00Z: no", b"m v=1 1", b""]
    break_disk(monkeypatch, stat.S_ISREG)
    with pytest.raises(OSError, match="Input/output error"):
        kept.put([b"m v=2 2"], "no")
    assert kept.file.read_bytes() == content
    monkeypatch.undo()
    assert kept.put([b"m v=2 2"], "no") == 1
    assert kept.file.read_bytes() == content + b"m v=2 2\n"
