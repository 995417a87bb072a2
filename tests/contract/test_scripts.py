"""The embedded API server answers as a real one does: every script, field by field."""

from __future__ import annotations

import os

import pytest

from .run import Outcome, install, play, prepare, told
from .script import Script, scripts
from .servers import Embedded, Real, now

pytestmark = pytest.mark.real

SCRIPTS = scripts()
TRIALS = 5  # of a script during which the clock came to another second, where that may be why times differ


@pytest.mark.parametrize("number", range(len(SCRIPTS)), ids=[f"{each.file}: {each.name}" for each in SCRIPTS])
def test_both_servers_answer_alike(number: int, request: pytest.FixtureRequest) -> None:
    script: Script = SCRIPTS[number]
    real: Real = request.getfixturevalue("busy_server" if script.controllers else "quiet_server")
    for trial in range(TRIALS):
        outcome = _played(script, real, f"script-{number}-{trial}-{os.getpid()}")
        if not outcome.differences or not outcome.straddled:
            break
    assert not outcome.differences, "\n" + told(outcome.differences)


def _played(script: Script, real: Real, namespace: str) -> Outcome:
    embedded = Embedded(now(), controllers=script.controllers)
    install(embedded)
    prepare(real, namespace)
    prepare(embedded, namespace)
    return play(script, real, embedded, namespace)


def test_there_are_enough_scripts_and_none_twice() -> None:
    names = [(each.file, each.name) for each in SCRIPTS]
    assert len(set(names)) == len(names) >= 200
