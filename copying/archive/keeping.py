"""Which snapshots stay when an archive is pruned. Pure."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from basics.times import SECOND
from copying.archive import layout
from settings.keys import Keep

_PERIODS: tuple[tuple[str, Callable[[datetime], object]], ...] = (
    ("daily", lambda moment: moment.date()),
    ("weekly", lambda moment: moment.isocalendar()[:2]),
    ("monthly", lambda moment: (moment.year, moment.month)),
    ("yearly", lambda moment: moment.year),
)


def kept(names: Iterable[str], keep: Keep) -> dict[str, tuple[str, ...]]:
    """Name of each snapshot of one job that stays -> why, in words. The newest one always stays."""
    newest_first = sorted(names, reverse=True)
    reasons: dict[str, list[str]] = {name: ["newest"] for name in newest_first[:1]}
    for name in newest_first[: keep.last]:
        reasons.setdefault(name, []).append("last")
    for period, key in _PERIODS:
        for name in _newest_of_each(newest_first, key, getattr(keep, period)):
            reasons.setdefault(name, []).append(period)
    return {name: tuple(why) for name, why in reasons.items()}


def _newest_of_each(newest_first: Iterable[str], key: Callable[[datetime], object], most: int) -> list[str]:
    """The newest snapshot of each of the latest periods that have one."""
    found: dict[object, str] = {}
    for name in newest_first:
        moment = datetime.fromtimestamp(layout.snapshot_time(name) // SECOND, UTC)
        found.setdefault(key(moment), name)
    return list(found.values())[:most]
