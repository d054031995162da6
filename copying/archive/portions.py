"""Cuts the points of a measurement into files of bounded size: always at the same places, whatever the pages were.

A file ends before the first time with which it would weigh too much, so it depends on nothing but the points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from copying.archive.parquet import sort_by_series
from influx import frames
from influx.frames import Frame

HEAVIEST = 2_000_000
"""What a file weighs at most: a row and a value count one, and a text one more for each eight bytes."""


def portions(pages: Iterable[Frame], heaviest: int = HEAVIEST) -> Iterator[Frame]:
    """The points, which come oldest first, in frames for a file each, ordered by series.

    Memory is bounded by a file and a page. Points of one time stay together, however many they are.
    """
    waiting: list[Frame] = []
    weight = 0
    for page in pages:
        if not len(page):
            continue
        waiting.append(page)
        weight += int(_weights(page).sum())
        while weight > heaviest:
            frame = united(waiting)
            weights = _weights(frame)
            end = _first_end(frame.times, weights.cumsum(), heaviest)
            if end == len(frame):  # its last time may go on
                break
            yield sort_by_series(frame.slice(0, end))
            waiting, weight = [frame.slice(end, len(frame))], int(weights[end:].sum())
    if waiting:
        yield sort_by_series(united(waiting))


def _first_end(times: npt.NDArray[np.int64], reached: npt.NDArray[np.int64], heaviest: int) -> int:
    """How many rows the first file takes: whole times, at least one."""
    cut = int(np.searchsorted(reached, heaviest, "right"))  # the first row that is too much
    begin = int(np.searchsorted(times, times[cut], "left"))
    return begin or int(np.searchsorted(times, times[0], "right"))


def _weights(frame: Frame) -> npt.NDArray[np.int64]:
    found = np.ones(len(frame), np.int64)
    for _, column in (*frame.fields, *frame.tags):
        found += column.is_not_null().to_numpy()
        if column.dtype == pl.String:
            found += column.str.len_bytes().fill_null(0).cast(pl.Int64).to_numpy() // 8
        elif column.dtype == pl.Binary:
            found += column.bin.size().fill_null(0).cast(pl.Int64).to_numpy() // 8
    return found


def united(parts: list[Frame]) -> Frame:
    """All rows in one frame: a column that a part lacks is null there."""
    if len(parts) == 1:
        return parts[0]
    names = [sorted({name for part in parts for name, _ in side(part)}) for side in (_fields, _tags)]
    whole = frames.joined([filled(part, *names) for part in parts])
    if len(whole) > 1:  # a field has one type inside a shard group, so that cannot be
        raise frames.UnexpectedRows("a column holds several types inside one shard group")
    return whole[0]


def _fields(frame: Frame) -> frames.Columns:
    return frame.fields


def _tags(frame: Frame) -> frames.Columns:
    return frame.tags


def filled(part: Frame, fields: list[str], tags: list[str]) -> Frame:
    """The same points with exactly these columns, in this order; one that is not there is null."""
    nothing = pl.Series(values=[None], dtype=pl.Null).new_from_index(0, len(part))

    def fill(columns: frames.Columns, names: list[str]) -> frames.Columns:
        there = dict(columns)
        return tuple((name, there.get(name, nothing)) for name in names)

    return Frame(part.time, fill(part.fields, fields), fill(part.tags, tags))
