"""When a cron schedule runs next, in its time zone."""

import datetime as dt
import functools
import itertools
import zoneinfo
from collections.abc import Iterator

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from settings.cron import CronExpression

_DAY, _HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)


def next_run(cron: CronExpression, timezone: str, now: dt.datetime) -> dt.datetime:
    """The first run after `now` (which has a time zone; a run at it is over), in the schedule's time zone.

    On the days when the clocks change:

    - A time that the clocks skip (02:30 in spring) comes as long after midnight as always: it reads 03:30.
      That is also what APScheduler makes of it. Where the schedule runs at that time anyway, it is one run.
    - A time that comes twice (02:30 in autumn) counts the first time. It counts the second time too if the
      schedule also runs an hour later: `*/15 * * * *` and `0 1-5 * * *` go on without a pause.

    Raises zoneinfo.ZoneInfoNotFoundError for an unknown time zone.
    """
    zone, now = zoneinfo.ZoneInfo(timezone), now.astimezone(dt.UTC)
    local = now.astimezone(zone).replace(tzinfo=dt.UTC)
    # Around a change of the clocks a later reading can come sooner, but by no more than the change.
    readings = _readings(_trigger(cron), local - _clock_change(zone, now))
    runs = (run for reading in readings for run in _moments(_trigger(cron), reading, zone) if run > now)
    first = next(runs)
    until = first + _clock_change(zone, first)
    return min(itertools.chain([first], itertools.takewhile(lambda run: run <= until, runs))).astimezone(zone)


@functools.lru_cache(maxsize=64)
def _trigger(cron: CronExpression) -> BaseTrigger:
    """What the expression says about readings of a clock, which it takes and gives as if they were UTC.

    APScheduler is not told the time zone: where the clocks change, its CronTrigger mixes readings and moments.
    `0 0 * * *` in Europe/Berlin would not run on the day after the change, and `0 0 1 * *` not on 1 April.
    """
    days = [(cron.day, "*"), ("*", cron.day_of_week)] if cron.either_day else [(cron.day, cron.day_of_week)]
    triggers = [
        CronTrigger(
            minute=cron.minute, hour=cron.hour, day=day, month=cron.month, day_of_week=weekday, timezone=dt.UTC
        )
        for day, weekday in days
    ]
    # Of `31 2 mon` only the Mondays come; looking for the other half takes a third of a second every time.
    since = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    return OrTrigger([trigger for trigger in triggers if trigger.get_next_fire_time(None, since)])


def _readings(trigger: BaseTrigger, after: dt.datetime) -> Iterator[dt.datetime]:
    """All readings of the clock at which the schedule runs, in order."""
    while True:
        after = trigger.get_next_fire_time(None, after + dt.datetime.resolution)
        yield after


def _moments(trigger: BaseTrigger, reading: dt.datetime, zone: zoneinfo.ZoneInfo) -> tuple[dt.datetime, ...]:
    """When the clock of the zone shows the reading and the schedule runs: once, or twice when it is set back."""
    first, second = (reading.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if second > first and trigger.get_next_fire_time(None, reading + _HOUR) == reading + _HOUR:
        return first, second
    return (first,)  # of a reading that is skipped, the one that counts on from before the change


def _clock_change(zone: zoneinfo.ZoneInfo, moment: dt.datetime) -> dt.timedelta:
    """By how much the clocks of the zone change within a day of the moment."""
    offsets = [(moment + days * _DAY).astimezone(zone).utcoffset() or dt.timedelta() for days in (-1, 0, 1)]
    return max(offsets) - min(offsets)
