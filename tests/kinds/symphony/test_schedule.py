"""A schedule is one instant, whichever form it has and wherever it is read."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import zoneinfo
from importlib import resources

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.core.problem import Finding
from reconciler.kinds.symphony import schedule
from reconciler.kinds.symphony.generations import ScheduleShape

AT = ("spec", "schedule")


def read(value: str | ScheduleShape | None) -> tuple[str, str]:
    """The text and the instant, or nothing and what is wrong."""
    findings: list[Finding] = []
    found = schedule.read(value, AT, findings)
    assert (found is None) == any(finding.severity == "error" for finding in findings) or value in (None, "")
    if found is None:
        return "", "; ".join(finding.message for finding in findings)
    return found.text, dt.datetime.fromtimestamp(found.at, dt.UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "canonical", "instant"),
    [
        ("2030-01-31T08:00:00Z", "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31t08:00:00z", "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31T08:00:00+05:30", "2030-01-31T02:30:00Z", "2030-01-31T02:30:00+00:00"),
        ("2030-01-01T00:30:00+01:00", "2029-12-31T23:30:00Z", "2029-12-31T23:30:00+00:00"),
        ("2030-01-31T08:00:00-00:00", "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31T08:00:00.250Z", "2030-01-31T08:00:00.250000Z", "2030-01-31T08:00:00.250000+00:00"),
        ("2028-02-29T23:59:59-23:59", "2028-03-01T23:58:59Z", "2028-03-01T23:58:59+00:00"),
    ],
)
def test_text_with_an_offset(text: str, canonical: str, instant: str) -> None:
    assert read(text) == (canonical, instant)


@pytest.mark.parametrize(
    ("date", "time", "zone", "canonical", "instant"),
    [
        ("2030-01-31", "8:00:00AM", None, "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31", "08:00:00AM", "", "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31", "8:00:00AM", "LOCAL", "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31", "8:00:00AM", "UTC", "2030-01-31T08:00:00Z", "2030-01-31T08:00:00+00:00"),
        ("2030-01-31", "12:00:00AM", "UTC", "2030-01-31T00:00:00Z", "2030-01-31T00:00:00+00:00"),
        ("2030-01-31", "12:00:00PM", "UTC", "2030-01-31T12:00:00Z", "2030-01-31T12:00:00+00:00"),
        ("2030-01-31", "11:59:59PM", "UTC", "2030-01-31T23:59:59Z", "2030-01-31T23:59:59+00:00"),
        ("2030-01-31", "8:00:00AM", "Europe/Berlin", "2030-01-31T08:00:00 Europe/Berlin", "2030-01-31T07:00:00+00:00"),
        ("2030-07-31", "8:00:00AM", "Europe/Berlin", "2030-07-31T08:00:00 Europe/Berlin", "2030-07-31T06:00:00+00:00"),
        # An abbreviation is its zone, whatever the clocks there say on that day.
        ("2030-07-31", "8:00:00AM", "PST", "2030-07-31T08:00:00 America/Los_Angeles", "2030-07-31T15:00:00+00:00"),
        ("2030-01-31", "8:00:00AM", "PDT", "2030-01-31T08:00:00 America/Los_Angeles", "2030-01-31T16:00:00+00:00"),
        ("2030-07-31", "8:00:00AM", "MST", "2030-07-31T08:00:00 America/Denver", "2030-07-31T14:00:00+00:00"),
        ("2030-07-31", "8:00:00AM", "CST", "2030-07-31T08:00:00 America/Chicago", "2030-07-31T13:00:00+00:00"),
        ("2030-07-31", "8:00:00AM", "EST", "2030-07-31T08:00:00 America/New_York", "2030-07-31T12:00:00+00:00"),
        ("2030-01-31", "8:00:00AM", "EDT", "2030-01-31T08:00:00 America/New_York", "2030-01-31T13:00:00+00:00"),
        # Where clocks go forward, 2:30 is read on the clock before; where they go back, 1:30 is the first of the two.
        ("2030-03-10", "2:30:00AM", "EST", "2030-03-10T02:30:00 America/New_York", "2030-03-10T07:30:00+00:00"),
        ("2030-03-10", "3:00:00AM", "EST", "2030-03-10T03:00:00 America/New_York", "2030-03-10T07:00:00+00:00"),
        ("2030-11-03", "1:30:00AM", "EST", "2030-11-03T01:30:00 America/New_York", "2030-11-03T05:30:00+00:00"),
        ("2030-11-03", "2:00:00AM", "EST", "2030-11-03T02:00:00 America/New_York", "2030-11-03T07:00:00+00:00"),
        ("2011-12-30", "9:00:00AM", "Pacific/Apia", "2011-12-30T09:00:00 Pacific/Apia", "2011-12-30T19:00:00+00:00"),  # a whole day
    ],
)
def test_date_time_and_zone(date: str, time: str, zone: str | None, canonical: str, instant: str) -> None:
    assert read(ScheduleShape(date, time, zone)) == (canonical, instant)


def test_nothing_is_no_schedule() -> None:
    assert read(None) == read("") == ("", "")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (ScheduleShape(), "spec.schedule.date is missing, must be such as 2030-01-31; "
                          "spec.schedule.time is missing, must be on the 12-hour clock, such as 1:30:00PM"),
        (ScheduleShape("2030-1-31", "8:00AM", "Mars/Base"),
         'spec.schedule.date is "2030-1-31", must be such as 2030-01-31; '
         'spec.schedule.time is "8:00AM", must be on the 12-hour clock, such as 1:30:00PM; '
         'spec.schedule.zone is "Mars/Base", must be a zone such as Europe/Berlin, or PST, EST, UTC'),
        (ScheduleShape("2030-01-31", "0:00:00AM"), "spec.schedule is 2030-01-31 0:00:00AM, and there is no such time"),
        (ScheduleShape("2030-01-31", "8:60:00AM"), "spec.schedule is 2030-01-31 8:60:00AM, and there is no such time"),
        (ScheduleShape("9999-12-31", "8:00:00AM"), "spec.schedule is 9999-12-31 8:00:00AM, and there is no such time"),
        (ScheduleShape("२०३०-01-31", "8:00:00AM"), 'spec.schedule.date is "२०३०-01-31", must be such as 2030-01-31'),
        ("2030-01-31", 'spec.schedule is "2030-01-31", must be a time such as 2030-01-31T08:00:00+01:00'),
        ("2030-01-31T24:00:00Z", 'spec.schedule is "2030-01-31T24:00:00Z", and there is no such time'),
        ("2030-01-31T23:59:60Z", 'spec.schedule is "2030-01-31T23:59:60Z", and there is no such time'),
        ("2030-01-31T08:00:00Z\n", 'spec.schedule is "2030-01-31T08:00:00Z\\n", must be a time such as 2030-01-31T08:00:00+01:00'),
    ],
)  # fmt: skip
def test_what_is_no_schedule_says_why(value: str | ScheduleShape, message: str) -> None:
    assert read(value) == ("", message)


def clock(zone: str) -> zoneinfo.ZoneInfo:
    """As the package has it: the machine's may be of another year, and know another law."""
    with resources.files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file)


ZONES = st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia"])
MOMENTS = st.integers(86_400, 253_339_228_800).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=None))


@given(moment=MOMENTS, zone=ZONES)
def test_the_instant_shows_that_time_on_the_clocks_there(moment: dt.datetime, zone: str) -> None:
    """Or, where clocks skip that time, what they show as long after."""
    time = f"{moment.hour % 12 or 12}:{moment:%M:%S}{'PM' if moment.hour >= 12 else 'AM'}"
    findings: list[Finding] = []
    found = schedule.read(ScheduleShape(f"{moment.year:04}-{moment:%m-%d}", time, zone), AT, findings)
    assert found is not None
    there = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=found.at)
    shown = there.astimezone(clock(zone)).replace(tzinfo=None)
    assert shown == moment or (findings and "is skipped there" in findings[0].message and shown > moment)


@given(moment=MOMENTS, minutes=st.integers(-1439, 1439))
def test_what_is_told_is_read_again(moment: dt.datetime, minutes: int) -> None:
    sign = "-" if minutes < 0 else "+"
    text = f"{moment.isoformat()}{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    canonical, instant = read(text)
    assume(instant)
    assert dt.datetime.fromisoformat(instant) == dt.datetime.fromisoformat(text)
    assert read(canonical) == (canonical, instant)


@given(st.text(alphabet="0123456789-:TZ+.tz APM", max_size=30), st.text(max_size=12), st.text(max_size=12))
def test_any_text_is_answered(first: str, second: str, third: str) -> None:
    read(first)
    read(ScheduleShape(first, second, third))
    read(ScheduleShape("2030-01-31", "8:00:00AM", third))


def test_the_zone_of_the_machine_does_not_matter() -> None:
    """Neither where it is, nor which zones it knows."""
    code = (
        "from reconciler.kinds.symphony import schedule as s; from reconciler.kinds.symphony.generations import ScheduleShape as S;"
        "print([s.read(v, (), []).at for v in (S('2030-07-31', '8:00:00AM', 'LOCAL'), S('2030-07-31', '8:00:00AM', 'Europe/Berlin'))])"
    )
    told = [
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=True).stdout
        for env in ({"TZ": "Asia/Tokyo"}, {"TZ": "America/Denver", "PYTHONTZPATH": ""})
    ]
    assert told == ["[1911715200.0, 1911708000.0]\n"] * 2
