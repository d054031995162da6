"""The chart of the last runs, and the strip of the last days, as shapes to draw. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from basics.humanize import counted, exactly, took
from watching.days import KEPT, Days, DayWord, good_days, strip
from watching.events import HISTORY, RunRecord

PITCH, WIDTH, HEIGHT, CROSS = 8.0, 5.5, 60.0, 9.0
"""From one bar to the next, the width of a bar, the height of the highest with the cross above it."""

LEAST, NOTHING = 2.0, 0.8
"""The height of a bar that has a point, and of one that has none."""

BREAKS = 10
"""The first run is broken off where it has so many times the points of any other: it copied years."""


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
    scale: str = ""
    """What the highest bar stands for."""
    top: float = CROSS
    """Where that is."""


def chart(runs: Sequence[RunRecord]) -> Chart:
    """The points of these runs as bars, the newest at the right; half the height is half the points."""
    if not runs:
        return Chart((), HISTORY * PITCH, HEIGHT, "No run yet", "No run yet")
    amounts = [run.amounts.points for run in runs]
    others = max(amounts[1:], default=0)
    is_broken = bool(others) and amounts[0] > BREAKS * others
    top = max(1, others if is_broken else max(amounts))
    offset = HISTORY - len(runs)
    bars = tuple(_chart_bar(run, offset + i, top) for i, run in enumerate(runs))
    failed = sum(run.outcome == "FAILED" for run in runs)
    caption = f"{counted(len(runs), 'run')}"
    caption += f", {failed} failed" if failed else ""
    caption += f"; the first copied {amounts[0]:,}" if is_broken else ""
    label = f"Points of the last {counted(len(runs), 'run')}: {min(amounts):,} to {max(amounts):,}, "
    label += f"the last one {amounts[-1]:,}; {failed or 'none'} failed"
    scale = counted(top, "point") if any(amounts) else "no points"
    return Chart(bars, HISTORY * PITCH, HEIGHT, label, caption, scale)


def _chart_bar(run: RunRecord, place: int, top: int) -> ChartBar:
    failed = run.outcome == "FAILED"
    amount = run.amounts.points
    height = max(LEAST, (HEIGHT - CROSS) * min(1.0, amount / top)) if amount else NOTHING
    y = HEIGHT - height
    return ChartBar(
        x=round(place * PITCH, 2),
        y=round(y, 2),
        height=round(height, 2),
        tone="bad" if failed else "quiet",
        title=f"{exactly(run.started)}: {counted(amount, 'point')} in {took(run.seconds)}, {run.outcome}",
        cross=round(y - CROSS / 2, 2) if failed else 0.0,
        notch=round(y + 5, 2) if amount > top else 0.0,
    )


# ---------------------------------------------------------------- the last days

DAY_PITCH, DAY_WIDTH, STRIP_HEIGHT = 4.0, 3.0, 24.0

SHAPES: Mapping[DayWord, tuple[str, tuple[tuple[float, float], ...]]] = {
    "good": ("good", ((2.0, 22.0),)),
    "warned": ("wait", ((12.0, 12.0),)),
    "partly failed": ("bad", ((0.0, 9.0),)),
    "failed": ("bad", ((0.0, 9.0), (15.0, 9.0))),
    "no run": ("quiet", ((22.5, 1.5),)),
}
"""The colour of a day, and from where its parts go how far down: no two are alike without their colours."""


@dataclass(frozen=True, slots=True)
class DayBar:
    """A day in the strip."""

    path: str
    narrow: str
    """The same without a gap to the next, for where there is little room."""
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The last days: as bars, or all that look alike as one path."""

    bars: tuple[DayBar, ...]
    paths: tuple[tuple[str, str], ...]
    """A colour, and what to draw in it."""
    label: str
    caption: str
    short: str
    width: float = KEPT * DAY_PITCH
    height: float = STRIP_HEIGHT


def heartbeat(days: Days, today: date) -> Strip:
    """How the last days went."""
    shown = strip(days, today)
    bars = tuple(_day_bar(place, day, word) for place, (day, word) in enumerate(shown))
    tones = dict.fromkeys(bar.tone for bar in bars)
    paths = tuple((tone, "".join(bar.narrow for bar in bars if bar.tone == tone)) for tone in tones)
    good, ran = good_days(days)
    words = [word for _, word in shown]
    kinds: tuple[DayWord, ...] = ("failed", "partly failed", "warned")
    others = ", ".join(f"{words.count(word)} {word}" for word in kinds if word in words)
    share = f"{good * 100 // ran} % of {counted(ran, 'day')} good" if ran else "no day with a run yet"
    label = f"The last {KEPT} days: {share}" + (f"; {others}" if others else "")
    return Strip(bars, paths, label, share, f"{good * 100 // ran} % good" if ran else "no run yet")


def _day_bar(place: int, day: date, word: DayWord) -> DayBar:
    path, narrow = (_day_path(place, word, width) for width in (DAY_WIDTH, DAY_PITCH))
    return DayBar(path, narrow, SHAPES[word][0], f"{day.isoformat()}: {word}")


@cache
def _day_path(place: int, word: DayWord, width: float) -> str:
    """There are few of them, and five hundred jobs have ninety days each."""
    x = place * DAY_PITCH
    return "".join(f"M{x:g} {y:g}h{width:g}v{height:g}h-{width:g}z" for y, height in SHAPES[word][1])
