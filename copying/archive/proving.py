"""Proves that files hold what the source holds: the source adds up its series itself, and so do we from the files.

Of each series: how many values each field has, their sums, and of one field the squares of the times since its
first value. What the server cannot tell for certain is left out on both sides.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from basics.spans import Span, halves
from basics.times import SECOND
from copying.archive.errors import Unequal
from influx import fingerprints, influxql
from influx.errors import QueryTooLarge
from influx.fingerprints import SUMMED, Fingerprints, Look
from influx.frames import Frame
from influx.influxql import Tags
from influx_client import InfluxClient

_WRAP = 2**64


@dataclass(slots=True)
class Sums:
    """Of one series. Sums of integers are modulo 2^64; `moment` is None for fewer than two values."""

    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    moment: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a measurement can be compared: fields that can be counted, those with a sum, one with a moment."""

    counted: frozenset[str]
    summed: frozenset[str]
    clock: str | None

    def without_order(self) -> "Rules":
        """Where an answer was put together of parts, or of several shards: only what does not depend on that."""
        return replace(self, summed=frozenset(), clock=None)


def rules_for(look: Look, *, one_shard: bool) -> Rules:
    """What the server and we add up alike in this range, which `one_shard` holds."""
    quotable = [name for name in look.types if influxql.is_quotable(name)]
    plain = {name: types[0] for name, types in look.types.items() if len(types) == 1 and name in quotable}
    summed = frozenset(name for name, type_ in plain.items() if type_ in SUMMED)
    columns = [column for column in look.columns if influxql.is_quotable(column[0])]
    clock = min(columns, key=lambda column: (column[1] not in SUMMED, column[0]))[0] if columns else None
    rules = Rules(frozenset(look.types), summed, clock if clock in plain else None)
    return rules if one_shard else rules.without_order()


def told(look: Look, rules: Rules, found: Fingerprints) -> dict[Tags, Sums]:
    """What the server says of each series."""
    asked = fingerprints.statements(look)
    return {tags: _of_series(asked, rows, rules) for tags, rows in found.items()}


def _of_series(asked: Sequence[fingerprints.Statement], rows: fingerprints.Fingerprint, rules: Rules) -> Sums:
    sums = Sums()
    for statement, row in zip(asked, rows, strict=True):
        if row is None:
            continue
        if statement.counted:
            many = len(statement.counted)
            for (name, _), count in zip(statement.counted, row[1 : 1 + many], strict=True):
                if count:
                    sums.counts[name] = sums.counts.get(name, 0) + count
            added = [c for c in statement.counted if c[1] in SUMMED and influxql.is_quotable(c[0])]
            for (name, type_), total in zip(added, row[1 + many :], strict=True):
                if total is not None and name in rules.summed:
                    sums.sums[name] = total if type_ == "float" else total % _WRAP
    last = rows[-1]
    if rules.clock is not None and last is not None:
        sums.moment = last[1] % _WRAP
    return sums


def ask(source: InfluxClient, looks: Sequence[Look], *, one_shard: bool) -> list["Told"]:
    """What the source says of each question, in halves where one answer cannot hold it. Raises InfluxError."""
    answers = source.get_fingerprints(looks)
    return [
        _asked_in_halves(source, look) if found is None else _told(look, found, one_shard=one_shard)
        for look, found in zip(looks, answers, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Told:
    """What the source says of a measurement in a range, and a hash of that."""

    rules: Rules
    series: Mapping[Tags, Sums]
    digest: str

    @property
    def values(self) -> int:
        """How many values there are."""
        return sum(sum(sums.counts.values()) for sums in self.series.values())


def _told(look: Look, found: Fingerprints, *, one_shard: bool) -> Told:
    rules = rules_for(look, one_shard=one_shard)
    digest = hashlib.sha256()
    for tags in sorted(found):
        digest.update(repr(tags).encode("utf-8", "surrogatepass") + fingerprints.text_of(found[tags]))
    return Told(rules, told(look, rules, found), digest.hexdigest())


def _asked_in_halves(source: InfluxClient, look: Look) -> Told:
    if look.span.length <= SECOND:
        raise QueryTooLarge(f"compare {look.location}: one second holds too many series to compare")
    parts = ask(source, [replace(look, span=half) for half in halves(look.span)], one_shard=False)
    series: dict[Tags, Sums] = {}
    for part in parts:
        for tags, sums in part.series.items():
            known = series.setdefault(tags, Sums())
            for name, count in sums.counts.items():
                known.counts[name] = known.counts.get(name, 0) + count
    digest = hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()
    return Told(parts[0].rules.without_order(), series, digest)


# ---------------------------------------------------------------- what files hold


class Adder:
    """Adds up the points of a measurement, file by file, in the order of time, as the server does."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.series: dict[Tags, Sums] = {}
        self._begun: dict[Tags, int] = {}

    def add(self, frame: Frame) -> None:
        """More points, ordered by series."""
        starts, names = _series_of(frame)
        times = frame.times
        edges = [*starts, len(frame)]
        fields = [(n, c.dtype, c.is_not_null().to_numpy(), c) for n, c in frame.fields if n in self._rules.counted]
        plain = {name: _numbers(c) for name, _, _, c in fields if name in self._rules.summed}
        for number, tags in enumerate(names):
            part = slice(edges[number], edges[number + 1])
            sums = self.series.setdefault(tags, Sums())
            for name, dtype, present, _ in fields:
                there = present[part]
                count = int(there.sum())
                if not count:
                    continue
                sums.counts[name] = sums.counts.get(name, 0) + count
                if name in plain:
                    sums.sums[name] = _added(sums.sums.get(name, 0), plain[name][part][there], dtype)
                if name == self._rules.clock:
                    self._time(tags, sums, times[part][there])

    def _time(self, tags: Tags, sums: Sums, times: npt.NDArray[np.int64]) -> None:
        begun = self._begun.setdefault(tags, int(times[0]))
        since = times - np.int64(begun)
        more = int((since * since).sum()) % _WRAP
        if sums.counts[self._rules.clock or ""] > 1:
            sums.moment = ((sums.moment or 0) + more) % _WRAP


def _series_of(frame: Frame) -> tuple[list[int], list[Tags]]:
    """Where each series begins, and its tags."""
    if not frame.tags:
        return [0], [()]
    changed = np.zeros(len(frame), bool)
    changed[0] = True
    for _, column in frame.tags:
        changed[1:] |= column.ne_missing(column.shift(1)).to_numpy()[1:]
    starts = np.flatnonzero(changed).tolist()
    values = [(name, column.gather(starts).to_list()) for name, column in sorted(frame.tags)]
    named = [tuple((n, _text(v[i])) for n, v in values if v[i]) for i in range(len(starts))]
    return starts, named


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _numbers(column: pl.Series) -> npt.NDArray[np.generic]:
    """The values; what is null is any number."""
    return column.fill_null(0).to_numpy()


def _added(before: float, values: npt.NDArray[np.generic], dtype: pl.DataType) -> float:
    """One after the other, as the server does: another order gives another float."""
    if dtype == pl.Float64:
        return float(np.cumsum(np.concatenate(([before], values)))[-1])
    return (int(before) + int(values.astype(np.uint64).sum())) % _WRAP


def differences(expected: Mapping[Tags, Sums], found: Mapping[Tags, Sums]) -> Iterator[Tags]:
    """The series of which the two do not say the same."""
    for tags in expected.keys() | found.keys():
        if expected.get(tags, Sums()) != found.get(tags, Sums()):
            yield tags


def is_between(before: Mapping[Tags, Sums], found: Mapping[Tags, Sums], after: Mapping[Tags, Sums]) -> bool:
    """Whether no series has fewer values than before, or more than after: what came meanwhile may be there or not."""
    nothing = Sums()
    for tags in before.keys() | found.keys() | after.keys():
        low, middle, high = (side.get(tags, nothing).counts for side in (before, found, after))
        for name in low.keys() | middle.keys() | high.keys():
            if not low.get(name, 0) <= middle.get(name, 0) <= high.get(name, 0):
                return False
    return True


def check_equal(name: str, expected: Mapping[Tags, Sums], found: Mapping[Tags, Sums]) -> None:
    """Raise Unequal where a series is not the same."""
    odd = sorted(differences(expected, found))
    if odd:
        shown = ",".join(f"{key}={value}" for key, value in odd[0]) or "no tags"
        raise Unequal(f"{name}: {len(odd):,} series are not what the source says, such as the one of {shown}")


def summed(frames: Iterable[Frame], rules: Rules) -> dict[Tags, Sums]:
    """What frames hold, oldest first."""
    adder = Adder(rules)
    for frame in frames:
        adder.add(frame)
    return adder.series


def span_of(group: Span, end: int) -> Span:
    """The part of a shard group that is older than `end`."""
    return group.clip(group.start, end)
