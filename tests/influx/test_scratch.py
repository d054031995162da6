"""Scratch databases are known by their name and their mark, and nothing else is."""

from __future__ import annotations

import pytest

from influx import scratch
from influx.influxql import Policy

NAME = "influxdb_backup_drill_0a1b2c3d_20240101T000000Z_0123456789abcdef"
MARK = Policy("drill_0123456789abcdef", 0, 86_400 * 10**9, is_default=True)


def test_a_name_says_who_made_it_and_when() -> None:
    """And the mark has its end."""
    assert scratch.name_of("0a1b2c3d", 1_704_067_200 * 10**9 + 5, "0123456789abcdef") == NAME
    assert scratch.mark_of(NAME) == MARK
    assert scratch.is_made_by(NAME, "0a1b2c3d")
    assert not scratch.is_made_by(NAME, "0a1b2c3e")


def test_a_maker_is_a_job_on_a_machine() -> None:
    """Whatever they are called."""
    assert len({scratch.maker_of(*who) for who in (("a", "b"), ("ab", ""), ("a", "c"), ("\udcff", "b"))}) == 4
    maker = scratch.maker_of("\udcff", "b")
    name = scratch.name_of(maker, 0, "0" * 16)
    assert scratch.is_scratch(name)
    assert scratch.is_made_by(name, maker)
    assert not scratch.is_made_by(f"x{name}", maker)


@pytest.mark.parametrize(
    "name",
    ["", "telegraf", "influxdb_backup_drill_", NAME + "x", "x" + NAME, NAME.upper(), NAME[:-1], NAME + "\n"],
)
def test_no_other_name_is_one(name: str) -> None:
    """Also where it has the mark."""
    assert not scratch.is_scratch(name)
    assert not scratch.is_marked(name, [MARK])
    with pytest.raises(ValueError, match="not the name of a scratch database"):
        scratch.mark_of(name)


def test_a_name_alone_is_no_mark() -> None:
    """Nor is the mark of another one."""
    other = Policy("drill_1123456789abcdef", 0, 0, is_default=False)
    assert scratch.is_marked(NAME, [other, MARK])
    assert not scratch.is_marked(NAME, [other, Policy("autogen", 0, 0, is_default=True)])
    assert not scratch.is_marked(NAME, [])
