"""The chart of the last runs, as rectangles to draw. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from basics.humanize import counted, moment, took
from watching.events import HISTORY, RunRecord

PITCH, WIDTH, HEIGHT, CROSS = 8.0, 5.5, 60.0, 9.0
"""From one bar to the next, the width of a bar, the height of the highest with the cross above it."""


@dataclass(frozen=True, slots=True)
class ChartBar:
    """A run in the chart: a rectangle, and a cross above it when the run failed."""

    x: float
    y: float
    height: float
    tone: str
    title: str
    cross: float = 0.0
    """Where the cross is; 0: nowhere."""
    notch: float = 0.0
    """Where the bar is broken, because it would be higher than the chart; 0: nowhere."""


@dataclass(frozen=True, slots=True)
class Chart:
    """The points of the last runs."""

    bars: tuple[ChartBar, ...]
    width: float
    height: float
    label: str
    caption: str


def chart(runs: Sequence[RunRecord], now: int) -> Chart:
    """The points of these runs as bars, the newest at the right.

    The first run of a job copies years, the others minutes: bars that are much higher than most are broken off.
    """
    amounts = [run.amounts.points for run in runs]
    some = [amount for amount in amounts if amount]
    top = min(max(some, default=1), max(1, round(2.5 * median(some)))) if some else 1
    offset = HISTORY - len(runs)
    bars = tuple(_chart_bar(run, offset + i, top, now) for i, run in enumerate(runs))
    failed = sum(run.outcome == "FAILED" for run in runs)
    if not runs:
        return Chart((), HISTORY * PITCH, HEIGHT, "No run yet", "No run yet")
    caption = f"{counted(len(runs), 'run')}, up to {counted(max(amounts), 'point')}"
    if failed:
        caption += f", {failed} failed"
    label = f"Points of the last {counted(len(runs), 'run')}: {min(amounts):,} to {max(amounts):,}, "
    label += f"the last one {amounts[-1]:,}; {failed or 'none'} failed"
    return Chart(bars, HISTORY * PITCH, HEIGHT, label, caption)


def _chart_bar(run: RunRecord, place: int, top: int, now: int) -> ChartBar:
    failed = run.outcome == "FAILED"
    room = HEIGHT - CROSS
    height = max(1.5, room * min(1.0, run.amounts.points / top))
    y = HEIGHT - height
    points = counted(run.amounts.points, "point")
    return ChartBar(
        x=round(place * PITCH, 2),
        y=round(y, 2),
        height=round(height, 2),
        tone="bad" if failed else "quiet",
        title=f"{moment(run.started, now)}: {points} in {took(run.seconds)}, {run.outcome}",
        cross=round(y - CROSS / 2, 2) if failed else 0.0,
        notch=round(y + 5, 2) if run.amounts.points > top else 0.0,
    )
