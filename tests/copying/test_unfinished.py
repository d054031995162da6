"""Marks of policies that are written in any order: on the disk before the first point, gone with the last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from basics.times import DAY
from copying.task import Target
from copying.unfinished import NotCompared, Unfinished
from influx.influxql import Policy

POLICY = Policy("autogen", 0, DAY, is_default=True)
TARGET = Target("copied", POLICY, POLICY, None, (), {})
OTHER = replace(TARGET, database="other")


def test_a_mark_outlives_the_run_that_was_killed(tmp_path: Path) -> None:
    """And is that of one policy."""
    file = tmp_path / "missing" / "job.unfinished"
    first = Unfinished(file)
    assert not first.holds("db", TARGET)
    first.check("db", TARGET)
    first.begin("db", TARGET)
    first.begin("db", OTHER)
    assert first.holds("db", TARGET)
    first.end("db", OTHER)
    second = Unfinished(file)
    second.check("db", OTHER)
    with pytest.raises(NotCompared, match="let one run without these end ok"):
        second.check("db", TARGET)
    second.end("db", TARGET)
    second.check("db", TARGET)
    assert not file.exists()


def test_without_a_mark_on_the_disk_nothing_is_written_in_any_order(tmp_path: Path) -> None:
    """The points go strictly by time then."""
    (tmp_path / "file").write_text("in the way")
    unfinished = Unfinished(tmp_path / "file" / "job.unfinished")
    unfinished.begin("db", TARGET)
    assert not unfinished.holds("db", TARGET)


@pytest.mark.parametrize("content", ["", "[", "7", '{"a": 1'])
def test_a_file_that_cannot_be_read_marks_everything(tmp_path: Path, content: str) -> None:
    """Nobody knows what it said."""
    file = tmp_path / "job.unfinished"
    file.write_text(content)
    with pytest.raises(NotCompared):
        Unfinished(file).check("db", TARGET)
