"""From where each field resumes, and what is too old to be asked for again. Pure."""

from collections.abc import Mapping

from basics.times import DAY, END_OF_TIME, MIN_TIME
from influx.influxql import Tags
from settings.keys import IncrementalOptions


def fallback_since(times: IncrementalOptions, now: int) -> int | None:
    """From when on a run at `now` copies a measurement that is empty at the destination, if the job says so.

    What is newer than that every run wants, since those before it began further back; of what is older, only what
    is newer than the first point at the destination.
    """
    return None if times.fallback_days is None else now - int(times.fallback_days * DAY)


def is_obsolete(copied: int | None, newest: int | None, threshold: int, now: int) -> bool:
    """Whether the newest copied value is older than the threshold and the source has nothing newer."""
    if copied is None or copied >= now - threshold:
        return False
    return newest is None or newest <= copied


def filter_obsolete_fields(
    copied: Mapping[str, int | None], newest: Mapping[str, int | None], threshold: int, now: int
) -> tuple[str, ...]:
    """The fields that are still worth a query."""
    return tuple(f for f in copied if not is_obsolete(copied[f], newest.get(f), threshold, now))


def resume_points(
    copied: Mapping[str, int | None], first: Mapping[str, int | None], fallback: int | None
) -> dict[str, int]:
    """Where each field begins: at its newest copied value, else at its first one in the source.

    `fallback` replaces the first one while nothing of the measurement has been copied. A field without any
    value is left out.
    """
    is_empty = all(time is None for time in copied.values())
    starts = {}
    for name, watermark in copied.items():
        start = watermark if watermark is not None else first.get(name)
        if is_empty and fallback is not None and start is not None:
            start = max(start, fallback)
        if start is not None:
            starts[name] = start
    return starts


def hidden_since(source: Mapping[Tags, int], destination: Mapping[Tags, int]) -> int:
    """The oldest of the newest times at the destination of those series that have newer points at the source.

    A series that the destination lacks may have points of any age.
    """
    behind = [destination.get(tags, MIN_TIME) for tags, newest in source.items()
              if newest > destination.get(tags, MIN_TIME)]  # fmt: skip
    return min(behind, default=END_OF_TIME)
