"""Schedules of CronJobs: what their five fields mean, and when they are due.

Law of the module: pure; times are seconds since the Unix epoch, a zone is an argument. Fields, names, ranges, steps and @-words are those
of cron as kube-controller-manager reads it (robfig/cron v3); where day of month and day of week are both restricted, either suffices.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import NamedTuple

_WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# First and last value of a field, and the names of its values.
_FIELDS = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))
_YEARS_LIMIT = 5  # what is not due until then is never due (February 30th)


class Schedule(NamedTuple):
    """The values that each field allows; the flags say whether the day fields are restricted."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    by_day: bool
    by_weekday: bool
    zone: dt.tzinfo


def parse(text: str, zone: str = "") -> Schedule:
    """Read a schedule. Raises ValueError where it is none, or the zone is unknown."""
    try:
        where: dt.tzinfo = zoneinfo.ZoneInfo(zone) if zone else dt.UTC
    except (zoneinfo.ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"unknown time zone {zone}") from error
    fields = _WORDS.get(text.strip(), text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(fields)}")
    minutes, hours, days, months, weekdays = (_values(field, *form) for field, form in zip(fields, _FIELDS, strict=True))
    free = [field[0] in "*?" for field in fields]
    return Schedule(minutes, hours, days, months, weekdays, not free[2], not free[4], where)


def _values(field: str, first: int, last: int, names: tuple[str, ...]) -> frozenset[int]:
    found: dict[int, None] = {}
    for part in field.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        low = first if begin in ("*", "?") else _number(begin, first, names)
        high = last if begin in ("*", "?") or (slash and not dash) else low
        if dash:
            high = _number(end, first, names)
        width = int(step) if slash else 1
        if not first <= low <= high <= last or width < 1:
            raise ValueError(f"{part} is out of range")
        found.update(dict.fromkeys(range(low, high + 1, width)))
    return frozenset(found)


def _number(text: str, first: int, names: tuple[str, ...]) -> int:
    return names.index(text.lower()) + first if text.lower() in names else int(text)


def following(schedule: Schedule, after: float) -> float | None:
    """The first moment after another at which it is due; None where it never is."""
    at = dt.datetime.fromtimestamp(int(after) // 60 * 60, schedule.zone) + dt.timedelta(minutes=1)
    end = at.year + _YEARS_LIMIT
    while at.year <= end:
        if at.month not in schedule.months or not _is_day(schedule, at):
            at = at.replace(hour=0, minute=0) + dt.timedelta(days=1)
        elif at.hour not in schedule.hours:
            at = at.replace(minute=0) + dt.timedelta(hours=1)
        elif at.minute not in schedule.minutes:
            at += dt.timedelta(minutes=1)
        else:
            return at.timestamp()
    return None


def _is_day(schedule: Schedule, at: dt.datetime) -> bool:
    day, weekday = at.day in schedule.days, at.isoweekday() % 7 in schedule.weekdays
    return day or weekday if schedule.by_day and schedule.by_weekday else day and weekday
