"""How each day of a job went: what its runs came to, in the time zone of its schedule. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from watching.events import RunRecord

KEPT = 90
"""Of how many days this is remembered."""

DayWord = Literal["good", "warned", "partly failed", "failed", "no run"]


@dataclass(frozen=True, slots=True)
class Day:
    """How many of its runs were good, warned, or failed; whether a difference was found."""

    good: int = 0
    warned: int = 0
    failed: int = 0
    differs: bool = False

    @property
    def runs(self) -> int:
        """How many there were."""
        return self.good + self.warned + self.failed

    @property
    def word(self) -> DayWord:
        """All of it in a word."""
        if self.failed:
            return "partly failed" if self.good + self.warned else "failed"
        if self.warned or self.differs:
            return "warned"
        return "good" if self.good else "no run"


Days = Mapping[date, Day]


def day_of(at: int, zone: str) -> date:
    """The day of a time in nanoseconds since 1970."""
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone(ZoneInfo(zone)).date()


def with_run(days: Days, record: RunRecord, zone: str) -> Days:
    """With one run more; one that was stopped says nothing."""
    day = day_of(record.ended, zone)
    was = days.get(day, Day())
    match record.outcome:
        case "ok" if record.warned:
            now = replace(was, warned=was.warned + 1)
        case "ok":
            now = replace(was, good=was.good + 1)
        case "FAILED":
            now = replace(was, failed=was.failed + 1)
        case _:
            return days
    return _kept({**days, day: now}, day)


def with_difference(days: Days, at: int, zone: str) -> Days:
    """With a difference that was found."""
    day = day_of(at, zone)
    return _kept({**days, day: replace(days.get(day, Day()), differs=True)}, day)


def _kept(days: Days, today: date) -> Days:
    oldest = today - timedelta(days=KEPT - 1)
    return {day: found for day, found in days.items() if day >= oldest}


def strip(days: Days, today: date) -> list[tuple[date, DayWord]]:
    """The last days, oldest first, those without a run among them."""
    shown = [today - timedelta(days=back) for back in range(KEPT - 1, -1, -1)]
    return [(day, days.get(day, Day()).word) for day in shown]


def good_days(days: Days) -> tuple[int, int]:
    """On how many days every run copied everything and warned of nothing, and on how many there were runs."""
    words = [day.word for day in days.values()]
    return words.count("good"), len(words) - words.count("no run")
