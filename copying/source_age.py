"""How old a database is at the source itself, and whether that is older than the job allows."""

from basics.text import printable
from basics.times import format_duration, format_time
from copying.planner import Planner
from copying.results import SourceAge
from settings.keys import Job


def source_age(job: Job, planner: Planner, database: str, read: int | None, now: int) -> SourceAge:
    """`read`: the newest point that the run read of it. The source is asked only where that is too old."""
    limit = job.options.max_lag
    if limit is None:
        return SourceAge(database, read)
    if not is_fresh(read, limit, now):
        found = planner.newest_at_source(database)
        read = max((time for time in (read, found) if time is not None), default=None)
    return SourceAge(database, read, not is_fresh(read, limit, now))


def is_fresh(newest: int | None, limit: int, now: int) -> bool:
    """Whether there is a point that is not older than `limit`."""
    return newest is not None and newest >= now - limit


def staleness(age: SourceAge, limit: int | None) -> str:
    """What to say of a database that is too old; empty when it is not."""
    if not age.is_stale or limit is None:
        return ""
    name, allowed = printable(age.name), f"options.max_lag is {format_duration(limit)}"
    if age.newest is None:
        return f"database {name}: no point at the source; {allowed}"
    return f"database {name}: nothing new at the source since {format_time(age.newest)}; {allowed}"
