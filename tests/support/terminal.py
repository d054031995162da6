"""A program on a terminal of its own, and what a person would see there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte

from tests.support.waiting import HANG, wait_until


class Terminal:
    """Standard input, output and error of the program are one terminal.

    `raw` is all that it has written; `seen` are the screens that could be seen, one for each time it wrote.
    """

    def __init__(
        self, command: Sequence[str], directory: Path, *, columns: int = 120, rows: int = 40, **environ: str
    ) -> None:
        # pytest's workers say how wide their own output is
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=directory,
            env={**inherited, "TERM": "xterm-256color", **environ},
            start_new_session=True,
        )
        os.close(theirs)
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.seen: list[list[str]] = []

    @property
    def lines(self) -> list[str]:
        """What is on the screen now, without what has scrolled away."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def everything(self) -> list[str]:
        """What has scrolled away, and what is on the screen."""
        width = range(self._screen.columns)
        gone = ["".join(row[x].data for x in width).rstrip() for row in self._screen.history.top]
        return [*gone, *self.lines]

    @property
    def shows_cursor(self) -> bool:
        """Whether the cursor can be seen."""
        return not self._screen.cursor.hidden

    def read(self, seconds: float) -> bool:
        """Take in what the program writes within that time; False when it has nothing more to write."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._own], [], [], left)[0]:
                try:
                    data = os.read(self._own, 1 << 16)
                except OSError:  # how Linux says that nobody has the other side open any more
                    return False
                self.raw += data
                self._stream.feed(data)
                self.seen.append(self.lines)
        return True

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Until the condition holds; an AssertionError with the screen when it never does."""

        def holds() -> bool:
            if condition():
                return True
            assert self.read(0.1), f"no {what}:\n" + "\n".join(self.everything)
            return False

        wait_until(holds, what, progress=lambda: self.everything, pause=0)

    def finish(self) -> int:
        """Read until the program has ended; its exit code."""
        wait_until(lambda: not self.read(0.2), "its end", progress=lambda: self.everything, pause=0)
        return self.process.wait(HANG)

    def close(self) -> None:
        """End the program, whatever it does."""
        self.process.kill()
        self.process.wait()
        os.close(self._own)
