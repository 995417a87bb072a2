"""When a schedule fires: both forms that a schedule may have, as one instant.

Law of the module: pure. A schedule is text as RFC 3339 has it, with an offset (G2), or `{date, time, zone}` on the 12-hour clock
(G1, symphony.md §8). Zones are those of the `tzdata` package, never the machine's, so that a schedule means the same on every
machine; eight American abbreviations stand for their zone whatever its clocks say that day, and LOCAL and no zone are UTC, as
upstream has it.

Where clocks are moved, a time may not be, or be twice. One that is skipped is read on the clock as it was before (2:30 of a night
without 2:30 is 3:30), one that is twice the first time; both are told as a warning with the instant that was taken.

`Schedule.text` is made of the words in Git and not of the instant: rules of a zone may change between two releases, and a schedule
that has fired must not be another one because of that.
"""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from reconciler.core.problem import Finding, Pointer, did_you_mean, field, shown

from .generations import ScheduleShape
from .model import Schedule

FIRST_YEAR, LAST_YEAR = 1970, 9998  # beyond them an offset may leave the calendar

ABBREVIATIONS: Mapping[str, str] = {
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "LOCAL": "UTC",
    "": "UTC",
}

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - all sums are of naive times, which are UTC
_TEXT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))?"
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2}):([0-9]{2})([AP]M)")


def read(value: str | ScheduleShape | None, at: Pointer, findings: list[Finding]) -> Schedule | None:
    """A schedule as a file says it; None where there is none, or where `findings` say why it is none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _of_text(value, at, findings)
    return _of_fields(value, at, findings)


def told(at: float) -> str:
    """An instant for people and for `Schedule.text`: RFC 3339 in UTC."""
    moment = _EPOCH + dt.timedelta(seconds=at)
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds") + "Z"


def _of_text(text: str, at: Pointer, findings: list[Finding]) -> Schedule | None:
    found = _TEXT.fullmatch(text)
    if found is None:
        findings.append(Finding(at, f"{field(at)} is {shown(text)}, must be a time such as 2030-01-31T08:00:00+01:00"))
        return None
    microsecond = int((found[7] or "").ljust(6, "0")[:6])
    moment = _moment(found.group(1, 2, 3), int(found[4]), int(found[5]), int(found[6]), microsecond)
    hours, minutes = int(found[10] or 0), int(found[11] or 0)
    if moment is None or hours > 23 or minutes > 59:
        findings.append(Finding(at, f"{field(at)} is {shown(text)}, and there is no such time"))
        return None
    if not found[8] and not found[9]:
        findings.append(Finding(at, f"{field(at)} is {shown(text)}, which is a time in no zone; add Z (UTC) or an offset such as +01:00"))
        return None
    offset = dt.timedelta(hours=hours, minutes=minutes) * (-1 if found[9] == "-" else 1)
    seconds = (moment - _EPOCH - offset).total_seconds()
    return Schedule(told(seconds), seconds, at)


def _of_fields(value: ScheduleShape, at: Pointer, findings: list[Finding]) -> Schedule | None:
    date = _matched(_DATE, value.date, (*at, "date"), "such as 2030-01-31", findings)
    time = _matched(_TIME, value.time, (*at, "time"), "on the 12-hour clock, such as 1:30:00PM", findings)
    zone, name = _zone(value.zone or "", (*at, "zone"), findings)
    if date is None or time is None or zone is None:
        return None
    hour = int(time[1]) % 12 + (12 if time[4] == "PM" else 0)
    local = _moment(date.group(1, 2, 3), hour, int(time[2]), int(time[3])) if 1 <= int(time[1]) <= 12 else None
    if local is None:
        findings.append(Finding(at, f"{field(at)} is {date[0]} {time[0]}, and there is no such time"))
        return None
    first, second = (_offset(zone, local, fold) for fold in (0, 1))
    seconds = (local - _EPOCH - first).total_seconds()
    if first != second:
        word = "is skipped there" if first < second else "is there twice"
        text = f"{field(at)} is {date[0]} {time[0]} in {name}, which {word}, since clocks are moved; taken as {told(seconds)}"
        findings.append(Finding(at, text, "warning"))
    return Schedule(told(seconds) if name == "UTC" else f"{local.isoformat()} {name}", seconds, at)


def _matched(pattern: re.Pattern[str], text: str | None, at: Pointer, must: str, findings: list[Finding]) -> re.Match[str] | None:
    found = pattern.fullmatch(text or "")
    if found is None:
        what = "is missing, must be" if text is None else f"is {shown(text)}, must be"
        findings.append(Finding(at if text is not None else at[:-1], f"{field(at)} {what} {must}"))
    return found


def _moment(date: tuple[str | Any, ...], hour: int, minute: int, second: int, microsecond: int = 0) -> dt.datetime | None:
    year, month, day = (int(part) for part in date)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return dt.datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001
    except ValueError:
        return None


def _offset(zone: zoneinfo.ZoneInfo, local: dt.datetime, fold: int) -> dt.timedelta:
    offset = local.replace(tzinfo=zone, fold=fold).utcoffset()
    assert offset is not None
    return offset


def _zone(name: str, at: Pointer, findings: list[Finding]) -> tuple[zoneinfo.ZoneInfo | None, str]:
    full = ABBREVIATIONS.get(name, name)
    if full in _names():
        return _load(full), full
    hint = did_you_mean(name, _names())
    findings.append(Finding(at, f"{field(at)} is {shown(name)}, must be a zone such as Europe/Berlin, or PST, EST, UTC{hint}"))
    return None, ""


@lru_cache(maxsize=1)
def _names() -> Mapping[str, None]:
    """All zones that there are: only these are ever opened, whatever a file says."""
    return dict.fromkeys(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=64)
def _load(name: str) -> zoneinfo.ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)
