"""Marks of policies that are written in any order: on the disk before the first point, gone with the last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from basics.times import DAY
from copying.memory import policy_key
from copying.task import Copy, Target
from copying.unfinished import NotCompared, Unfinished
from influx.influxql import Location, Policy

POLICY = Policy("autogen", 0, DAY, is_default=True)
TARGET = Target("copied", POLICY, POLICY, None, (), {})


def copy(measurement: str, database: str = "db") -> Copy:
    """Of a measurement."""
    return Copy(Location(database, "autogen", measurement), TARGET, {"v": ("float",)}, ())


def test_a_mark_outlives_the_run_that_was_killed(tmp_path: Path) -> None:
    """And is that of one measurement."""
    file, cpu, mem = tmp_path / "missing" / "job.unfinished", copy("cpu"), copy("mem")
    first = Unfinished(file)
    assert not first.holds(cpu)
    first.check([cpu])
    first.begin([cpu])
    first.begin([mem, copy("cpu", "other")])
    assert first.holds(cpu)
    first.end([mem, copy("cpu", "other")], has_compared=False)
    second = Unfinished(file)
    second.check([mem])
    with pytest.raises(NotCompared, match="let one run without these end ok"):
        second.check([mem, cpu])
    second.end([cpu], has_compared=True)
    second.check([cpu])
    assert not file.exists()


def test_who_compares_nothing_ends_only_what_it_has_begun(tmp_path: Path) -> None:
    """A run over a range says nothing of what another one has left."""
    file, cpu, mem = tmp_path / "job.unfinished", copy("cpu"), copy("mem")
    Unfinished(file).begin([cpu])
    ranged = Unfinished(file)
    ranged.begin([cpu, mem])
    ranged.end([cpu, mem], has_compared=False)
    left = Unfinished(file)
    left.check([mem])
    with pytest.raises(NotCompared):
        left.check([cpu])


def test_a_mark_of_an_older_version_is_that_of_a_policy(tmp_path: Path) -> None:
    """Until a run has compared it."""
    file = tmp_path / "job.unfinished"
    file.write_text(json.dumps([policy_key("db", TARGET)]))
    with pytest.raises(NotCompared):
        Unfinished(file).check([copy("any")])
    Unfinished(file).end([copy("any")], has_compared=True)
    Unfinished(file).check([copy("any")])


def test_without_a_mark_on_the_disk_nothing_is_written_in_any_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The points go strictly by time then, and the log says so."""
    caplog.set_level("INFO")
    (tmp_path / "file").write_text("in the way")
    unfinished = Unfinished(tmp_path / "file" / "job.unfinished")
    unfinished.check([copy("cpu")])
    unfinished.begin([copy("cpu")])
    assert "cannot be written, so points go strictly by time: File exists" in caplog.text
    assert not unfinished.holds(copy("cpu"))
    unfinished.end([copy("cpu")], has_compared=True)
    unfinished.check([copy("cpu")])


def test_a_mark_that_cannot_be_taken_away_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next run compares once more; nothing is lost by that."""
    caplog.set_level("INFO")
    file = tmp_path / "job.unfinished"
    unfinished = Unfinished(file)
    unfinished.begin([copy("cpu"), copy("mem")])
    file.unlink()
    file.mkdir()
    for ended in ([copy("mem")], [copy("cpu"), copy("mem")]):
        unfinished.end(ended, has_compared=True)
        assert unfinished.holds(copy("cpu"))
        assert f"{file} cannot be written: " in caplog.text
        caplog.clear()


def test_a_file_of_marks_may_be_deleted_by_hand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As the message says; the run that goes on meanwhile ends as it would."""
    caplog.set_level("INFO")
    file = tmp_path / "job.unfinished"
    unfinished = Unfinished(file)
    unfinished.begin([copy("cpu")])
    file.unlink()
    unfinished.end([copy("cpu")], has_compared=True)
    assert not unfinished.holds(copy("cpu"))
    assert caplog.text == ""


def test_what_is_marked_already_is_not_written_again(tmp_path: Path) -> None:
    """Nor what has not changed by an end."""
    file = tmp_path / "job.unfinished"
    unfinished = Unfinished(file)
    unfinished.begin([copy("cpu"), copy("mem")])
    before = file.stat().st_ino
    unfinished.begin([copy("mem")])
    unfinished.end([copy("disk")], has_compared=True)
    assert file.stat().st_ino == before
    unfinished.begin([copy("disk")])
    assert file.stat().st_ino != before


@pytest.mark.parametrize("content", ["", "[", "7", '{"a": 1'])
def test_a_file_that_cannot_be_read_marks_everything(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody knows what it said."""
    caplog.set_level("INFO")
    file = tmp_path / "job.unfinished"
    file.write_text(content)
    with pytest.raises(NotCompared):
        Unfinished(file).check([copy("cpu")])
    assert f"{file} cannot be read: " in caplog.text
    for has_compared in (False, True):
        Unfinished(file).end([copy("cpu")], has_compared=has_compared)
        assert file.read_text() == content
    begun = Unfinished(file)
    assert not begun.holds(copy("cpu"))
    begun.begin([copy("cpu")])
    assert begun.holds(copy("cpu"))
    begun.end([copy("cpu")], has_compared=True)
    for measurement in ("cpu", "mem"):  # a run that began is no reason to forget the others
        with pytest.raises(NotCompared):
            Unfinished(file).check([copy(measurement)])
    Unfinished(file).begin([copy("mem")])
    all_of_it = Unfinished(file)
    all_of_it.end_all()
    Unfinished(file).check([copy("cpu")])
    with pytest.raises(NotCompared):
        Unfinished(file).check([copy("mem")])
    all_of_it.end([copy("mem")], has_compared=True)
    assert not file.exists()
