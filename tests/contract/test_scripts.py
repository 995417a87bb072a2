"""The embedded API server answers as a real one does: every script, field by field."""

from __future__ import annotations

import os

import pytest

from .run import differences, install, prepare, told
from .script import Script, scripts
from .servers import Embedded, Real, now

pytestmark = pytest.mark.real

SCRIPTS = scripts()


@pytest.mark.parametrize("number", range(len(SCRIPTS)), ids=[f"{each.file}: {each.name}" for each in SCRIPTS])
def test_both_servers_answer_alike(number: int, request: pytest.FixtureRequest) -> None:
    script: Script = SCRIPTS[number]
    real: Real = request.getfixturevalue("busy_server" if script.controllers else "quiet_server")
    namespace = f"script-{number}-{os.getpid()}"
    embedded = Embedded(now(), controllers=script.controllers)
    install(embedded)
    prepare(real, namespace)
    prepare(embedded, namespace)
    found = differences(script, real, embedded, namespace)
    assert not found, "\n" + told(found)


def test_there_are_enough_scripts_and_none_twice() -> None:
    names = [(each.file, each.name) for each in SCRIPTS]
    assert len(set(names)) == len(names) >= 60
