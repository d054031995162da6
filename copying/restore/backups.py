"""Where a restore takes its points from: the destination of a job, or whatever else answers the same questions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from copying.restore.plan import Sample
from copying.results import JobResult
from influx.counting import Count
from influx.influxql import Location, Policy


class Backup(Protocol):
    """What it holds. An InfluxClient is one."""

    url: str

    def get_databases(self) -> tuple[str, ...]:
        """Its databases."""

    def get_retention_policies(self, database: str) -> tuple[Policy, ...]:
        """The policies of a database."""

    def get_field_keys(self, database: str, policy: str) -> dict[str, dict[str, tuple[str, ...]]]:
        """Measurement -> field -> its types."""

    def count_many(self, counts: Sequence[Count]) -> list[dict[str, int]]:
        """How many values of each field there are, for each question."""

    def get_edges(
        self,
        edge: str,
        fields: Sequence[tuple[Location, str, Iterable[str]]],
        *,
        start: int,
        end: int,
        unknowable: int | None = None,
    ) -> list[int | None]:
        """The time of the `first` or `last` value of each field in `[start, end)`."""


class Copier(Protocol):
    """Writes what a backup holds to the target of a restore. Failures are in the results."""

    def sample(self, location: Location, types: Mapping[str, tuple[str, ...]]) -> Sample:
        """What the first page of a measurement takes. Raises InfluxError."""

    def write(self) -> JobResult:
        """Everything, to a target that has none of it."""

    def fill(self) -> JobResult:
        """Only what the target lacks: nothing that it has is changed."""

    def overwrite(self, since: Mapping[Location, int]) -> JobResult:
        """Every point, whatever the target has; of some measurements what is older is written already."""
