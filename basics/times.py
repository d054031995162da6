"""Times and durations, `int` nanoseconds, and the texts that people write for them. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

MIN_TIME = -9_223_372_036_854_775_806


MAX_TIME = 9_223_372_036_854_775_806
"""The first and the last nanosecond at which InfluxDB can store a point."""


END_OF_TIME = MAX_TIME + 1
"""Where a half-open range ends that has the last point."""


SECOND = 1_000_000_000


MINUTE = 60 * SECOND


HOUR = 60 * MINUTE


DAY = 24 * HOUR


# --- Durations ---------------------------------------------------------------------------------------

_UNITS: Mapping[str, int] = {
    "y": 365 * DAY, "M": 30 * DAY, "w": 7 * DAY, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND,
    "ms": 1_000_000, "us": 1_000, "ns": 1,
}  # fmt: skip


_PART = re.compile(r"([0-9]+)(ms|us|ns|[yMwdhms])")


_PARTS = re.compile(f"(?:{_PART.pattern})+")


_LONGEST_DURATION = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds of `30s`, `15m`, `6h`, `30d`, `2w`, `6M` (30 days each), `1y` (365 days), `1h30m` or `0`.

    Raises ValueError for anything else, also for what does not fit into 64 bits.
    """
    compact = text.strip()
    if compact == "0":
        return 0
    if not _PARTS.fullmatch(compact):
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 30s, 1h30m or 6M")
    parts = _PART.findall(compact)
    sizes = [_UNITS[unit] for _, unit in parts]
    if sizes != sorted(set(sizes), reverse=True):
        raise ValueError(f"{text!r} is not a duration; write each unit once, the longest first: 1h30m")
    if any(len(number) > len(str(_LONGEST_DURATION)) for number, _ in parts):
        raise ValueError(f"{text!r} is too long a duration; the longest is about 292y")
    total = sum(int(number) * size for (number, _), size in zip(parts, sizes, strict=True))
    if total > _LONGEST_DURATION:
        raise ValueError(f"{text!r} is too long a duration; the longest is about 292y")
    return total


def format_duration(ns: int) -> str:
    """The shortest text, in days and less, that `parse_duration` reads back: `1d`, `1h30m`, `0s`."""
    if ns < 0:
        return "-" + format_duration(-ns)
    text = ""
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, ns = divmod(ns, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


# --- Times -------------------------------------------------------------------------------------------

_EPOCH = dt.date(1970, 1, 1).toordinal()


_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:"
    r"[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"[ ]?(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))?"
    r")?"
)


_DECIMALS = 9


def parse_time(text: str) -> int:
    """Epoch nanoseconds of an RFC 3339 date or time; UTC where no offset is given, a date is its midnight.

    Raises ValueError for another form, a date or time that does not exist, and one InfluxDB cannot store.
    """
    return _parsed(text, MAX_TIME)


def parse_end(text: str) -> int:
    """The same for the first time after a range: that may be END_OF_TIME, so that the range has the last point."""
    return _parsed(text, END_OF_TIME)


def _parsed(text: str, latest: int) -> int:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time; write it as 2026-01-31 or 2026-01-31T12:00:00Z")
    year, month, day, hour, minute, second, decimals, sign, offset_hour, offset_minute = match.groups("")
    if len(decimals) > _DECIMALS:
        raise ValueError(f"{text!r} has more than nine decimals; InfluxDB stores whole nanoseconds")
    clock = [int(part or 0) for part in (hour, minute, second, offset_hour, offset_minute)]
    if any(value >= end for value, end in zip(clock, (24, 60, 60, 24, 60), strict=True)):
        raise ValueError(f"{text!r} is not a time: its hour, minute, second or offset is out of range")
    try:
        days = dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        raise ValueError(f"{text!r} is not a date of the calendar") from None
    offset = (clock[3] * HOUR + clock[4] * MINUTE) * (-1 if sign == "-" else 1)
    time_of_day = clock[0] * HOUR + clock[1] * MINUTE + clock[2] * SECOND
    ns = days * DAY + time_of_day + int(decimals.ljust(_DECIMALS, "0")) - offset
    if not MIN_TIME <= ns <= latest:
        known = f"{format_time(MIN_TIME)} to {format_time(latest)}"
        raise ValueError(f"{text!r} is outside of what InfluxDB can store ({known})")
    return ns


def format_time(ns: int) -> str:
    """RFC 3339 in UTC, exact, with as many decimals as needed; the inverse of `parse_time`."""
    days, rest = divmod(ns, DAY)
    seconds, fraction = divmod(rest, SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    date = dt.date.fromordinal(_EPOCH + days).isoformat()
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{date}T{hour:02d}:{minute:02d}:{second:02d}{decimals}Z"
