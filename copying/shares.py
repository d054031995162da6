"""How very many series are divided, to be read share by share: pages would hold few points of each. Pure.

For each page InfluxDB opens every series anew, and it stores points more easily series by series. So of very many
series what is left of a shard group is not read time by time, but a share of the series after the other.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from basics.later import Later
from influx.frames import Frame
from influx.influxql import Share, is_comparable

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Later("polars")

FEW = 20
"""Series are divided where a page holds fewer points than this of each, on average."""

MOST = 16
"""How many shares there are at most."""

SAMPLE = 20_000
"""In so many rows is looked first whether there are many series: mostly there are not."""

PLACES = 8
"""At so many places, from the end of a tag's values, is looked for characters that divide them."""

_PLAIN = frozenset(string.ascii_letters + string.digits)


def divided(frame: Frame, most: int, left: int) -> tuple[Share, ...]:
    """Shares of about equal size in which each series is exactly once; none where time by time does as well.

    A page can hold `most` rows; about `left` rows like those of the frame are to come.
    """
    tag = _many_valued(frame, most)
    wanted = min(MOST, 2 * left // max(1, most))
    if tag is None or wanted < 4:  # less than two pages
        return ()
    return next(iter(divisions({tag[0]: tag[1].unique().drop_nulls().to_list()}, wanted)), ())


def divisions(values: Mapping[str, Sequence[str]], wanted: int = MOST) -> list[tuple[Share, ...]]:
    """Some ways to divide the series of a measurement, by the values that its tags have.

    Each way by another place; first those by the tag with the most values, and of these the most even one.
    `wanted`: into so many shares, as far as characters allow.
    """
    found: list[tuple[int, int, str, int, Counter[str]]] = []
    for tag, texts in values.items():
        for after in range(PLACES):
            counts = _counts(texts, after)
            largest = _largest(counts, len(texts))
            if 2 * largest <= len(texts) > 1:
                found.append((-len(texts), largest, tag, after, counts))
    found.sort(key=lambda place: place[:4])
    return [_shares(tag, after, _together(counts, wanted)) for _, _, tag, after, counts in found]


def _many_valued(frame: Frame, most: int) -> tuple[str, pl.Series] | None:
    """The tag with the most values; None where there are not so many series, as far as it shows."""
    able = [(name, column) for name, column in frame.tags if column.dtype == pl.String and is_comparable(name)]
    for rows, many in ((SAMPLE, min(SAMPLE, len(frame), most) // FEW), (len(frame), most // FEW)):
        able = [(name, column) for name, column in able if column.head(rows).n_unique() > many]
    return max(able, key=lambda tag: tag[1].n_unique(), default=None)


def _counts(values: Iterable[str], after: int) -> Counter[str]:
    """How many of the values have each plain character before the last `after` ones."""
    found = Counter(value[-1 - after] for value in values if len(value) > after)
    return Counter({character: count for character, count in found.items() if character in _PLAIN})


def _largest(counts: Mapping[str, int], values: int) -> int:
    """How many values the largest share has when each character makes one, and all else another."""
    return max((values - sum(counts.values()), *counts.values()))


def _together(counts: Mapping[str, int], wanted: int) -> list[str]:
    """The characters in so many groups, or fewer, of about equal weight."""
    groups = [(0, "") for _ in range(wanted)]
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        groups.sort()
        groups[0] = (groups[0][0] + count, groups[0][1] + character)
    return [characters for _, characters in groups if characters]


def _shares(tag: str, after: int, groups: Sequence[str]) -> tuple[Share, ...]:
    """A share for each group; the last one of several is the rest, whatever its characters."""
    own = groups[:-1] or groups
    others = "".join(own)
    return (*(Share(tag, characters, after) for characters in own), Share(tag, others, after, is_rest=True))
