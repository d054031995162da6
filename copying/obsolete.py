"""Which measurements and fields are skipped, because they have had nothing new for longer than the thresholds."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from basics.spans import Span
from basics.times import END_OF_TIME
from copying.resume import filter_obsolete_fields, is_obsolete
from copying.task import Copy
from influx.errors import InfluxError
from influx.fingerprints import Look
from influx.influxql import Location
from influx_client import InfluxClient
from settings.keys import Options

logger = logging.getLogger(__name__)

Times = Mapping[str, int | None]
"""Field -> its newest time somewhere."""


class Thresholds:
    """The thresholds of a job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, options: Options, source: InfluxClient, destination: InfluxClient, now: int) -> None:
        self._of_measurement = options.incremental.obsolete_threshold
        self._of_field = options.field_obsolete_threshold
        self._source = source
        self._destination = destination
        self._now = now

    def without_obsolete(
        self, copies: Sequence[Copy], copied: Sequence[dict[str, int | None]]
    ) -> tuple[list[Copy], list[dict[str, int | None]]]:
        """Leave out measurements, then fields, that have had nothing new for longer than the thresholds.

        `copied` are the newest times at the destination. A field is not left out before all of its values of that
        time are there: a run may have been interrupted between two of them.
        """
        if self._of_measurement is None and self._of_field is None:
            return list(copies), list(copied)
        newest = self._newest(copies, copied)
        kept = [self._kept(copy, times, there) for copy, times, there in zip(copies, copied, newest, strict=True)]
        return [copy for copy, _ in kept], [times for _, times in kept]

    def _kept(self, copy: Copy, times: Times, newest: Times) -> tuple[Copy, dict[str, int | None]]:
        fields: tuple[str, ...] = tuple(times)
        if self._of_field is not None:
            fields = filter_obsolete_fields(times, newest, self._of_field, self._now)
        if self._of_measurement is not None and not filter_obsolete_fields(
            times, newest, self._of_measurement, self._now
        ):
            fields = ()
        if len(fields) < len(times):
            logger.info("%s: %d obsolete fields skipped", copy.source, len(times) - len(fields))
        return replace(copy, types={f: copy.types[f] for f in fields}), {f: times[f] for f in fields}

    def _newest(self, copies: Sequence[Copy], copied: Sequence[Times]) -> list[dict[str, int | None]]:
        """For each copy, the newest time of each field at the source; no time of one that lacks values there."""
        asked = [(c, f) for c in copies for f in c.types]
        edges = self._source.get_edges(
            "last", [(c.source, f, c.types[f]) for c, f in asked], unknowable=END_OF_TIME
        )
        newest = {(c.source, f): edge for (c, f), edge in zip(asked, edges, strict=True)}
        least = min(t for t in (self._of_field, self._of_measurement) if t is not None)
        ended = [
            (copy, name, time)
            for copy, times in zip(copies, copied, strict=True)
            for name, time in times.items()
            if time is not None and is_obsolete(time, newest[copy.source, name], least, self._now)
        ]
        newest.update(dict.fromkeys(self._incomplete(ended), END_OF_TIME))
        return [{f: newest[c.source, f] for f in times} for c, times in zip(copies, copied, strict=True)]

    def _incomplete(self, ended: Sequence[tuple[Copy, str, int]]) -> set[tuple[Location, str]]:
        """The fields of which the destination lacks a value of that time, by series; all, if nobody can tell."""
        try:
            return self._lacking(ended)
        except InfluxError as error:
            if error.retryable:
                raise
            logger.info("%d old fields are not skipped: %s", len(ended), error)
            return {(copy.source, name) for copy, name, _ in ended}

    def _lacking(self, ended: Sequence[tuple[Copy, str, int]]) -> set[tuple[Location, str]]:
        source = self._source.get_fingerprints(
            [Look(copy.source, {name: copy.types[name]}, Span(time, time + 1)) for copy, name, time in ended]
        )
        destination = self._destination.get_fingerprints(
            [
                Look(copy.destination, {name: copy.written_types[name]}, Span(time, time + 1))
                for copy, name, time in ended
            ]
        )
        return {
            (copy.source, name)
            for (copy, name, _), there, here in zip(ended, source, destination, strict=True)
            if there is None or here is None or there.keys() - here.keys()
        }
