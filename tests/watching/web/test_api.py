"""What is said as JSON, and what `main.py status` makes of it."""

import json
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from tests.support.states import (
    DISK_FULL,
    NOW,
    REFUSED,
    WARNINGS,
    all_fine,
    everything,
    failing,
    fine,
    known,
    running,
    state_of,
    waiting,
    warned,
)
from watching.state import State
from watching.web.api import health, job_document, status_document
from watching.web.client import NoDaemon, ask, status_table
from watching.web.server import Address, Answer, HttpServer, bound_address, listen
from watching.web.site import answer, status_site

PLAIN = "text/plain; charset=utf-8"


def test_every_job_is_in_the_status_in_plain_units() -> None:
    """Times as RFC 3339, durations in seconds, shares from 0 to 1, null for what is not known."""
    document = status_document(everything(), NOW)
    assert json.loads(json.dumps(document)) == document
    assert document["status"] == "failing"
    assert document["now"] == "2026-11-24T03:57:20Z"
    jobs = {job["name"]: job for job in document["jobs"]}
    assert list(jobs) == sorted(everything().jobs)
    assert jobs["telegraf"]["databases"] == [
        {"name": "telegraf", "newest": "2026-11-24T03:57:08Z", "lag_seconds": 12.0}
    ]
    assert jobs["telegraf"]["next_run"] == "2026-11-24T04:00:00Z"
    assert jobs["telegraf"]["last_run"]["amounts"]["points"] == 15_010
    assert jobs["sensors"]["run"]["share"] == 0.62
    assert jobs["sensors"]["run"]["measurement"] == 8
    assert jobs["billing"]["failing"] is True
    assert jobs["billing"]["problem"].splitlines()[:2] == [DISK_FULL, REFUSED]
    assert jobs["billing"]["last_success"] == "2026-11-20T01:57:23Z"
    assert jobs["typo"]["last_run"] is None
    assert jobs["weather"]["verification"]["result"] == "equal"


def test_one_job_has_its_measurements_and_runs() -> None:
    """Which the overview leaves out."""
    (job,) = state_of(*failing()).jobs.values()
    document = job_document(job, NOW)
    assert json.loads(json.dumps(document)) == document
    assert [m["measurement"] for m in document["measurements"]] == ["payments", "invoices", "old"]
    assert document["measurements"][1]["newest"] == "2026-11-21T01:57:20Z"
    assert document["runs"][-1]["outcome"] == "FAILED"
    assert document["runs"][-1]["failures"][0] == DISK_FULL


@pytest.mark.parametrize(
    ("state", "status", "text"),
    [
        (all_fine(), 200, "fine\n"),
        (state_of(*running()), 200, "fine\n"),
        (State(), 503, "no job is known yet\n"),
        (
            state_of(*fine(), *waiting()),
            503,
            "edge-site-7: waiting for the source: http://10.20.30.7:8086: No route",
        ),
        (state_of(*fine(), *failing()), 503, f"billing: {DISK_FULL}"),
    ],
)
def test_health_is_a_status_and_a_reason(state: State, status: int, text: str) -> None:
    """A line for each job that is not fine."""
    found = answer("/healthz", state, NOW)
    assert found.status == status
    assert found.content.decode().startswith(text)
    assert bool(health(state)) is (status != 200)


def test_a_name_cannot_write_lines_of_its_own_into_the_health() -> None:
    """It is one line of plain text, whatever it holds."""
    state = state_of(*failing("bad\nname: fine\x1b[0m"))
    assert answer("/healthz", state, NOW).content.startswith(b"bad\\nname: fine\\x1b[0m: ")


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/", 200, "text/html; charset=utf-8"),
        ("/style.css", 200, "text/css; charset=utf-8"),
        ("/app.js", 200, "text/javascript; charset=utf-8"),
        ("/icon-bad.svg", 200, "image/svg+xml"),
        ("/jobs/billing", 200, "text/html; charset=utf-8"),
        ("/jobs/nobody", 404, "text/html; charset=utf-8"),
        ("/api/status", 200, "application/json"),
        ("/api/jobs/billing", 200, "application/json"),
        ("/api/jobs/nobody", 404, "application/json"),
        ("/metrics", 200, CONTENT_TYPE_LATEST),
        ("/jobs/", 404, "text/html; charset=utf-8"),
        *(
            (path, 404, "text/plain; charset=utf-8")
            for path in ("//", "/jobs", "/jobs/billing/", "/index.html", "")
        ),
        *((path, 404, "text/plain; charset=utf-8") for path in ("/../main.py", "/x/../../main.py", "/base.html")),
    ],
)
def test_each_path_leads_where_it_says(path: str, status: int, kind: str) -> None:
    """And nowhere else: files are those that the pages use."""
    found = answer(path, everything(), NOW)
    assert (found.status, found.kind) == (status, kind)


# ---------------------------------------------------------------- main.py status


@pytest.fixture
def stranger() -> Iterator[Address]:
    """A server that is no daemon."""
    listener = listen(Address("127.0.0.1", 0))
    address = bound_address(listener)
    server = HttpServer(listener, lambda _: Answer(b"<html>\x1b[31mPlease log in</html>", status=HTTPStatus.OK))
    server.start()
    yield address
    server.close()


def test_the_daemon_is_asked_over_http() -> None:
    """What comes is what it said."""
    listener = listen(Address("127.0.0.1", 0))
    address, server = bound_address(listener), HttpServer(listener, status_site(everything, lambda: NOW))
    server.start()
    try:
        assert ask(address) == status_document(everything(), NOW)
    finally:
        server.close()


def test_no_daemon_is_an_error_that_says_what_to_do() -> None:
    """Where it was looked for, and how one is started that answers."""
    with listen(Address("127.0.0.1", 0)) as listener:
        address = bound_address(listener)
    with pytest.raises(NoDaemon, match=rf"no daemon answers at {address.url} \(Connection refused\).*--http"):
        ask(address)


def test_a_stranger_is_no_daemon(stranger: Address) -> None:
    """What it says is shown, harmless."""
    with pytest.raises(NoDaemon, match=r"is no daemon of ours \(200 <html>\\x1b\[31mPlease log in</html>\)"):
        ask(stranger)


def test_the_table_says_what_each_job_does_and_what_is_wrong() -> None:
    """In the words of the page; errors in full below."""
    lines = status_table(status_document(everything(), NOW)).splitlines()
    rows = {line.split("  ")[0]: line for line in lines[5:13]}
    assert (
        lines[0] == "4 of 8 jobs are failing, 1 of them waiting for a server: billing, crashed, typo, edge-site-7"
    )
    assert lines[3].split() == ["job", "state", "last", "success", "lag", "verified", "next", "run", "now"]
    assert rows["telegraf"].split() == ["telegraf", "idle", "4", "min", "ago", "12", "s", "-", "in", "2", "min"]
    assert rows["import-2025"].split()[1] == "finished"
    assert "  3 h ago  " in rows["weather"]
    assert "copying sensors, measurement 8 of 12, 62 %, 1,203,400 points, about 12 s left" in rows["sensors"]
    assert "FAILED" not in "\n".join(lines)
    at = lines.index("FAILING billing since 3 days:")
    assert lines[at + 1 : at + 3] == [f"  {DISK_FULL}", f"  {REFUSED}"]
    assert "  options.retires: unknown key; did you mean options.retries?" in "\n".join(lines)


def test_a_job_that_is_new_has_a_row() -> None:
    """Nothing of it is known yet."""
    (row,) = status_table(status_document(state_of(*known("new")), NOW)).splitlines()[5:]
    assert row.split() == ["new", "starting", "none", "yet", "-", "-", "-"]


def test_warnings_are_neither_fine_nor_failing_everywhere() -> None:
    """In the status, at /healthz with 200, and in the table, which names them."""
    state = state_of(*fine("a"), *warned())
    document = status_document(state, NOW)
    assert document["status"] == "warning"
    assert [job["warnings"] for job in document["jobs"]] == [[], list(WARNINGS)]
    assert document["jobs"][1]["last_run"]["warnings"] == list(WARNINGS)
    found = answer("/healthz", state, NOW)
    assert found.status == HTTPStatus.OK
    assert found.content.decode().splitlines()[0] == "fine, with warnings"
    assert found.content.decode().splitlines()[1:] == [f"plant: {text}" for text in WARNINGS]
    table = status_table(document).splitlines()
    assert any(line.startswith("plant") and "idle, with warnings" in line for line in table)
    assert table[-3:] == ["WARNING plant:", *(f"  {text}" for text in WARNINGS)]
    assert status_document(state_of(*failing(), *warned()), NOW)["status"] == "failing"
