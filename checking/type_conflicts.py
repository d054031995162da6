"""Which values a run could not write, because their field has another type in the same shard group there."""

from collections.abc import Iterator, Sequence

from basics.spans import Span, describe
from basics.times import MIN_TIME
from copying.selection import allowed_types
from copying.task import Copy
from influx import shard_groups
from influx.error_texts import type_conflict
from influx_client import InfluxClient


class TypeConflicts:
    """Looks at the types of fields on both sides, shard group by shard group, as a run would meet them."""

    def __init__(self, source: InfluxClient, destination: InfluxClient) -> None:
        self._source = source
        self._destination = destination

    def find(self, copy: Copy, name: str, spans: Sequence[Span]) -> str:
        """The first conflict of a field in these stretches (oldest first) of the source, in words; '' for none.

        Where the field has several types, a stretch lies in one shard group of the source.
        """
        known: dict[Span, str | None] = {}
        changes, allowed = len(copy.types[name]) > 1, allowed_types(copy.rules)
        for piece, group in self._pieces(copy, name, spans):
            if group not in known:
                known[group] = self._type_there(copy, name, group)
            there = known[group]
            if there is None and not changes:
                continue
            ours = self._source.get_field_type(copy.source, name, piece, copy.types[name])
            if ours not in allowed:
                continue
            if ours and there and ours != there:
                problem = type_conflict(copy.source.measurement, name, ours, there)
                return f"copy {copy.source} {describe(piece)}: {problem}"
            known[group] = there or ours
        return ""

    def _type_there(self, copy: Copy, name: str, group: Span) -> str | None:
        types = copy.written_types.get(name, ())
        if not types or copy.target.is_new:
            return None
        return self._destination.get_field_type(copy.destination, name, group, types)

    def _pieces(self, copy: Copy, name: str, spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
        """Each part of the stretches that the destination keeps in one shard group, with that group.

        Only where the destination has data already, unless the field has several types at the source.
        """
        if len(copy.types[name]) > 1:
            limits = Span(spans[0].start, spans[-1].end) if spans else Span(0, 0)
        else:
            limits = self._extent(copy, name)
        duration, groups = copy.target.destination.shard_duration, sorted(copy.target.written_groups or ())
        for span in spans:
            part = span.clip(limits.start, limits.end)
            position = part.start
            while position < part.end:
                group = shard_groups.group_around(position, duration, groups)
                piece = group.clip(position, part.end)
                yield piece, group
                position = piece.end

    def _extent(self, copy: Copy, name: str) -> Span:
        """From the first to the last shard group in which the destination has values of the field."""
        asked = [(copy.destination, name, copy.written_types.get(name, ()))]
        (first,) = self._destination.get_edges("first", asked, unknowable=MIN_TIME)
        (last,) = self._destination.get_edges("last", asked)
        if first is None or last is None:
            return Span(0, 0)
        duration, groups = copy.target.destination.shard_duration, sorted(copy.target.written_groups or ())
        ends = [shard_groups.group_around(moment, duration, groups) for moment in (first, last)]
        return Span(ends[0].start, ends[1].end)
