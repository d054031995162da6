"""Unstorable: what of a measurement the destination cannot keep. It is counted and told, never sent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from basics.spans import Span
from basics.text import printable
from copying.selection import allowed_types
from copying.task import Copy
from influx import storable
from influx.written import Refusal
from influx_client import InfluxClient
from settings.keys import Job


class Unstorable:
    """Of one job, in one run: whether a database holds unsigned integers is asked once."""

    def __init__(self, job: Job, source: InfluxClient, destination: InfluxClient) -> None:
        self._job = job
        self._source = source
        self._destination = destination
        self._holds_unsigned: dict[str, bool] = {}

    def left_out(self, copy: Copy, span: Span) -> Copy:
        """The copy without what the destination cannot keep, for its name or type, and with why.

        The values in `span` are counted at the source. Raises InfluxError.
        """
        reason = storable.measurement_problem(copy.source.measurement)
        if reason:
            return replace(
                copy, types={}, refusals=(self._refusal(copy, "measurement", copy.types, reason, span),)
            )
        refusals = [self._field_refusal(copy, name, span) for name in copy.types]
        kept = {name: types for (name, types), no in zip(copy.types.items(), refusals, strict=True) if no is None}
        if all(map(storable.needs_company, kept)):  # and there is none to keep them company
            refusals += [self._refusal(copy, _field(n), {n: t}, storable.ALONE, span) for n, t in kept.items()]
            kept = {}
        return replace(copy, types=kept, refusals=tuple(no for no in refusals if no is not None))

    def _field_refusal(self, copy: Copy, name: str, span: Span) -> Refusal | None:
        """Why the values of a field are not sent, and how many they are; None when they are."""
        field, shown = {name: copy.types[name]}, _field(name)
        reason = storable.field_problem(name)
        if reason:
            return self._refusal(copy, shown, field, reason, span)
        if self._is_too_much(copy, copy.types[name]):
            reason = "holds unsigned integers, which the destination cannot store"
            refusal = self._refusal(copy, shown, field, reason, span)
            return replace(refusal, remedy="exclude it, or copy to an InfluxDB that is built to hold them")
        return None

    def _is_too_much(self, copy: Copy, types: Sequence[str]) -> bool:
        """Whether some of these types are unsigned integers, and the destination cannot store them."""
        wanted = "unsigned" in types and "unsigned" in allowed_types(copy.rules)
        if not wanted or self._job.source.group_by is not None:  # means are floats
            return False
        database = copy.target.database
        if database not in self._holds_unsigned:
            # without the database this cannot be asked; a run creates it first
            exists = not copy.target.is_new or database in self._destination.get_databases()
            self._holds_unsigned[database] = not exists or self._destination.holds_unsigned(database)
        return not self._holds_unsigned[database]

    def _refusal(
        self, copy: Copy, what: str, types: Mapping[str, tuple[str, ...]], reason: str, span: Span
    ) -> Refusal:
        return Refusal(what, reason, sum(self._source.count_values(copy.source, types, span).values()))


def _field(name: str) -> str:
    return f"field {printable(name)!r}"
