"""Names and tag values that InfluxDB accepts but cannot keep as they are: they are never sent. Pure.

Found by experiment; each function says what happens to such a name.
"""

import re

_LONELY_NEWLINE = re.compile(r"(?<!\\)\n|\\\\\n")
_SERIES_SEPARATOR = "#!~#"
TAG_VALUE_REGEX = r"\\$|(^|[^\\])\n|\\\\\n|#!~#"
"""What `tag_value_problem` finds, for InfluxQL, whose regexes have no look-behind."""

SYSTEM_MEASUREMENTS = frozenset({"_series", "_fieldKeys", "_tagKeys", "_tags", "_measurements"})
SYSTEM_FIELDS = frozenset({"_name", "_tagKey", "_tagValue", "_seriesKey", "_fieldKey"})


def measurement_problem(name: str) -> str | None:
    """Why InfluxDB cannot keep a measurement of this name, or None."""
    if name in SYSTEM_MEASUREMENTS:
        return "is a system name that queries cannot read"
    if name.startswith(("#", "\t", "\0")):
        return "starts with a character that makes the line a comment or blank"
    if re.search(r'\\[, ="]', name):
        return 'has a backslash before a comma, space, "=" or quote'
    if not is_utf8(name):
        return "is not UTF-8, and its shard would not open after a restart"
    return _common_problem(name)


def field_problem(name: str) -> str | None:
    """Why InfluxDB cannot keep a field of this name, or None."""
    if not name:
        return "is empty, which only the server itself can make of a name"
    if name == "time" or name in SYSTEM_FIELDS:
        return "is a system name that queries cannot read"
    if re.search(r"\\[, =]", name):
        return 'has a backslash before a comma, space or "="'
    if not is_utf8(name):
        return "is not UTF-8, and its shard would not open after a restart"
    return _common_problem(name, separator=False)


ALONE = "starts with a character that the server skips in front of all fields, and no other field stands beside it"
"""Why InfluxDB cannot keep a point all of whose fields `needs_company`."""


def needs_company(field: str) -> bool:
    """Whether another field has to stand before this one in its line."""
    return field.startswith(("\t", "\0"))


def tag_problem(name: str) -> str | None:
    """Why InfluxDB cannot keep a tag key of this name, or None."""
    if name == "time":
        return "is a system name"
    return _common_problem(name)


def tag_value_problem(value: str) -> str | None:
    """Why InfluxDB cannot keep this tag value, or None."""
    return _common_problem(value)


def _common_problem(name: str, *, separator: bool = True) -> str | None:
    if name.endswith("\\"):
        return "ends in a backslash"
    if _LONELY_NEWLINE.search(name):
        return "has a newline without exactly one backslash before it"
    if separator and _SERIES_SEPARATOR in name:
        return f"contains {_SERIES_SEPARATOR}, which InfluxDB uses inside its index"
    return None


def is_utf8(name: str) -> bool:
    """Whether the name holds no stray bytes."""
    return not any("\ud800" <= c <= "\udfff" for c in name)
