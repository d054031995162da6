"""Refuses what would be copied onto itself: source and destination that are one server by two names."""

from basics.urls import without_credentials
from influx.errors import SameServer
from influx.identity import is_same
from influx_client import InfluxClient
from settings.conflicts import onto_itself
from settings.keys import Job


def check_apart(job: Job, source: InfluxClient, destination: InfluxClient) -> None:
    """Raise SameServer where both are one server, and databases of it would be copied onto themselves.

    Raises InfluxError when one of them does not answer. Where servers do not show who they are, nothing is said.
    """
    problems = [message for _, message in onto_itself(job.source)]
    if problems and is_same(source, destination):
        both = f"source {source.url} and destination {destination.url} are one and the same server"
        raise SameServer(f"{both}: {problems[0]}")


def shared_destination(one: InfluxClient, other: InfluxClient, job: str, database: str) -> str:
    """Why a job must not write beside another one of which `other` is the destination; empty when it may."""
    if not is_same(one, other):
        return ""
    return (
        f"destination {one.url} is the same server as {without_credentials(other.url)}, where job {job!r} also "
        f"writes {database}; two writers of one measurement could lose points: change a destination name, or "
        "separate them by measurements.include and .exclude"
    )
