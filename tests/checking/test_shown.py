"""The progress of a job is shown while it is worked on: in the log, or as a live line below its lines."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
from collections import Counter

import pytest

import logger_config
from checking import progress
from checking.progress import Progress, Shown
from tests.support.waiting import wait_until


class Terminal(io.StringIO):
    """What is drawn on it, and by which threads."""

    def __init__(self) -> None:
        super().__init__()
        self.by: Counter[tuple[str, str]] = Counter()

    def write(self, text: str) -> int:
        """Each piece."""
        self.by[threading.current_thread().name, text] += 1
        return super().write(text)

    def isatty(self) -> bool:
        """It is one."""
        return True

    @property
    def text(self) -> str:
        """Without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.getvalue())


def is_shown() -> bool:
    """Whether the thread is there that shows it."""
    return any(thread.name == "progress" for thread in threading.enumerate())


def test_on_a_terminal_it_is_one_live_line_below_those_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which wait until it is drawn again; the last ones are there when it ends, and then they go on alone."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", terminal)  # not before: pytest has its own until then
    monkeypatch.setattr(progress, "REDRAW_EVERY", 0.01)
    logger_config.setup_logging("prod")
    done = Progress()
    done.begin("comparing", 4)
    with Shown("prod", done, draws=True):
        wait_until(lambda: "prod  comparing  " in terminal.text, "the live line")
        logging.getLogger("x").warning("in between")
        wait_until(lambda: "in between" in terminal.text, "the line of the log")
        done.passed(2, 10)
        wait_until(lambda: "10 values read" in terminal.text, "the next drawing")
        logging.getLogger("x").warning("the last")
    drawn = terminal.getvalue()
    for text in ("in between", "the last"):
        assert terminal.text.count(text) == 1
        assert {thread for thread, piece in terminal.by if text in piece} == {"progress"}, "it tears the live line"
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l"), "the cursor is hidden"
    assert not is_shown()
    logging.getLogger("x").warning("afterwards")
    assert "afterwards" in terminal.getvalue()


def test_elsewhere_the_log_tells_it_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it goes on; nothing where it ends at once."""
    caplog.set_level(logging.INFO)
    done = Progress()
    with Shown("prod", done, draws=False):
        assert is_shown()
    assert caplog.messages == []
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    with Shown("prod", done, draws=False):
        wait_until(lambda: "prod: planning" in caplog.messages, "a line")
        done.begin("comparing", 4)
        done.passed(1, 1)
        wait_until(lambda: "prod: comparing, 25.0%, 1 value read" in caplog.messages, "another line")
    assert not is_shown()


def test_it_ends_with_what_it_shows_also_when_that_fails() -> None:
    """The error goes on."""
    with pytest.raises(ZeroDivisionError), Shown("prod", Progress(), draws=False):
        raise ZeroDivisionError
    assert not is_shown()
