"""What `main.py check` says of a job's restore drills. Changes nothing."""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime

from basics.stopping import StopRequest
from checking.drill import NoDrill, planned
from copying.restore.targets import server_at
from influx.errors import InfluxError
from influx_client import connect
from settings.keys import Job
from settings.next_run import next_run


def drill_line(job: Job, environ: Mapping[str, str], problems: list[str]) -> str:
    """When a restore is rehearsed next, and where, for a job that has a schedule for it; `problems` gets more."""
    drill, zone = job.options.drill, str(job.options.incremental.timezone)
    if drill.schedule is None:
        return ""
    at = next_run(drill.schedule, zone, datetime.now(UTC)).isoformat(timespec="minutes")
    when = f"restore drill {drill.schedule.text}; next: {at} ({zone})"
    try:
        how = planned(job)
        server = server_at(how.url, job, environ)
        with closing(connect(job.options, server, "target of drills", StopRequest(), retries=0)) as target:
            target.check_admin()
            return f"{when}, at {target.url}: InfluxDB {target.version}"
    except InfluxError as error:
        problems.append(
            f"options.drill: {error}; the server has to answer, and its user ($RESTORE_USER, or the job's) has to "
            "be an administrator: a drill creates and drops a database"
        )
    except (NoDrill, ValueError) as error:
        problems.append(f"options.drill: {error}")
    return when
