"""What `main.py check` says of a job's archive. Changes nothing."""

import time
from collections.abc import Iterator

from basics.humanize import counted
from basics.text import printable
from copying import inventory
from copying.archive import layout, parquet
from copying.archive.contents import Archive
from copying.archive.errors import ArchiveError, NotThere
from copying.archive.places import open_store
from influx.errors import InfluxError
from influx_client import InfluxClient
from settings.keys import Job


def archive_line(job: Job, problems: list[str]) -> str:
    """The archive in a line; `problems` gets more."""
    return f"archive {job.destination.archive}: {_state(job, problems)}"


def archived_databases(job: Job, source: InfluxClient, problems: list[str], warnings: list[str]) -> list[str]:
    """A line for each database that a snapshot would hold; `problems` and `warnings` get more.

    Raises InfluxError.
    """
    there = inventory.take_inventory(job, source)
    problems += inventory.unmatched_rules(job, there)
    warnings += filter(None, (inventory.empty_database(job, database) for database in there.databases))
    found = list(_databases(job, source, problems))
    if not any(measurements for _, measurements in found) and not job.options.allow_empty:
        problems.append(f"nothing to keep: {job.source.url} shows this user no measurement that the rules select")
    return [f"database {name}: {counted(measurements, 'measurement')}" for name, measurements in found]


def _state(job: Job, problems: list[str]) -> str:
    try:
        parquet.check_library()
        archive = Archive(open_store(job.destination.archive))
        try:
            archive.check()
        except NotThere:
            return "will be made"
        known = archive.snapshots(job.name)
        if known and known[-1].name >= layout.snapshot_name(time.time_ns()):
            problems.append(f"{known[-1].stored.key} is later than this machine's clock: correct the clock")
        newest = f", the newest {known[-1].name}" if known else ""
        return f"{counted(len(known), 'snapshot')} of this job{newest}"
    except ArchiveError as error:
        problems.append(str(error))
        return "cannot be used"


def _databases(job: Job, source: InfluxClient, problems: list[str]) -> Iterator[tuple[str, int]]:
    """Each database by its name, with how many measurements of it are wanted."""
    for name in [mapping.name for mapping in job.source.databases] or source.get_databases():
        try:
            policies = source.get_retention_policies(name)
            wanted = {m for p in policies for m in source.get_field_keys(name, p.name) if job.wants(m)}
            yield printable(name), len(wanted)
        except InfluxError as error:
            problems.append(f"database {printable(name)}: {error}")
