"""What can be wrong with a cluster.

InfluxError
+- NoCluster          the scheduler does not answer, or it has no worker for the job
+- DistributedMissing a package is not installed
+- Unstartable        what the job needs is not on a worker: the variable or the file of a password
"""

from influx.errors import InfluxError


class NoCluster(InfluxError):
    """The scheduler does not answer, or it has no worker for the job: later it may."""

    retryable = True


class DistributedMissing(InfluxError):
    """A package is not installed."""


class Unstartable(InfluxError):
    """What the job needs is not on a worker."""
