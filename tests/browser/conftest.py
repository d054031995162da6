"""One Chromium for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.harness import PATIENCE, Shown, launch
from tests.support.states import everything


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A running Chromium."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = launch(playwright)
        yield running
        running.close()


@pytest.fixture
def shown() -> Iterator[Shown]:
    """A job in each state, shown on a server of the test's own."""
    site = Shown(everything())
    yield site
    site.stop()
