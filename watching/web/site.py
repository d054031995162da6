"""Which path shows what: the pages, their parts, JSON, health and metrics."""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from watching.events import Event
from watching.metrics import exposition
from watching.monitor import Holder
from watching.state import State
from watching.web.api import cautions, health, job_document, status_document
from watching.web.page import render_job, render_missing, render_status
from watching.web.server import Answer, HttpServer, Site

ASSETS = Path(__file__).with_name("assets")

KINDS: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HTML, JSON = "text/html; charset=utf-8", "application/json"


def status_site(state: Callable[[], State], clock: Callable[[], int]) -> Site:
    """The site that shows what `state()` is when a request comes; `clock()` gives nanoseconds since 1970."""

    def site(path: str) -> Answer:
        return answer(path, state(), clock())

    return site


def answer(path: str, state: State, now: int) -> Answer:
    """The answer to a request, whose path is decoded."""
    if found := _assets().get(path):
        return found
    if page := _PAGES.get(path):
        return page(state, now)
    folder, _, name = path.rpartition("/")
    if of_job := _OF_JOBS.get(folder):
        return of_job(name, state, now)
    return Answer(b"404 there is no such page; / shows all jobs\n", status=HTTPStatus.NOT_FOUND)


class Website:
    """Shows the monitor's state to whoever asks; its threads read it whenever they need it."""

    def __init__(self, holder: Holder, listener: socket.socket, names: Sequence[str]) -> None:
        """`names`: those by which others call this machine."""
        self._server = HttpServer(listener, status_site(lambda: holder.state, time.time_ns), names)
        self._server.start()

    def see(self, event: Event, before: State, after: State) -> None:
        """Nothing to do: who asks next sees it."""

    def look(self, state: State) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Stop answering."""
        self._server.close()


@cache
def _assets() -> dict[str, Answer]:
    """The files that the pages use, read once."""
    files = (file for file in ASSETS.iterdir() if file.suffix in KINDS)
    return {f"/{file.name}": Answer(file.read_bytes(), KINDS[file.suffix]) for file in files}


def _overview(state: State, now: int) -> Answer:
    return _html(render_status(state, now))


def _job_page(name: str, state: State, now: int) -> Answer:
    if job := state.jobs.get(name):
        return _html(render_job(job, now))
    return _html(render_missing(name, now), HTTPStatus.NOT_FOUND)


def _job_api(name: str, state: State, now: int) -> Answer:
    if job := state.jobs.get(name):
        return _json(job_document(job, now))
    return _json({"error": f"there is no job {name!r}"}, HTTPStatus.NOT_FOUND)


def _all_api(state: State, now: int) -> Answer:
    return _json(status_document(state, now))


def _metrics(state: State, now: int) -> Answer:
    return Answer(exposition(state, now), CONTENT_TYPE_LATEST)


def _alive(_state: State, _now: int) -> Answer:
    return Answer(b"alive\n")


def _health(state: State, _now: int) -> Answer:
    problem, warned = health(state), cautions(state)
    status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
    warnings = f"with warnings\n{warned}" if warned else ""
    fine = f"fine, {warnings}" if warnings else "fine"
    text = "\n".join(filter(None, (problem, warnings))) if problem else fine
    return Answer(f"{text}\n".encode(), status=status)


def _html(text: str, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(text.encode("utf-8", "replace"), HTML, status)


def _json(document: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:  # noqa: ANN401 -- whatever JSON can hold
    return Answer((json.dumps(document, indent=2) + "\n").encode(), JSON, status)


_PAGES: Mapping[str, Callable[[State, int], Answer]] = {
    "/": _overview,
    "/api/status": _all_api,
    "/healthz": _health,
    "/livez": _alive,
    "/metrics": _metrics,
}
_OF_JOBS: Mapping[str, Callable[[str, State, int], Answer]] = {"/jobs": _job_page, "/api/jobs": _job_api}
