"""What `check` says of the cluster whose workers copy a job."""

from basics.humanize import counted
from copying.distribution.cluster import look_at
from influx.errors import InfluxError
from settings.keys import Job


def cluster_line(job: Job, problems: list[str]) -> str:
    """The cluster in one line; `problems` gets what would keep it, or some of it, from copying."""
    scheduler = job.options.distribute
    try:
        seen = look_at(job)
    except InfluxError as error:
        problems.append(str(error))
        return f"cluster {scheduler}: not reached"
    problems += filter(None, [seen.obstacle])
    if not seen.obstacle:
        problems += seen.refused
    return f"cluster {scheduler}: {counted(len(seen.suited), 'worker')} for this job"
