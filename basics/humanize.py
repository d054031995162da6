"""Times and numbers in the words that an operator reads. Pure."""

from datetime import UTC, datetime

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def lasting(seconds: float) -> str:
    """`42 s`, `4 min`, `5 h 12 min`, `3 days`: as exact as one wants to read."""
    whole = round(max(0.0, seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < 2 * _DAY:
        minutes = whole % _HOUR // _MINUTE
        return f"{whole // _HOUR} h" + (f" {minutes} min" if minutes else "")
    return f"{whole // _DAY:,} days"


def ago(at: int, now: int) -> str:
    """`4 min ago`."""
    seconds = (now - at) / 1e9
    return "just now" if seconds < 5 else f"{lasting(seconds)} ago"


def to_the_minute(at: int) -> str:
    """`2026-11-24 04:57 UTC`."""
    return f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%d %H:%M} UTC"


def exactly(at: int) -> str:
    """`2026-11-24 04:57:20 UTC`."""
    return f"{datetime.fromtimestamp(at // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def worded(number: float, noun: str) -> str:
    """The noun as it stands after that number: `point` after 1, else `points`, `stretches` and `policies`."""
    if number == 1:
        return noun
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return noun + ("es" if noun.endswith(("ch", "s", "x")) else "s")


def counted(number: int, noun: str) -> str:
    """`1 point`, `1,440 points`."""
    return f"{number:,} {worded(number, noun)}"


def took(seconds: float) -> str:
    """`0.3 s`, `12 min`."""
    return f"{seconds:.1f} s" if seconds < 100 else lasting(seconds)


def format_bytes(count: float) -> str:
    """`12.3 MB`, in powers of 1000."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if round(count, 1) < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
