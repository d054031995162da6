"""The pages on a real server, with states that a test chooses, in a real Chromium whose complaints are heard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

from tests.support.states import NOW
from watching.events import Event
from watching.state import State, applied
from watching.web.server import Address, HttpServer, bound_address, listen
from watching.web.site import status_site

PATIENCE = 300_000
"""Milliseconds until what is waited for counts as missing: a job has its time once a minute."""

FOREIGN = "evil.example"
"""A name that this browser finds at this machine, as if somebody's DNS said so."""


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium, with windows or without. A missing one is a failure, not a reason to skip."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-headless-shell")
    if program is None:
        pytest.fail("Chromium is missing: apt-get install chromium-headless-shell, or set CHROMIUM to its path")
    # as root there is no sandbox; nothing but our own pages is opened
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"]
    return playwright.chromium.launch(executable_path=program, args=arguments)


class Shown:
    """A state that is shown at `url`, and that a test can change."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.now = NOW
        self._address = Address("127.0.0.1", 0)
        self._server: HttpServer | None = None
        self.start()

    @property
    def url(self) -> str:
        """The overview."""
        return f"{self._address.url}/"

    @property
    def port(self) -> int:
        """The port of the server."""
        return self._address.port

    def start(self) -> None:
        """Answer, on the same port as before."""
        listener = listen(self._address)
        self._address = bound_address(listener)
        self._server = HttpServer(listener, status_site(lambda: self.state, lambda: self.now))
        self._server.start()

    def stop(self) -> None:
        """Answer no more."""
        if self._server:
            self._server.close()
        self._server = None

    def happen(self, *events: Event) -> None:
        """The next refresh will show what these events make of the state."""
        for event in events:
            self.state = applied(self.state, event)


@contextmanager
def opened(browser: Browser, complaints: list[str] | None = None, **options: Any) -> Iterator[Page]:  # noqa: ANN401
    """A page in a window of its own. Whatever the browser complains of fails the test, or goes to `complaints`."""
    found: list[str] = [] if complaints is None else complaints
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: found.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert complaints is not None or not found
