"""Continuous queries of a destination that run there, and so write what the source never had."""

from collections.abc import Sequence

from basics.text import printable
from copying.metadata import tokens
from influx.entries import ContinuousQuery
from influx.errors import AccessDenied, InfluxError
from influx_client import InfluxClient


def running_queries(destination: InfluxClient, database: str) -> tuple[str, bool]:
    """What to say of continuous queries that write into this database of the destination, and whether they run.

    The text is empty where there are none, or they do not run.
    """
    try:
        return _look(destination, database)
    except AccessDenied:
        return "", False  # this user may not read there, on which the run itself fails
    except InfluxError as error:
        if error.retryable:
            raise
        return f"whether continuous queries write into {printable(database)} is not known: {error}", False


def _look(destination: InfluxClient, database: str) -> tuple[str, bool]:
    found = destination.catalog.get_all_continuous_queries(database)
    names = [
        query.name for owner, queries in found.items() for query in queries if _writes(owner, query, database)
    ]
    runs = destination.catalog.runs_continuous_queries() if names else False
    return (_sentence(database, names, destination.url, runs=runs) if runs is not False else ""), runs is True


def _writes(owner: str, query: ContinuousQuery, database: str) -> bool:
    """Whether a query of the database `owner` is one of this database, or writes into it."""
    try:
        return owner == database or database in tokens.written(query.text)
    except tokens.NotAQuery:
        return False


def _sentence(database: str, names: Sequence[str], url: str, *, runs: bool | None) -> str:
    shown = ", ".join(map(printable, names))
    state = "run" if runs else "may run (this user may not see whether they do)"
    return (
        f"continuous queries of {printable(database)} {state}, at the destination: {shown}; they compute from "
        "data that is not all copied yet, and write points that the source never had: drop them there (each run "
        f"saves those of the source), or set enabled = false in [continuous_queries] of {url}"
    )
