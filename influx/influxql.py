"""InfluxQL text: every statement the tool sends is built here, from names and times, without any effect.

Names are `str`; bytes that are not UTF-8 are held as lone surrogates (`surrogateescape`), so that no name
is ever changed on its way. Times are `int` nanoseconds and ranges are half-open: `[start, end)`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from basics.text import printable
from influx import storable


@dataclass(frozen=True, slots=True)
class Location:
    """Where points live: one measurement in one retention policy of one database."""

    database: str
    policy: str
    measurement: str

    def __str__(self) -> str:
        """How messages name it, e.g. `telegraf.autogen.cpu`."""
        return printable(f"{self.database}.{self.policy}.{self.measurement}")


@dataclass(frozen=True, slots=True)
class Policy:
    """A retention policy. Durations are nanoseconds; a `duration` of 0 keeps points for ever."""

    name: str
    duration: int
    shard_duration: int
    is_default: bool

    def keeps_less_than(self, other: "Policy") -> bool:
        """Whether points that `other` still keeps are already refused here."""
        return self.duration != 0 and (other.duration == 0 or self.duration < other.duration)


@dataclass(frozen=True, slots=True)
class Share:
    """Some series of a measurement: those whose `tag` has one of these characters (`A-Za-z0-9`) at a place.

    Or, the `rest`, all others: those that have another one there, a shorter value, or no such tag.
    """

    tag: str
    characters: str
    after: int
    """How many characters come after that one."""
    is_rest: bool = False

    def holds(self, tags: Mapping[str, str]) -> bool:
        """Whether a series with these tags is in it, as InfluxDB sees it."""
        value = tags.get(self.tag, "")
        is_there = len(value) > self.after and value[-1 - self.after] in self.characters
        return is_there != self.is_rest


@dataclass(frozen=True, slots=True)
class Among:
    """Which points of a measurement are looked at: those in the range, of the series in all of these shares."""

    start: int
    end: int
    without: tuple[str, ...] = ()
    """Not of those series whose values of these tags cannot be kept."""
    shares: tuple[Share, ...] = ()


Tags = tuple[tuple[str, str], ...]
"""The tags of a series, by key; tags without a value are left out."""


def quote(name: str) -> str:
    r"""A quoted identifier: `di"sk` becomes `"di\"sk"`."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _literal(value: str) -> str:
    r"""A string literal: `it's` becomes `'it\'s'`."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def is_quotable(name: str) -> bool:
    """Whether InfluxQL's quotes can hold this name: its scanner accepts no CR, no NUL, and only UTF-8."""
    return not any(c in "\r\0" or "\ud800" <= c <= "\udfff" for c in name)


def is_comparable(name: str) -> bool:
    """Whether a condition of a SELECT can name this tag or field.

    `time` in any case is taken for the time, `_name` for the name of the measurement.

    Go knows one letter more than ASCII whose lower case is in that word.
    """
    return is_quotable(name) and name.replace("İ", "i").lower() not in ("time", "_name")


def exact_regex(name: str) -> str:
    """A regex that matches this name alone, for the names that quotes cannot hold.

    Go's regexp sees a byte that is not UTF-8 as U+FFFD, so two names that differ in such a byte alone match
    both; the reader counts the columns that come back and refuses the answer then.
    """
    return "/^(?s:" + "".join(_regex_character(c) for c in name) + ")$/"


def _regex_character(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    code = 0xFFFD if "\ud800" <= character <= "\udfff" else ord(character)
    return f"\\x{{{code:X}}}"


def _column(name: str, kind: str) -> str:
    """One selected column. A regex takes no `::kind`, so it selects a tag or a field, whichever there is."""
    return f"{quote(name)}::{kind}" if is_quotable(name) else exact_regex(name)


def _typed(field: str, type_: str) -> str:
    """A field read as this type. A regex cannot be cast."""
    return f"{quote(field)}::{type_}" if is_quotable(field) else exact_regex(field)


def _from(location: Location) -> str:
    name = location.measurement
    # system names such as _series are refused in quotes, but not by a regex
    table = quote(name) if is_quotable(name) and not name.startswith("_") else exact_regex(name)
    return f"{quote(location.database)}.{quote(location.policy)}.{table}"


def _where(start: int, end: int) -> str:
    return f"time >= {start} AND time < {end}"


def select_points(
    location: Location,
    fields: Iterable[str],
    tags: Iterable[str],
    start: int,
    end: int,
    limit: int,
    share: Share | None = None,
) -> str:
    """The first `limit` rows of the range over all series (of a share), oldest first: the fields, then the tags.

    Without GROUP BY the server merges all series by time, which is the order that makes the newest point of
    the destination a true watermark.
    """
    columns = [_column(f, "field") for f in fields] + [_column(t, "tag") for t in tags]
    where = _where(start, end) + (f" AND {_in_share(share)}" if share else "")
    return f"SELECT {', '.join(columns)} FROM {_from(location)} WHERE {where} LIMIT {limit}"


def _in_share(share: Share) -> str:
    """The condition of a share, whose tag is comparable. A series without the tag matches no `=~`, but `!~`."""
    matches = "!~" if share.is_rest else "=~"
    return f"{_column(share.tag, 'tag')} {matches} /[{share.characters}](?s:.{{{share.after}}})$/"


def select_empty(location: Location, field: str, tags: Iterable[str], start: int, end: int) -> str:
    """The rows of the range where the field is an empty text: the field, then the tags. Its name is comparable."""
    columns = [_column(field, "field")] + [_column(t, "tag") for t in tags]
    where = f"{_where(start, end)} AND {_typed(field, 'string')} = ''"
    return f"SELECT {', '.join(columns)} FROM {_from(location)} WHERE {where}"


def select_windows(
    location: Location, averaged: Iterable[str], latest: Iterable[str], start: int, end: int, window: int
) -> str:
    """One row per window and series: the mean of the `averaged` fields, the last of the `latest` ones.

    The mean is that of floats: the sum of integers wraps around at 64 bits. No field's name may need a regex.
    """
    columns = [f"mean({_typed(f, 'float')})" for f in averaged]
    columns += [f"last({_column(f, 'field')})" for f in latest]
    return (
        f"SELECT {', '.join(columns)} FROM {_from(location)} WHERE {_where(start, end)} "
        f"GROUP BY time({window}ns), * fill(none)"
    )


def select_edge(
    edge: str, location: Location, field: str, type_: str, start: int, end: int, *, by_series: bool = False
) -> str:
    """The first or last (`edge`) point of a field, or of each series, among the shards where it has this type.

    A cast in the other direction (a number read as text) gives nothing, one between number types gives the
    right time, so asking once for each type of a field finds its true edge.
    """
    grouped = " GROUP BY *" if by_series else ""
    return f"SELECT {edge}({_typed(field, type_)}) FROM {_from(location)} WHERE {_where(start, end)}{grouped}"


def select_point(location: Location, tags: Mapping[str, str], field: str, type_: str, time: int) -> str:
    """The number of values that a field has at one time, in the series with (at least) these tags.

    Where a condition cannot name one of the tags, it is left out, and the series are counted each by itself.
    """
    known = {key: value for key, value in tags.items() if is_comparable(key) and is_quotable(value)}
    series = "".join(f" AND {quote(key)}::tag = {_literal(value)}" for key, value in sorted(known.items()))
    grouped = " GROUP BY *" if len(known) < len(tags) else ""
    where = f"{_where(time, time + 1)}{series}{grouped}"
    return f"SELECT count({_typed(field, type_)}) FROM {_from(location)} WHERE {where}"


def select_type(location: Location, field: str, start: int, end: int) -> str:
    """One value of the field in the range, whose type on the wire is the field's type there."""
    return f"SELECT {_column(field, 'field')} FROM {_from(location)} WHERE {_where(start, end)} LIMIT 1"


def select_half(location: Location, field: str, start: int, end: int) -> str:
    """Half of one value of a field that holds integers: a float, unless they are unsigned."""
    return f"SELECT {quote(field)}::field / 2 FROM {_from(location)} WHERE {_where(start, end)} LIMIT 1"


def select_counts(location: Location, columns: Iterable[tuple[str, str]], start: int, end: int) -> str:
    """How many values each (field, type) has in the range.

    Counting as any number type counts all numbers, counting as string or boolean counts those alone, whatever
    types the shards of the range have; without a value, a column is null.
    """
    counts = (f"count({_typed(f, t)})" for f, t in columns)
    return f"SELECT {', '.join(counts)} FROM {_from(location)} WHERE {_where(start, end)}"


def select_totals(
    location: Location,
    counted: Iterable[tuple[str, str]],
    summed: Iterable[tuple[str, str]],
    led: Iterable[str],
    among: "Among",
) -> str:
    """For each series how many values each (field, type) has in the range, sums, and first values."""
    columns = [f"count({_typed(f, t)})" for f, t in counted] + [f"sum({_typed(f, t)})" for f, t in summed]
    columns += [f"first({_column(name, 'field')})" for name in led]
    return f"SELECT {', '.join(columns)} {_by_series(location, among)}"


def select_first_rows(location: Location, fields: Iterable[str], among: "Among") -> str:
    """The first row of each series in the range."""
    columns = ", ".join(_column(name, "field") for name in fields)
    return f"SELECT {columns} {_by_series(location, among)} LIMIT 1"


def select_moments(location: Location, field: str, type_: str, among: "Among") -> str:
    """For each series the squares of the times since the first value of a field, added up in 64 bits that wrap."""
    between = f"SELECT elapsed({_typed(field, type_)}, 1ns) AS x {_by_series(location, among)}"
    since = f"SELECT cumulative_sum(x) AS y FROM ({between}) GROUP BY *"
    return f"SELECT sum(z) FROM (SELECT y * y AS z FROM ({since}) GROUP BY *) GROUP BY *"


def _by_series(location: Location, among: "Among") -> str:
    conditions = [
        _where(among.start, among.end),
        *(f"{quote(tag)}::tag !~ /{storable.TAG_VALUE_REGEX}/" for tag in among.without),
        *map(_in_share, among.shares),
    ]
    return f"FROM {_from(location)} WHERE {' AND '.join(conditions)} GROUP BY *"


def show_tag_values(location: Location, tag: str) -> str:
    """The values of a tag of a measurement, whatever the retention policy. Its name is comparable."""
    database, table = quote(location.database), _table(location.measurement)
    return f"SHOW TAG VALUES ON {database} FROM {table} WITH KEY = {quote(tag)}"


def show_unstorable(location: Location, tag: str) -> str:
    """One value of the tag that InfluxDB cannot keep, if there is any."""
    return (
        f"SHOW TAG VALUES ON {quote(location.database)} FROM {_table(location.measurement)} "
        # in parentheses, or a tag named like the time is taken for it; in a SELECT they do not help
        f"WITH KEY = {quote(tag)} WHERE ({quote(tag)}::tag) =~ /{storable.TAG_VALUE_REGEX}/ LIMIT 1"
    )


def kinds(types: Iterable[str]) -> tuple[str, ...]:
    """One type for each kind of values that counting tells apart: numbers, strings, booleans."""
    by_kind = {type_ if type_ in ("string", "boolean") else "number": type_ for type_ in types}
    return tuple(by_kind.values())


def show_tag_keys(*locations: Location) -> str:
    """All tag keys of the measurements, which are of one database, whatever the policy."""
    tables = ", ".join(_table(location.measurement) for location in locations)
    return f"SHOW TAG KEYS ON {quote(locations[0].database)} FROM {tables}"


def show_field_keys(location: Location) -> str:
    """All fields of the measurement with their types, in the policy that the request's parameter `rp` names.

    Not of several measurements: for each one the server looks into every shard for each one.
    """
    return f"SHOW FIELD KEYS ON {quote(location.database)} FROM {_table(location.measurement)}"


def _table(measurement: str) -> str:
    return quote(measurement) if is_quotable(measurement) else exact_regex(measurement)


def create_database(database: str, policy: Policy | None = None) -> str:
    """Creates the database, with this default policy instead of the server's own `autogen`."""
    statement = f"CREATE DATABASE {quote(database)}"
    if policy is None:
        return statement
    return (
        f"{statement} WITH DURATION {go_duration(policy.duration)} REPLICATION 1 "
        f"SHARD DURATION {go_duration(policy.shard_duration)} NAME {quote(policy.name)}"
    )


def drop_database(database: str) -> str:
    """Drops the database, with all its points."""
    return f"DROP DATABASE {quote(database)}"


def create_retention_policy(database: str, policy: Policy) -> str:
    """Creates the policy, for an administrator to run."""
    durations = f"DURATION {go_duration(policy.duration)} REPLICATION 1"
    return (
        f"CREATE RETENTION POLICY {quote(policy.name)} ON {quote(database)} {durations} "
        f"SHARD DURATION {go_duration(policy.shard_duration)}{' DEFAULT' * policy.is_default}"
    )


def set_default_policy(database: str, policy: str) -> str:
    """Makes the policy the default one of its database."""
    return f"ALTER RETENTION POLICY {quote(policy)} ON {quote(database)} DEFAULT"


def create_user(name: str, password: str, *, is_admin: bool) -> str:
    """Creates the user. Of passwords, InfluxQL's quotes cannot hold CR and NUL."""
    rights = " WITH ALL PRIVILEGES" * is_admin
    return f"CREATE USER {quote(name)} WITH PASSWORD {_literal(password)}{rights}"


def grant(privilege: str, database: str, user: str) -> str:
    """Gives a user a right on a database: READ, WRITE or ALL PRIVILEGES."""
    return f"GRANT {privilege} ON {quote(database)} TO {quote(user)}"


def create_subscription(database: str, policy: str, name: str, mode: str, destinations: Iterable[str]) -> str:
    """Creates a subscription of a retention policy; `mode` is ALL or ANY."""
    urls = ", ".join(map(_literal, destinations))
    return f"CREATE SUBSCRIPTION {quote(name)} ON {quote(database)}.{quote(policy)} DESTINATIONS {mode} {urls}"


_UNITS = {"h": 3_600_000_000_000, "m": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000, "µs": 1000, "ns": 1}


_PART = r"([0-9]+(?:\.[0-9]+)?)(h|ms|m|s|µs|ns)"


def parse_go_duration(text: str) -> int:
    """`168h0m0s` as SHOW RETENTION POLICIES prints it, in nanoseconds. Raises ValueError for anything else."""
    if not re.fullmatch(f"(?:{_PART})+", text):
        raise ValueError(f"not a duration of a retention policy: {text!r}")
    return int(sum(Decimal(number) * _UNITS[unit] for number, unit in re.findall(_PART, text)))


def go_duration(nanoseconds: int) -> str:
    """A duration that CREATE statements accept; InfluxQL knows `0s` as infinite."""
    return f"{nanoseconds}ns" if nanoseconds % _UNITS["s"] else f"{nanoseconds // _UNITS['s']}s"
