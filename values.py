"""The texts a user writes in YAML (durations, times, cron expressions, name patterns), as typed values."""

from __future__ import annotations

import datetime as dt
import fnmatch
import functools
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MIN_TIME = -9_223_372_036_854_775_806
MAX_TIME = 9_223_372_036_854_775_806
"""The first and the last nanosecond at which InfluxDB can store a point."""

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
    if not MIN_TIME <= ns <= MAX_TIME:
        earliest, latest = format_time(MIN_TIME), format_time(MAX_TIME)
        raise ValueError(f"{text!r} is outside of what InfluxDB can store ({earliest} to {latest})")
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


# --- Cron expressions --------------------------------------------------------------------------------


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


def parse_cron(text: str) -> CronExpression:
    """A cron expression of five fields: minute, hour, day, month, day of week (0 and 7 are Sunday).

    Raises ValueError that names the field and its allowed range, also for dates that never come: 31 February.
    """
    fields = text.lower().split()
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


# --- Name patterns -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamePattern:
    """An exact name, a glob (`disk*`), or a `/regular expression/` that may match anywhere in the name."""

    text: str

    def matches(self, name: str) -> bool:
        """Whether the pattern stands for this name; a name equal to the pattern's text always matches."""
        if name == self.text:
            return True
        expression = _expression(self.text)
        return expression is not None and expression.search(name) is not None


@functools.lru_cache(maxsize=4096)
def _expression(text: str) -> re.Pattern[str] | None:
    """The compiled form of a regex or a glob; None for an exact name."""
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return re.compile(text[1:-1])
    if any(character in text for character in "*?["):
        return re.compile(fnmatch.translate(text))
    return None


def parse_pattern(text: str) -> NamePattern:
    """The pattern, checked. Raises ValueError where it is empty or not a valid regular expression."""
    if text in ("", "//"):
        raise ValueError("a name pattern must not be empty")
    try:
        with warnings.catch_warnings():
            # Python warns where it reads [[:alpha:]] differently from what the user means.
            warnings.simplefilter("error")
            _expression(text)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        reason = str(error) or "it is nested too deeply"
        raise ValueError(f"{text!r} is not a valid regular expression: {reason}") from None
    return NamePattern(text)


def matches_any(name: str, patterns: Iterable[NamePattern]) -> bool:
    """Whether at least one of the patterns matches."""
    return any(pattern.matches(name) for pattern in patterns)


def is_selected(name: str, include: Iterable[NamePattern], exclude: Iterable[NamePattern]) -> bool:
    """Whether `include` (empty: everything) takes the name in and `exclude` leaves it there."""
    wanted = tuple(include)
    return (not wanted or matches_any(name, wanted)) and not matches_any(name, exclude)


def without_credentials(text: str) -> str:
    """A URL up to its query, and with *** for what stands before its host; another text as it is."""
    if "://" not in text and "@" not in text.partition(":")[2]:
        return text
    scheme, separator, rest = text.rpartition("://")
    _, at, host = rest.rpartition("@")
    masked = scheme.rpartition("@")[2] + separator + ("***@" if at else "") + host
    return re.sub(r"[?#\s].*", "...", masked, flags=re.DOTALL)


def same_host(host: str) -> str:
    """A spelling by which hosts are compared: lower case, and one for all names of this machine's loopback."""
    name = host.lower().rstrip(".")
    is_loopback = name in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None
    return "localhost" if is_loopback else name
