"""How far the runs are, in words: for the log, and as live lines on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TextIO

from basics.humanize import counted, worded
from basics.text import printable
from basics.times import MINUTE, SECOND, format_duration
from watching.events import RunState
from watching.state import State

REDRAW_EVERY = 0.25
"""Seconds between two drawings at least."""

BAR = 20
"""Columns of a bar."""


# ---------------------------------------------------------------- words, pure


def progress_line(run: RunState, now: int) -> str:
    """All of it in one line."""
    amounts = run.amounts
    parts = [what(run)]
    if run.phase == "copying" and run.measurements:
        parts += [f"measurement {run.measurement:,} of {run.measurements:,}", f"{run.share:.1%} of the time range"]
    parts += [counted(amounts.points, "point"), counted(amounts.values, "value"), f"{run.rate:,.0f} points/s"]
    left = run.seconds_left(now) if run.phase == "copying" else None
    if left is not None:
        parts.append(f"{duration(left)} left")
    if amounts.failures:
        parts.append(counted(amounts.failures, "failure"))
    if run.trouble:
        parts.append(f"trying again: {run.trouble}")
    return ", ".join(parts)


def what(run: RunState) -> str:
    """What the run does now."""
    if not run.database:
        return "connecting" if run.phase == "connecting" else run.phase
    place = f"{run.database} ({run.number} of {run.databases})" if run.databases > 1 else run.database
    return place if run.phase == "copying" else f"{place}: {run.phase}"


def duration(seconds: float) -> str:
    """`42s`, `5m10s`, `3h20m`, `2d4h`: no more exact than it can be known."""
    ns = round(seconds) * SECOND
    for unit, least in ((24 * 60 * MINUTE, 60 * MINUTE), (60 * MINUTE, MINUTE)):
        if ns >= unit:
            return format_duration(ns - ns % least)
    return format_duration(ns)


def live_row(job: str, run: RunState, now: int, width: int, *, name_width: int = 0) -> list[tuple[str, str]]:
    """One line of at most `width` columns as (text, style); what matters least is left out where it is narrow."""
    amounts, left = run.amounts, run.seconds_left(now)
    is_copying = run.phase == "copying" and run.measurements > 0
    parts: list[tuple[int, str, str]] = [(0, job.ljust(name_width), "bold"), (1, what(run), "cyan")]
    if is_copying:
        parts += [
            (8, bar(run.share), "green"),
            (2, f"{run.share:4.0%}", ""),
            (4, f"{run.measurement:,} of {run.measurements:,}", ""),
        ]
    if is_copying or amounts.points:
        parts += [(3, short_counted(amounts.points, "point"), ""), (7, short_counted(amounts.values, "value"), "")]
    if is_copying:
        parts += [(6, f"{short(run.rate)}/s", ""), (5, "" if left is None else f"{duration(left)} left", "")]
    if amounts.failures:
        parts.append((1, counted(amounts.failures, "failure"), "red"))
    if run.trouble:
        parts.append((9, f"trying again: {run.trouble}", "yellow"))
    return fitted(parts, width)


def bar(share: float) -> str:
    """A share as a line, a part of which is thicker."""
    filled = round(share * BAR)
    return "━" * filled + "─" * (BAR - filled)


def fitted(parts: Sequence[tuple[int, str, str]], width: int) -> list[tuple[str, str]]:
    """As many of these (how little it matters, text, style) as fit into `width` columns, as (text, style)."""
    kept = [part for part in parts if part[1]]
    while _columns(kept) > width and len(kept) > 1:
        kept.remove(max(kept))
    return [(printable(text), style) for _, text, style in kept]


def _columns(parts: Sequence[tuple[int, str, str]]) -> int:
    return sum(len(text) for _, text, _ in parts) + 2 * (len(parts) - 1)


def short_counted(count: int, noun: str) -> str:
    """`1 point`, `1.23k points`."""
    return f"{short(count)} {worded(count, noun)}"


def short(count: float) -> str:
    """`999`, `1.23k`, `12.3k`, `123k`, `1.23M`."""
    if count < 999.5:
        return f"{count:.0f}"
    for unit in ("k", "M", "G"):
        count /= 1000
        if count < 999.5:
            return f"{count:.{2 if count < 9.995 else 1 if count < 99.95 else 0}f}{unit}"
    return f"{count / 1000:.2f}T"


# ---------------------------------------------------------------- a terminal


def can_draw(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether there is a terminal that can take back what was written on it."""
    return stream.isatty() and environ.get("TERM", "dumb") not in ("dumb", "unknown")


class Screen:
    """One live line for each job that runs, at the bottom of a terminal; log lines go above them.

    All calls come from one thread.
    """

    def __init__(self, terminal: TextIO) -> None:
        # only who draws pays for it
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._console = Console(file=terminal, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def draw(self, state: State, lines: Sequence[str], now: int) -> None:
        """Show the lines, which stay, and below them the runs that go on."""
        running = {job.name: job.run for job in state.jobs.values() if job.run}
        longest = max(map(len, running), default=0)
        self.show(
            [live_row(name, run, now, self.width, name_width=longest) for name, run in running.items()], lines
        )

    @property
    def width(self) -> int:
        """How many columns a row may have."""
        return self._console.width - 1

    def show(self, rows: Sequence[Sequence[tuple[str, str]]], lines: Sequence[str]) -> None:
        """Show the lines, which stay, and below them the rows, in the place of those before."""
        from rich.text import Text  # noqa: PLC0415

        if not rows:
            self._live.stop()
        with self._console:  # all of it at once
            if lines:
                self._console.print(Text("\n".join(lines)), soft_wrap=True)
            if rows:
                self._live.start()
                text = Text(no_wrap=True, overflow="ellipsis")
                for number, row in enumerate(rows):
                    text.append("\n" if number else "")
                    for at, (piece, style) in enumerate(row):
                        text.append("  " if at else "").append(piece, style)
                self._live.update(text, refresh=True)

    def close(self) -> None:
        """Take the live lines away."""
        self._live.stop()
