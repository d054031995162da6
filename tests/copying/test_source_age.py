"""How old a database is at the source, and what is said of one that is too old."""

from __future__ import annotations

from typing import Any

import pytest

from basics.times import HOUR
from config import parse_config
from copying.results import SourceAge
from copying.source_age import source_age, staleness
from settings.keys import Job

NOW = 1_704_067_200_000_000_000


NOBODY: Any = None
"""In the place of who would ask the source."""


def job(options: str = ", max_lag: 1h") -> Job:
    """A job with a limit."""
    text = "source: {url: 'http://a:8086'}\ndestination: {url: 'http://b:8086'}\n"
    return parse_config(f"{text}options: {{backup_mode: incremental{options}}}\n", {}, "job.yaml")


@pytest.mark.parametrize("read", [NOW + 1, NOW, NOW - HOUR])
def test_the_source_is_not_asked_where_what_was_read_is_young_enough(read: int) -> None:
    """The oldest that is allowed is."""
    assert source_age(job(), NOBODY, "db", read, NOW) == SourceAge("db", read, is_stale=False)


@pytest.mark.parametrize("read", [None, 5])
def test_without_a_limit_nothing_is_asked_nor_too_old(read: int | None) -> None:
    """What was read is told all the same."""
    assert source_age(job(""), NOBODY, "db", read, NOW) == SourceAge("db", read)


def test_a_database_that_is_too_old_is_named_with_what_is_allowed() -> None:
    """And with its newest point, if it has one."""
    assert staleness(SourceAge("d\n", NOW, is_stale=True), HOUR) == (
        "database d\\n: nothing new at the source since 2024-01-01T00:00:00Z; options.max_lag is 1h"
    )
    assert staleness(SourceAge("db", None, is_stale=True), HOUR) == (
        "database db: no point at the source; options.max_lag is 1h"
    )
    assert staleness(SourceAge("db", NOW, is_stale=False), HOUR) == ""
    assert staleness(SourceAge("db", NOW, is_stale=True), None) == ""
