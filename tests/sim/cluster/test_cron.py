"""CronJobs and their schedules: against counting minute by minute, and in a cluster by the clock."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.cluster import cron

from .support import MERGE, START, Json, Machine

CRONJOBS = "/apis/batch/v1/namespaces/default/cronjobs"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
MINUTE, HOUR = 60.0, 3600.0


def _field(first: int, last: int) -> st.SearchStrategy[str]:
    numbers = st.integers(first, last)
    spans = st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.builds("{}/{}".format, st.one_of(st.just("*"), spans), st.integers(1, 7))
    return st.one_of(st.just("*"), st.lists(st.one_of(numbers.map(str), spans, steps), min_size=1, max_size=3).map(",".join))


SCHEDULES = st.builds("{} {} {} {} {}".format, _field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 6))


@given(SCHEDULES, st.integers(0, 365 * 24 * 60))
def test_the_next_time_is_the_first_minute_that_fits(text: str, start: int) -> None:
    schedule, after = cron.parse(text), START + start * MINUTE + 1
    found = cron.following(schedule, after)
    at = dt.datetime.fromtimestamp(int(after) // 60 * 60, dt.UTC)
    for _ in range(3000):
        at += dt.timedelta(minutes=1)
        if _fits(schedule, at):
            assert found == at.timestamp()
            return
    assert found is None or found > at.timestamp()


def _fits(schedule: cron.Schedule, at: dt.datetime) -> bool:
    days = (at.day in schedule.days, at.isoweekday() % 7 in schedule.weekdays)
    fits = any(days) if schedule.by_day and schedule.by_weekday else all(days)
    return fits and at.minute in schedule.minutes and at.hour in schedule.hours and at.month in schedule.months


@pytest.mark.parametrize(
    ("text", "zone", "after", "due"),
    [
        ("@hourly", "", "2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+00:00"),
        ("@weekly", "", "2026-01-01T00:00:00+00:00", "2026-01-04T00:00:00+00:00"),
        ("0 0 * feb mon", "", "2026-01-01T00:00:00+00:00", "2026-02-02T00:00:00+00:00"),
        ("0 0 29 2 *", "", "2026-01-01T00:00:00+00:00", "2028-02-29T00:00:00+00:00"),
        ("30 9 * * 1-5", "Europe/Berlin", "2026-07-03T10:00:00+02:00", "2026-07-06T09:30:00+02:00"),
        ("0 0 30 2 *", "", "2026-01-01T00:00:00+00:00", ""),
    ],
)
def test_schedules_as_people_write_them(text: str, zone: str, after: str, due: str) -> None:
    found = cron.following(cron.parse(text, zone), dt.datetime.fromisoformat(after).timestamp())
    assert found == (dt.datetime.fromisoformat(due).timestamp() if due else None)


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "* * 0 * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "@never"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        cron.parse(text)
    with pytest.raises(ValueError):
        cron.parse("* * * * *", "Nowhere/City")


def cron_job(schedule: str = "*/10 * * * *", **spec: object) -> Json:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]}
    template = {"metadata": {"labels": {"of": "cj"}}, "spec": {"template": {"spec": pod}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "cj"},
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
    }


def _names(machine: Machine) -> list[str]:
    return [job["metadata"]["name"] for job in machine.ok("GET", JOBS)["items"]]


def test_a_job_starts_when_it_is_due_and_old_ones_go() -> None:
    machine = Machine()
    machine.ok("POST", CRONJOBS, cron_job())
    machine.settle(HOUR)
    names = _names(machine)
    assert len(names) == 3, names  # the last three that succeeded
    assert names == [f"cj-{int(START + HOUR) // 600 * 10 - back}" for back in (20, 10, 0)]
    status = machine.ok("GET", f"{CRONJOBS}/cj")["status"]
    assert "active" not in status and status["lastSuccessfulTime"] > status["lastScheduleTime"]
    job = machine.ok("GET", f"{JOBS}/{names[0]}")
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob" and job["metadata"]["labels"] == {"of": "cj"}
    machine.ok("DELETE", f"{CRONJOBS}/cj")
    machine.settle(HOUR)
    assert _names(machine) == []


def test_a_suspended_one_starts_nothing_and_catches_up_once() -> None:
    machine = Machine()
    machine.ok("POST", CRONJOBS, cron_job(suspend=True))
    machine.settle(HOUR)
    assert _names(machine) == []
    machine.ok("PATCH", f"{CRONJOBS}/cj", {"spec": {"suspend": False}}, MERGE)
    machine.settle(MINUTE)
    assert len(_names(machine)) == 1


@pytest.mark.parametrize(("policy", "running"), [("Allow", 3), ("Forbid", 1), ("Replace", 1)])
def test_jobs_that_do_not_end_in_time(policy: str, running: int) -> None:
    machine = Machine()
    body = cron_job(concurrencyPolicy=policy)
    body["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"labels": {"fault": "not-ready"}}
    machine.ok("POST", CRONJOBS, body)
    machine.settle(30 * MINUTE)
    assert len(_names(machine)) == running
    assert len(machine.ok("GET", f"{CRONJOBS}/cj")["status"]["active"]) == running
