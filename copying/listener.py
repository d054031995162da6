"""Who is told how far a run is. Only the protocol: what is done with it is no concern of this package."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from copying.results import MeasurementResult
from influx.influxql import Location
from influx.written import Written

Phase = Literal["connecting", "planning", "looking for late data", "copying"]
"""What a run does: it connects first, and then plans and copies one database after the other."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A measurement that is about to be copied from `begin` to `end`; times are nanoseconds."""

    source: Location
    begin: int = 0
    end: int = 0
    newest: int | None = None
    """The newest of its points that the destination has, not counting those after now."""


class RunListener(Protocol):
    """Hears of a run, from any thread. Nothing of it ever waits or raises."""

    def phase(self, phase: Phase) -> None:
        """What the run does now."""

    def databases(self, count: int) -> None:
        """How many databases it has."""

    def database(self, name: str, number: int) -> None:
        """It comes to a database, the `number`th."""

    def planned(self, measurements: Iterable[Planned]) -> None:
        """These measurements of the present database are copied next."""

    def copying(self) -> None:
        """What was planned is copied from now on."""

    def begun(self, source: Location) -> None:
        """A measurement's turn has come."""

    def wrote(self, source: Location, written: Written) -> None:
        """So much of a measurement was acknowledged, put aside, or is never sent."""

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """Everything of a measurement that is older than `position` is acknowledged; its `newest` point was."""

    def finished(self, source: Location, result: MeasurementResult, *, stopped: bool) -> None:
        """A measurement is done, has failed, or was given up in order to stop."""

    def failed(self, problems: Sequence[str]) -> None:
        """A database as a whole has failed."""


class SilentRun:
    """Tells nobody."""

    def phase(self, phase: Phase) -> None:
        """Tell nobody."""

    def databases(self, count: int) -> None:
        """Tell nobody."""

    def database(self, name: str, number: int) -> None:
        """Tell nobody."""

    def planned(self, measurements: Iterable[Planned]) -> None:
        """Tell nobody."""

    def copying(self) -> None:
        """Tell nobody."""

    def begun(self, source: Location) -> None:
        """Tell nobody."""

    def wrote(self, source: Location, written: Written) -> None:
        """Tell nobody."""

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """Tell nobody."""

    def finished(self, source: Location, result: MeasurementResult, *, stopped: bool) -> None:
        """Tell nobody."""

    def failed(self, problems: Sequence[str]) -> None:
        """Tell nobody."""
