"""A job turned round: its destination is read, and its source, or another server, is written. Pure."""

from collections.abc import Iterable
from typing import Any

from basics.patterns import NamePattern
from basics.spans import Span
from copying.restore.asked import Mapped
from settings.keys import DatabaseMapping, Destination, IncrementalOptions, Job, RangeOptions, Server, Source

SUFFIX = ".restore"
"""What the name of the job ends with: its files of refused lines must not be taken for those of the job."""


def turned_round(
    job: Job,
    target: Server,
    databases: Iterable[Mapped],
    policies: Iterable[str],
    measurements: Iterable[str],
    span: Span,
) -> Job:
    """The job that copies back. What the backup holds counts, whatever the age of it and the fields of the rules.

    The rules for measurements stay: another job may keep others in the same database.
    """
    mappings = tuple(DatabaseMapping.model_construct(name=d.backup, destination=d.target) for d in databases)
    times = IncrementalOptions.model_construct(lookback=0)
    return Job.model_construct(
        name=job.name + SUFFIX,
        source=Source.model_construct(**_server(job.destination), databases=mappings),
        destination=Destination.model_construct(**_server(target)),
        measurements=job.measurements.model_copy(update={"specific": {}}),
        options=job.options.model_copy(
            update={
                "backup_mode": "range",
                "range": RangeOptions.model_construct(start=span.start, end=span.end),
                "incremental": times,
                "field_obsolete_threshold": None,
                "max_lag": None,
                "allow_empty": True,
                "metadata": (),
            }
        ),
        archive=job.archive,
        policies=tuple(policies),
        only=tuple(map(NamePattern, measurements)),
        restores=True,
    )


def from_archive(job: Job, url: str) -> Job:
    """The job as it fits to a snapshot of its archive at a URL, which has the names of the source."""
    named = [mapping.model_copy(update={"destination": mapping.name}) for mapping in job.source.databases]
    source = job.source.model_copy(update={"databases": tuple(named), "prefix": "", "suffix": ""})
    destination = job.destination.model_copy(update={"url": url})
    return job.model_copy(update={"source": source, "destination": destination})


def _server(server: Server) -> dict[str, Any]:
    return {name: getattr(server, name) for name in Server.model_fields}
