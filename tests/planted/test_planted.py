"""The list of planted bugs can be planted, the runner tells a catch from a survivor, and (--deep) the suites catch what they must."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.planted.__main__ import main, summary
from tests.planted.bugs import BREAKS, CATEGORIES, ROOT, Bug, BugError, read_bugs
from tests.planted.runner import SHARE_WANTED, meet_all
from tests.planted.suites import Suite

BUGS = read_bugs().bugs
WIRE = Suite("unit", ("tests/core/test_wire.py",))
HARMLESS = Bug(
    name="harmless",
    file="reconciler/core/wire.py",
    text="PENDING_LIMIT = 100_000",
    becomes="PENDING_LIMIT = 100_001",
    wrong="nothing",
    breaks="law 9",
    category="leak",
)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_can_be_planted_and_says_what_is_wrong(bug: Bug) -> None:
    bug.planted((ROOT / bug.file).read_text(encoding="utf-8"))
    assert BREAKS.fullmatch(bug.breaks) and bug.category in CATEGORIES and bug.wrong
    assert (ROOT / bug.hint).is_file()


def test_the_list_is_long_and_names_each_bug_once() -> None:
    assert len(BUGS) >= 50 and len({bug.name for bug in BUGS}) == len(BUGS)
    assert {bug.category for bug in BUGS} == {*CATEGORIES}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"text": "no such text"}, "occurs 0 times"),
        ({"text": "self"}, "times in"),
        ({"becomes": "PENDING_LIMIT = ("}, "does not compile"),
        ({"becomes": "PENDING_LIMIT = 100_000  # as many"}, "nothing is changed"),
    ],
)
def test_what_cannot_be_planted_is_told_by_name(changes: dict[str, str], word: str) -> None:
    bug = msgspec.structs.replace(HARMLESS, **changes)
    with pytest.raises(BugError, match=f"harmless: .*{word}"):
        bug.planted((ROOT / bug.file).read_text(encoding="utf-8"))


def test_two_are_planted_and_caught_and_what_is_none_survives() -> None:
    """End to end, on one quick file of tests; the tree itself stays as it was."""
    wire = ROOT / "reconciler/core/wire.py"
    before = wire.read_text(encoding="utf-8")
    found = [bug for bug in BUGS if bug.file == "reconciler/core/wire.py"][:2]
    heard: list[str] = []
    result = meet_all((*found, HARMLESS), (WIRE,), tell=lambda outcome: heard.append(outcome.bug))
    assert [outcome.caught for outcome in result.outcomes] == [True, True, False]
    assert heard == [outcome.bug for outcome in result.outcomes] == [found[0].name, found[1].name, "harmless"]
    assert result.outcomes[0].test.startswith("tests/core/test_wire.py::test_") and result.by_suite["unit"] == 2
    told = summary(result)
    assert "2 of 3 caught (66.7%" in told and "survives  harmless (law 9): nothing" in told
    assert wire.read_text(encoding="utf-8") == before


def test_tests_that_cannot_be_collected_catch_nothing() -> None:
    broken = msgspec.structs.replace(HARMLESS, name="broken", becomes='PENDING_LIMIT = int("many")')
    result = meet_all((broken,), (WIRE,))
    assert result.survivors and "pytest ended with" in result.outcomes[0].test


def test_a_suite_that_fails_by_itself_is_no_judge(tmp_path: Path) -> None:
    for path in (HARMLESS.file, "tests/core/test_wire.py"):
        (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / HARMLESS.file).write_text(HARMLESS.text)
    (tmp_path / "tests/core/test_wire.py").write_text("def test_nothing() -> None:\n    raise ValueError\n")
    with pytest.raises(BugError, match="suite unit fails without any bug"):
        meet_all((HARMLESS,), (WIRE,), root=tmp_path)


def test_a_name_that_no_bug_has_is_told() -> None:
    done = CliRunner().invoke(main, ["no such bug"])
    assert done.exit_code == 1 and "no bug is called 'no such bug'" in done.output


def test_a_suite_names_each_path_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "test_a.py").touch()
    suite = Suite("s", ("here", "gone"), ("-m", "quick"))
    first, every = suite.commands(tmp_path, "here/test_a.py other/test_b.py")
    assert first[-1] == "here/test_a.py" and every[-3:] == ["-m", "quick", "here"]
    assert Suite("s", ("gone",)).there(tmp_path) == ()


@pytest.mark.deep
@pytest.mark.timeout(6 * 3600)
def test_the_suites_catch_what_was_planted(capsys: pytest.CaptureFixture[str]) -> None:
    result = meet_all(BUGS, jobs=2)
    with capsys.disabled():
        print(summary(result))
    assert result.share >= SHARE_WANTED, summary(result)
