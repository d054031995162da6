"""`main.py status`: asks the running daemon, and shows what it says as a table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from basics.humanize import ago, counted, format_bytes, lasting
from basics.sessions import PlainSession, innermost
from basics.tables import ruled
from basics.text import printable
from basics.times import parse_time
from watching.repeats import once, same_kind
from watching.web.server import Address

PATIENCE = 5.0


class NoDaemon(Exception):
    """No daemon answers; the message says where it was looked for, and what to do."""


def ask(address: Address) -> dict[str, Any]:
    """What the daemon says at /api/status. Raises NoDaemon."""
    advice = "start the daemon with --http ADDRESS:PORT, and say the same here (or set BACKUP_HTTP for both)"
    try:
        with PlainSession() as session:
            response = session.get(f"{address.url}/api/status", timeout=PATIENCE)
        document = response.json() if response.ok else None
    except requests.exceptions.JSONDecodeError:
        document = None
    except requests.RequestException as error:
        raise NoDaemon(f"no daemon answers at {address.url} ({_reason(error)}): {advice}") from None
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
        said = f"{response.status_code} {printable(response.text[:200].strip())}"
        raise NoDaemon(f"what answers at {address.url} is no daemon of ours ({said}): {advice}")
    return document


def _reason(error: requests.RequestException) -> str:
    cause = innermost(error)
    return getattr(cause, "strerror", None) or (
        f"no answer within {PATIENCE:g} s" if isinstance(error, requests.Timeout) else str(cause)
    )


# ---------------------------------------------------------------- the table


def status_table(document: Mapping[str, Any]) -> str:
    """The jobs as a table, then what is wrong with those that are failing and what others warn of, in full."""
    now = parse_time(document["now"])
    jobs = document["jobs"]
    more = [column for column in MORE if any(column.is_wanted(job) for job in jobs)]
    headings = ("job", "state", "last success", "lag", "verified", *(c.heading for c in more), "next run", "now")
    rows = [headings, *(_row(job, now, more) for job in jobs)]
    lines = [printable(document["headline"]), printable(document["protection"]["line"])]
    if shard := document.get("shard"):
        lines.insert(0, f"Shard {printable(shard)}")
    lines += ["", *_left(ruled(rows))]
    for alike in _alike(document["jobs"]):
        times = [time for job in alike if (time := job["failing_since"])]
        since = f" since {ago(min(map(parse_time, times)), now)}" if times else ""
        names = ", ".join(printable(job["name"]) for job in alike)
        lines += [f"FAILING {names}{since.replace(' ago', '')}:"]
        lines += [f"  {printable(line)}" for text in once(_errors(alike[0])) for line in text.splitlines()]
    for job in document["jobs"]:
        if not job["failing"] and job.get("warnings"):
            lines += [f"WARNING {printable(job['name'])}:", *(f"  {printable(text)}" for text in job["warnings"])]
    return "\n".join(lines)


def _alike(jobs: Sequence[Mapping[str, Any]]) -> Sequence[Sequence[Mapping[str, Any]]]:
    """Those that are failing, together where they say the same."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for job in jobs:
        if job["failing"]:
            groups.setdefault(same_kind(_errors(job)), []).append(job)
    return list(groups.values())


def _errors(job: Mapping[str, Any]) -> list[str]:
    """Each failure; what is wrong with a file is one text, whose lines belong together."""
    lines = [line for line in job["problem"].splitlines() if line.strip()]
    return ["\n".join(lines)] if any(line[0].isspace() for line in lines) else lines


def _left(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


@dataclass(frozen=True, slots=True)
class More:
    """A column that stands there only where a job has something to say in it."""

    heading: str
    is_wanted: Callable[[Mapping[str, Any]], bool]
    cell: Callable[[Mapping[str, Any], int], str]


def _archive(job: Mapping[str, Any], _now: int) -> str:
    """How many snapshots there are, and how large the archive is."""
    if not (archive := job.get("archive")):
        return "-"
    if not (taken := archive["snapshot"]):
        return "none yet"
    return f"{counted(taken['snapshots'], 'snapshot')}, {format_bytes(taken['archive_bytes'])}"


def _drill(job: Mapping[str, Any], now: int) -> str:
    """When a restore was rehearsed last, and what came of it if it did not pass."""
    if not (drill := job.get("drill")):
        return "none yet" if job.get("drill_schedule") else "-"
    when = ago(parse_time(drill["at"]), now)
    return when if drill["result"] == "passed" else f"{drill['result']}, {when}"


MORE = (
    More("archive", lambda job: bool(job.get("archive")), _archive),
    More("drill", lambda job: bool(job.get("drill") or job.get("drill_schedule")), _drill),
)


def _row(job: Mapping[str, Any], now: int, more: Sequence[More]) -> tuple[str, ...]:
    success, due = job["last_success"], job["next_run"]
    lags = [d["lag_seconds"] for d in job["databases"] if d["lag_seconds"] is not None]
    wait = max(0, parse_time(due) - now) / 1e9 if due else 0.0
    cells = (
        job["name"],
        job["state"],
        ago(parse_time(success), now) if success else "none yet",
        lasting(max(lags)) if lags and job["mode"] != "range" else "-",
        _verified(job, now),
        *(column.cell(job, now) for column in more),
        (f"in {lasting(wait)}" if wait >= 1 else "now") if due else "-",
        "; ".join(_doing(job)),
    )
    return tuple(map(printable, cells))


def _verified(job: Mapping[str, Any], now: int) -> str:
    """What a comparison of both sides found, and when."""
    found = job["difference"] or job["verification"]
    archive = job.get("archive")
    if archive and archive["place"] == job["destination"]:  # there is no other side
        found = archive["damage"] or archive["proof"]
    if found is None:
        return "-"
    when = ago(parse_time(found["at"]), now)
    return when if found["result"] in ("equal", "whole") else f"{found['result']}, {when}"


def _doing(job: Mapping[str, Any]) -> Iterator[str]:
    """What goes on, or why it has to wait."""
    if job["run"]:
        yield _now(job["run"])
    elif job.get("waits_for_turn"):
        yield job["waits_for_turn"]
    yield from _restores(job)


def _restores(job: Mapping[str, Any]) -> Iterator[str]:
    """The restores that go on, in a line each; one that was given up is among the warnings."""
    for restore in job.get("restores", ()):
        if restore["is_running"]:
            names, share = ", ".join(restore["databases"]), int(restore["share"] * 100)
            yield f"restoring {names} to {restore['target']}, {counted(restore['written'], 'value')}, {share} %"


def _now(run: Mapping[str, Any]) -> str:
    """The run that goes on, in a line."""
    parts = [f"{run['phase']} {run['database'] or ''}".strip()]
    if run["measurements"]:
        parts.append(f"measurement {run['measurement']:,} of {run['measurements']:,}, {int(run['share'] * 100)} %")
    if points := run["amounts"]["points"]:
        parts.append(counted(points, "point"))
    if run["seconds_left"] is not None:
        parts.append(f"about {lasting(run['seconds_left'])} left")
    if run["trouble"]:
        parts.append(f"trying again: {run['trouble']}")
    return ", ".join(parts)
