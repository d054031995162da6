"""Cron expressions in the standard meaning, spelled so that APScheduler agrees. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class CronExpression:
    """A checked cron expression of five fields, in the standard meaning, spelled so that APScheduler agrees.

    `minute`, `hour`, `day` and `month` hold numbers only; `day_of_week` is `*` or names (`mon,tue`), because
    APScheduler counts from Monday where cron counts from Sunday. Cron runs when `day` **or** `day_of_week`
    matches if both are restricted, APScheduler's CronTrigger only when both do. So where `either_day` is
    true a scheduler needs an OrTrigger of two CronTriggers: one with `day_of_week="*"`, one with `day="*"`.
    As in cron itself, a field that starts with `*` (`*/2`) is not restricted in this sense.
    """

    text: str
    minute: str
    hour: str
    day: str
    month: str
    day_of_week: str
    either_day: bool


@dataclass(frozen=True)
class _CronField:
    """One of the five fields: its name in messages, its range, and the names its numbers have."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The allowed values, for a message."""
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return f"{self.low} to {self.high}{names}"

    def error(self, part: str, reason: str) -> ValueError:
        """The error for a part of this field."""
        return ValueError(f"cron field {self.name}: {part!r} {reason} (allowed: {self.allowed})")


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


_SUNDAY_AT_THE_END = 7


_MINUTE, _HOUR, _DAY = _CronField("minute", 0, 59), _CronField("hour", 0, 23), _CronField("day", 1, 31)


_MONTH, _WEEKDAY = _CronField("month", 1, 12, _MONTHS), _CronField("day_of_week", 0, 7, _WEEKDAYS)


_CRON_FIELDS = (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


_CRON_PART = re.compile(r"(\*|([0-9]{1,4}|[a-z]+)(?:-([0-9]{1,4}|[a-z]+))?)(?:/([0-9]{1,4}))?")


_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def parse_cron(text: str) -> CronExpression:
    """A cron expression of five fields: minute, hour, day, month, day of week (0 and 7 are Sunday); or `@daily`.

    Raises ValueError that names the field and its allowed range, also for dates that never come: 31 February.
    """
    plain = text.strip().lower()
    fields = _NICKNAMES.get(plain, plain).split()
    if plain.startswith("@") and plain not in _NICKNAMES:
        known = ", ".join(_NICKNAMES)
        raise ValueError(f"{text!r} is not a cron expression: expected 5 fields, or one of {known}")
    if len(fields) != len(_CRON_FIELDS):
        names = ", ".join(field.name for field in _CRON_FIELDS)
        raise ValueError(f"{text!r} is not a cron expression: expected 5 fields ({names}), got {len(fields)}")
    parsed = [
        [_cron_part(part, field) for part in given.split(",")]
        for given, field in zip(fields, _CRON_FIELDS, strict=True)
    ]
    minute, hour, day, month, _ = (",".join(spelled for spelled, _ in parts) for parts in parsed)
    days, months, weekdays = ({number for _, part in parts for number in part} for parts in parsed[2:])
    either_day = not fields[2].startswith("*") and not fields[4].startswith("*")
    if not either_day and not any(min(days) <= _LONGEST_MONTHS[number - 1] for number in months):
        raise ValueError(f"{text!r} never runs: no such day in month {month}")
    names = _weekday_names(fields[4], weekdays)
    return CronExpression(text.strip(), minute, hour, day, month, names, either_day)


def _cron_part(part: str, field: _CronField) -> tuple[str, range]:
    """One part of a field's list: as numbers in APScheduler's spelling, and the numbers it stands for."""
    match = _CRON_PART.fullmatch(part)
    if match is None:
        raise field.error(part, "is not understood; write *, a value, a range a-b, or */step")
    base, first, last, step = match.groups()
    if base == "*":
        low, high = field.low, field.high
    else:
        low = _cron_number(first, field)
        single = low if step is None else field.high
        high = single if last is None else _cron_end(last, field)
    if low > high:
        raise field.error(part, "ends before it starts")
    if step is not None and not 1 <= int(step) <= high - low:
        limit = f"1 to {high - low}" if high > low else "its range, a single value"
        raise field.error(part, f"has a step outside of {limit}")
    spelled = base if base == "*" else str(low) if low == high else f"{low}-{high}"
    return spelled + (f"/{int(step)}" if step else ""), range(low, high + 1, int(step or 1))


def _cron_number(text: str, field: _CronField) -> int:
    """The number of a value or a name."""
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdecimal() or not field.low <= int(text) <= field.high:
        raise field.error(text, "is not a value of this field")
    return int(text)


def _cron_end(text: str, field: _CronField) -> int:
    """The number of a range's end, where `sun` ends the week: `sat-sun`."""
    return _SUNDAY_AT_THE_END if field is _WEEKDAY and text == "sun" else _cron_number(text, field)


def _weekday_names(given: str, numbers: set[int]) -> str:
    """Weekdays by name, so that nobody's numbering matters; `*` stays."""
    if given == "*":
        return given
    days = sorted({number % _SUNDAY_AT_THE_END for number in numbers})
    return ",".join(_WEEKDAYS[day] for day in days)
