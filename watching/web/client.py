"""`main.py status`: asks the running daemon, and shows what it says as a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests

from basics.humanize import ago, counted, lasting
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
    headings = ("job", "state", "last success", "lag", "verified", "next run", "now")
    rows = [headings, *(_row(job, now) for job in document["jobs"])]
    lines = [printable(document["headline"]), printable(document["protection"]["line"])]
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


def _row(job: Mapping[str, Any], now: int) -> tuple[str, ...]:
    success, due = job["last_success"], job["next_run"]
    lags = [d["lag_seconds"] for d in job["databases"] if d["lag_seconds"] is not None]
    wait = max(0, parse_time(due) - now) / 1e9 if due else 0.0
    cells = (
        job["name"],
        job["state"],
        ago(parse_time(success), now) if success else "none yet",
        lasting(max(lags)) if lags and job["mode"] != "range" else "-",
        _verified(job, now),
        (f"in {lasting(wait)}" if wait >= 1 else "now") if due else "-",
        "; ".join([*([_now(job["run"])] if job["run"] else []), *_restores(job)]),
    )
    return tuple(map(printable, cells))


def _verified(job: Mapping[str, Any], now: int) -> str:
    """What a comparison of both sides found, and when."""
    found = job["difference"] or job["verification"]
    if found is None:
        return "-"
    when = ago(parse_time(found["at"]), now)
    return when if found["result"] == "equal" else f"{found['result']}, {when}"


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
