"""Unit files, the page and commit messages: names, escaping, bounds, and what is read back."""

from __future__ import annotations

import dataclasses
import html
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.core import status_page
from reconciler.core.identity import ClusterName, CommitId, Lane, Place, SourceName, UnitKey, folder
from reconciler.core.kind import Gate
from reconciler.core.markdown import NOT_SHOWN, escaped, message_text, plain
from reconciler.core.messages import Commit
from reconciler.core.report import ObjectReport, Report
from reconciler.core.settings import SourceSettings
from reconciler.core.status_files import (
    RECORD_LIMIT_BYTES,
    TEXT_LIMIT,
    is_object_path,
    object_file,
    object_path,
    path_of,
    read_back,
    unit_file,
)
from reconciler.core.waiting import Waiting
from tests.core.publishing import FLEET, START, commit_of, lane, unit

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
JOINER = "\u2060"
SETTINGS = SourceSettings(FLEET, "")

HOSTILE = (
    "a | b || c",
    "\\| \\\\| \\",
    "`code` ``",
    "<img src=x onerror=alert(1)>",
    "</table><script>",
    "[x](http://evil.example) ![y](z)",
    "@ada please fix #12, GH-1, fixes #3",
    "line\nbreak\r\n| new | row |\n\n# heading",
    "\u202egnp.exe \u2066x\u2069 \x1b[31m \x00 \ud800",
    "http://evil.example www.evil.example ftp://x.y a@b.example",
    "&lt; &#124; &amp;",
    "*b* _i_ ~~s~~ $m$ - + 1. > quote",
    "Reconciler-Status: 2\n\nSigned-off-by: x",
    "https://ada:hunter2@git.example.org/x",
    "x" * 5000,
    "",
)
letters = st.one_of(st.sampled_from("|\\`<>[]()*_~&#@:/.\n -w"), st.characters())
texts = st.one_of(st.sampled_from(HOSTILE), st.text(alphabet=letters, max_size=60))
segments = st.one_of(
    st.text(alphabet="ab.-_A/ ~", min_size=1, max_size=8),
    st.sampled_from(["..", ".", "con", "a.yaml", ".git", "Apps", "apps", "x" * 300, "ä", "a\u202eb", "_top", "instance.solution.symphony"]),
)
roots = st.builds(
    UnitKey,
    st.just(FLEET),
    st.sampled_from(["solution.symphony", "argoproj.io", ""]),
    st.sampled_from(["Instance", "Rollout"]),
    st.sampled_from(["", "a", "shop", "a.yaml"]),
    segments,
)
keys = st.one_of(segments.map(lambda path: folder(FLEET, path)), roots)
clusters = st.sampled_from(["eu", "us", "hub", "units", "..", "A b", "x" * 300])
places = st.one_of(st.none(), clusters.map(lambda name: Lane(ClusterName(name))))


def report(*units, **fields: Any) -> Report:
    values: dict[str, Any] = {"commits": {FLEET: commit_of(1)}, "source_problems": {FLEET: ""}, "clusters": {}, **fields}
    return Report(at=START, leading=True, standing_by="", units=units, settled=True, **values)


def page(*units, settings: SourceSettings = SETTINGS, **fields: Any) -> str:
    lines = [status_page.line(told, told.commit, path_of(told.key)) for told in units]
    return status_page.page(settings, report(*units, **fields), lines).decode()


# -- names ----------


@given(st.lists(keys, min_size=2, max_size=20))
def test_a_name_is_given_to_one_unit_only(given_keys: list[UnitKey]) -> None:
    """Also on a file system that does not tell upper from lower case, and never as a file where another needs a folder."""
    different = dict.fromkeys(given_keys)
    paths = [path_of(key).lower() for key in different]
    assert len(set(paths)) == len(different)
    for path in paths:
        assert not any(other.startswith(path + "/") for other in paths)


def test_folders_that_look_like_others_have_names_of_their_own() -> None:
    root = UnitKey(FLEET, "argoproj.io", "Rollout", "", "cart")
    assert path_of(folder(FLEET, "rollout.argoproj.io/cart")).lower() != path_of(root).lower()
    assert not path_of(folder(FLEET, "apps/a.yaml/b")).startswith(path_of(folder(FLEET, "apps/a")) + "/")


@given(keys)
def test_a_name_never_leads_elsewhere(key: UnitKey) -> None:
    path = path_of(key)
    parts = path.split("/")
    assert path.startswith("status/units/") and path.endswith(".yaml") and path.isascii() and path.isprintable() and len(path) < 220
    assert not any(part in ("", ".", "..") or part.startswith(".") or part.endswith((".", " ")) or " " in part for part in parts)
    assert path == path_of(key)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (folder(FLEET, "apps/shop"), "apps/shop.yaml"),
        (folder(FLEET, "."), "_top.yaml"),
        (UnitKey(FLEET, "solution.symphony", "Instance", "", "checkout"), "Instance.solution.symphony/checkout.yaml"),
        (UnitKey(FLEET, "argoproj.io", "Rollout", "shop", "cart"), "Rollout.argoproj.io/shop/cart.yaml"),
    ],
)
def test_a_usual_name_reads_as_it_is(key: UnitKey, path: str) -> None:
    assert path_of(key) == f"status/units/{path}"


@given(st.lists(roots, min_size=2, max_size=20), places)
def test_an_object_has_a_file_of_its_own_inside_its_folder(given_keys: list[UnitKey], where: Lane | None) -> None:
    different = dict.fromkeys(given_keys)
    paths = [object_path(key, where) for key in different]
    assert len({path.lower() for path in paths}) == len(different)
    units = [path_of(key).lower() for key in different]
    for key, path in zip(different, paths, strict=True):
        parts = path.split("/")
        assert path.startswith("status/") and path.isascii() and path.isprintable() and len(path) < 400
        assert not any(part in ("", ".", "..") or part.startswith(".") or part.endswith((".", " ")) or " " in part for part in parts)
        assert not any(other.startswith(path.lower() + "/") for other in [*map(str.lower, paths), *units]) and path.lower() not in units
        assert is_object_path(path, key) == (not path.startswith("status/units/"))


@pytest.mark.parametrize(
    ("key", "lane", "path"),
    [
        (UnitKey(FLEET, "solution.symphony", "Instance", "", "checkout"), "eu", "status/eu/solution.symphony/Instance/checkout.yaml"),
        (UnitKey(FLEET, "argoproj.io", "Rollout", "shop", "cart"), None, "status/hub/argoproj.io/Rollout/shop/cart.yaml"),
    ],
)
def test_a_usual_object_has_the_path_of_its_names(key: UnitKey, lane: str | None, path: str) -> None:
    assert object_path(key, Lane(ClusterName(lane)) if lane else None) == path
    assert is_object_path(path) and is_object_path(path, key) and not is_object_path(path_of(key))
    assert not is_object_path(path, key._replace(name="other"))


def test_an_object_file_is_read_as_it_was_and_holds_no_secret_and_no_more_than_its_limit() -> None:
    body = {
        "apiVersion": "solution.symphony/v1",
        "kind": "Instance",
        "metadata": {"name": "x", "annotations": {"b": "on", "a": "1\n2"}},
        "spec": {"a": [{"kind": "Secret", "data": {"token": "sw0rdfish"}, "stringData": {"x": "sw0rdfish"}}], "n": 1.5},
        "status": {"much": "r" * (RECORD_LIMIT_BYTES + 1)},
    }
    content = object_file(body)
    assert b"sw0rdfish" not in content and len(content) < 1_000 and content == object_file(body)
    found = yaml.safe_load(content)
    assert found["metadata"] == body["metadata"] and found["spec"]["n"] == 1.5 and found["status"].startswith("not shown: ")


# -- text ----------


def cells(text: str) -> list[list[str]]:
    """The text of each cell of the table in `text`, by a real Markdown parser; anything but text in a cell fails."""
    rows: list[list[str]] = []
    tokens: list[Token] = MARKDOWN.parse(text)
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("td_open", "th_open"):
            inside = tokens[at + 1].children or []
            assert {child.type for child in inside} <= {"text", "text_special"}, inside
            rows[-1].append("".join(child.content for child in inside))
    assert sum(token.type == "table_open" for token in tokens) == 1 and not any(token.type.startswith("html") for token in tokens)
    return rows


@given(st.lists(texts, min_size=1, max_size=5))
def test_no_text_breaks_a_table(said: list[str]) -> None:
    head = "| a | b |\n| --- | --- |\n"
    rows = cells(head + "".join(f"| {escaped(text, 100)} | end |\n" for text in said))
    shown = [[plain(text, 100), "end"] for text in said]
    assert [[cell.replace(JOINER, "") for cell in row] for row in rows[1:]] == [[text.replace(JOINER, "") for text in row] for row in shown]


@given(texts)
def test_shown_text_neither_links_nor_mentions(text: str) -> None:
    rendered = MARKDOWN.render(f"x {escaped(text, 200)}").removeprefix("<p>").removesuffix("</p>\n")
    assert "<" not in rendered and not re.search(f"://|www\\.|[@#](?!{JOINER})", html.unescape(rendered), re.IGNORECASE)


@given(texts, st.integers(1, 50))
def test_text_is_one_short_printable_line(text: str, limit: int) -> None:
    for made in (plain(text, limit), message_text(text, limit)):
        assert len(made) <= limit and made.isprintable()
    assert not any(char in message_text(text, limit) for char in "@#[]<>\n`")


def test_credentials_are_masked() -> None:
    assert plain("cannot read https://ada:hunter2@git.example.org/x", 100) == "cannot read https://***@git.example.org/x"
    assert NOT_SHOWN in plain("a\u202eb", 10)


# -- unit files ----------

keys_of_records = texts.filter(lambda text: len(text) < 100 and text == _bmp(text))
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys_of_records, inner, max_size=3),
    max_leaves=12,
)


def test_a_record_reads_the_same_in_whatever_order_its_keys_came() -> None:
    """Read back from the store it has another order: no reason to push."""
    key = UnitKey(SourceName("fleet"), "g", "K", "", "a")
    one, other = {"step": 1, "since": {"a": 1, "b": 2}}, {"since": {"b": 2, "a": 1}, "step": 1}
    texts = [unit_file(dataclasses.replace(unit(key=key), record=record), commit_of(1)) for record in (one, other)]
    assert texts[0] == texts[1]


@given(st.dictionaries(keys_of_records, json_values, max_size=4))
def test_any_record_is_yaml_that_reads_back(record: dict[str, Any]) -> None:
    key = UnitKey(FLEET, "solution.symphony", "Instance", "", "a")
    content = unit_file(dataclasses.replace(unit(key=key), record=record), commit_of(1))
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        found = yaml.load(content, loader)
        assert found["name"] == "a" and (not record or _same(found["record"], record))


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return list(found) == sorted(wanted) and all(_same(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(_same(left, right) for left, right in zip(found, wanted, strict=True))
    return bool(found == (_bmp(wanted) if isinstance(wanted, str) else wanted))


def _bmp(text: str) -> str:
    return "".join("\ufffd" if 0xD800 <= ord(char) < 0xE000 else char for char in text)


@given(texts, texts, texts)
def test_what_is_written_is_read_back(name: str, subject: str, author: str) -> None:
    key = folder(SourceName("fleet"), name or ".")
    commit = Commit(CommitId("a" * 40), None, author, "", START, subject)
    found = read_back(unit_file(unit(key=key, state="Held", since=START + 0.7, message=subject), commit))
    if any(0xD800 <= ord(char) < 0xE000 or (ord(char) > 0xFFFF and not char.isprintable()) for char in name):
        return  # such a name is not told apart: its times begin anew
    assert found is not None and (found.key, found.state, found.since) == (key, "Held", START)
    assert found.commit == Commit(commit.id, None, plain(author, 100), "", 0.0, plain(subject, 200))


NEARLY_OURS = "source: fleet\nkind: Folder\nname: {0}\nstate: Held\nsince: {0}\ncommit: {0}\n"


@given(st.one_of(st.binary(max_size=200), texts.map(lambda text: NEARLY_OURS.format(text).encode("utf-8", "replace"))))
def test_reading_back_is_total(content: bytes) -> None:
    read_back(content)


@pytest.mark.parametrize("since", ["0000-00-00T00:00:00Z", "9999-99-99T00:00:00Z", "yesterday", '"\\ud800"', "2023-11-14"])
def test_a_time_that_is_none_is_not_taken(since: str) -> None:
    assert read_back(f"source: fleet\nkind: Folder\nname: a\nstate: Held\nsince: {since}\n".encode()) is None


def test_a_unit_file_says_everything() -> None:
    place = Place("apps/shop/web.yaml", 7, 9)
    gate = Gate("prune-eu-apps-shop", "sha256:" + "b" * 64, "delete 4 of 6 objects")
    unwell = ObjectReport("Deployment/web", "failed", "1 of 3 pods ready", place)
    told = unit(
        state="Failed",
        message="eu: Deployment/web is not well",
        waits_for="approval: merge branch reconciler/approve/prune-eu-apps-shop",
        lanes=(
            lane("eu", "Failed", "Deployment/web", healthy=5, unwell=(unwell,), left_alone=("Deployment/web: /spec/replicas",)),
            lane("us", "Waiting", "pruning", prune=Waiting(4, 6, "past the budget", gate)),
        ),
        problems=((place, "ports is a mapping, must be a list"),),
        gates=((gate, "us"),),
    )
    assert yaml.safe_load(unit_file(told, commit_of(1))) == {
        "source": "fleet",
        "kind": "Folder",
        "name": "apps/shop",
        "state": "Failed",
        "since": "2023-11-14T22:13:20Z",
        "commit": commit_of(1).id,
        "subject": "Shop 1.0",
        "author": "Ada",
        "message": "eu: Deployment/web is not well",
        "waitsFor": "approval: merge branch reconciler/approve/prune-eu-apps-shop",
        "clusters": [
            {
                "name": "eu",
                "state": "Failed",
                "objects": 6,
                "healthy": 5,
                "message": "Deployment/web",
                "unwell": [{"object": "Deployment/web", "standing": "failed", "message": "1 of 3 pods ready", "at": str(place)}],
                "leftAlone": ["Deployment/web: /spec/replicas"],
            },
            {
                "name": "us",
                "state": "Waiting",
                "objects": 6,
                "healthy": 6,
                "message": "pruning",
                "pruning": {"objects": 4, "of": 6, "reason": "past the budget"},
            },
        ],
        "problems": [{"at": str(place), "message": "ports is a mapping, must be a list"}],
        "gates": [{"name": gate.name, "cluster": "us", "revision": gate.revision, "message": gate.message}],
    }


def test_a_unit_file_is_bounded() -> None:
    key = UnitKey(FLEET, "solution.symphony", "Instance", "", "a")
    told = unit(
        key=key,
        message="m" * 10**6,
        lanes=tuple(lane(f"c{number}", message="m" * 10**5) for number in range(300)),
        problems=tuple((Place("a.yaml", number), "p" * 10**5) for number in range(300)),
        record={"kept": "r" * (RECORD_LIMIT_BYTES + 1)},
    )
    content = unit_file(told, commit_of(1))
    found = yaml.safe_load(content)
    assert len(content) < 300_000 and len(found["message"]) == TEXT_LIMIT
    assert found["moreClusters"] == 250 and found["moreProblems"] == 250 and found["record"].startswith("not shown: ")


def test_an_absurd_key_is_cut() -> None:
    content = unit_file(unit(key=UnitKey(FLEET, "g", "Instance", "", "a"), record={"\u202e" * 5000: 1}), None)
    assert list(yaml.safe_load(content)["record"]) == ["\u202e" * 100 + "…"]


def test_a_nested_record_ends_somewhere() -> None:
    record: dict[str, Any] = {}
    for _ in range(400):
        record = {"a": [record]}
    content = unit_file(unit(key=UnitKey(FLEET, "g", "Instance", "", "a"), record=record), None)
    assert b"not shown: nested too deep" in content


# -- the page ----------


def test_the_page_reads_like_the_status_command() -> None:
    gate = Gate("prune-lab-apps-many", "sha256:" + "c" * 64, "delete 40 of 60 objects of apps/many on lab")
    waits = unit(
        "apps/many",
        "Waiting",
        commit=commit_of(3),
        lanes=(lane("lab", "Waiting"),),
        gates=((gate, "lab"),),
        waits_for="approval: merge branch reconciler/approve/prune-lab-apps-many",
    )
    held = unit("apps/news", "Held", commit=commit_of(2), lanes=(lane("eu", "Held", "apps/news/cm.yaml:3:1: cannot be read"),))
    well = unit("apps/shop", commit=commit_of(1))
    text = page(waits, held, well, commits={FLEET: commit_of(3, "Many | more")}, clusters={ClusterName("us"): ("down", "no route")})
    assert text == (
        "# Status of fleet\n\n"
        f"main: `{commit_of(3).id[:7]}` Many &#124; more\n\n"
        "3 units: 1 Waiting, 1 Held, 1 Healthy\n\n"
        "## Waits for a person\n\n"
        "* **apps/many**: approval: merge branch reconciler/approve/prune-lab-apps-many\n"
        "  * delete 40 of 60 objects of apps/many on lab (revision `cccccccccccc`)\n\n"
        "## Clusters that do not answer\n\n* us: no route\n\n"
        "## Problems\n\n* apps/news/cm.yaml:3:1: cannot be read\n\n"
        "## Units\n\n"
        "| UNIT | CLUSTERS | STATE | SINCE | REVISION | WAITS FOR |\n| --- | --- | --- | --- | --- | --- |\n"
        f"| [apps/many](status/units/apps/many.yaml) | lab | Waiting | 2023-11-14T22:13:20Z | `{commit_of(3).id[:7]}`"
        " | approval: merge branch reconciler/approve/prune-lab-apps-many |\n"
        f"| [apps/news](status/units/apps/news.yaml) | eu | Held | 2023-11-14T22:13:20Z | `{commit_of(2).id[:7]}`"
        " | apps/news/cm.yaml:3:1: cannot be read |\n"
        f"| [apps/shop](status/units/apps/shop.yaml) | eu us | Healthy | 2023-11-14T22:13:20Z | `{commit_of(1).id[:7]}` |  |\n"
    )


@given(texts, texts, texts)
def test_no_text_from_elsewhere_changes_the_page(name: str, message: str, subject: str) -> None:
    gate = Gate(name or "g", message, message)
    told = [
        unit("quiet"),
        unit(name or "x", "Held", message=message, waits_for=message, gates=((gate, ""),), lanes=(lane(name, "Held", message),)),
        unit("other", "Failed", problems=((Place(name, 1, 1), message),)),
    ]
    text = page(
        *told,
        settings=SourceSettings(SourceName("fleet"), "", ref=f"refs/heads/{name}", path=name),
        commits={FLEET: commit_of(1, subject, message)},
        source_problems={FLEET: message},
        clusters={ClusterName(name): ("down", message)},
    )
    tokens: list[Token] = MARKDOWN.parse(text)
    assert [token.type for token in tokens].count("tr_open") == 4 and [token.type for token in tokens].count("td_open") == 18
    inside = [child for token in tokens for child in token.children or []]
    links = [str(child.attrs["href"]) for child in inside if child.type == "link_open"]
    assert links == [path_of(key.key) for key in (told[2], told[1], told[0])]
    assert not any(child.type in ("html_inline", "image", "em_open", "s_open", "softbreak") for child in inside)
    assert not any(token.type in ("html_block", "fence", "code_block", "blockquote_open", "hr") for token in tokens)
    titles = ("Status of fleet", "Waits for a person", "Clusters that do not answer", "Problems", "Units")
    assert all(tokens[at + 1].content in titles for at, token in enumerate(tokens) if token.type == "heading_open")


def test_the_page_is_bounded_and_says_what_it_leaves_out() -> None:
    gates = ((Gate("g", "r", "m" * 900), ""),)
    text = page(*(unit(f"apps/{'a' * 90}{number}", waits_for="w" * 900, gates=gates) for number in range(2000)))
    assert len(text.encode()) <= status_page.PAGE_LIMIT_BYTES
    assert "2000 units: 2000 Healthy" in text and text.endswith(" more\n") and "* … and " in text


def test_what_holds_a_folder_in_every_cluster_is_said_once() -> None:
    why = "a.yaml:1:1: key twice"
    text = page(unit(state="Held", message=why, lanes=(lane("eu", "Held", why), lane("us", "Held", why))))
    assert text.count(f"* {why}\n") == 1


def test_a_source_without_units_says_so() -> None:
    assert "No units.\n" in page() and "## " not in page()


# -- commit messages ----------


def test_a_commit_message_names_what_changed() -> None:
    one = status_page.changed(unit(lanes=(lane("eu"), lane("us"), lane("us"))))
    assert status_page.commit_message([one], commit_of(1)) == (
        f"apps/shop: Healthy on eu, us ({commit_of(1).id[:7]})\n\n"
        "Reconciler-Unit: apps/shop: Healthy on eu, us\n"
        f"Reconciler-Commit: {commit_of(1).id}\n"
        "Reconciler-Status: 1\n"
    )
    many = [status_page.changed(unit(f"a{number}", "Held" if number == 5 else "Healthy")) for number in range(11)]
    subject = status_page.commit_message([*many, status_page.gone(folder(FLEET, "b"))], commit_of(1)).splitlines()[0]
    assert subject == f"12 units: 1 Held, 10 Healthy, 1 gone ({commit_of(1).id[:7]})"


@given(st.lists(st.tuples(texts, texts), max_size=80))
def test_nothing_can_be_put_into_a_commit_message(named: list[tuple[str, str]]) -> None:
    changes = [status_page.changed(unit(name or "x", lanes=(lane(cluster),))) for name, cluster in named]
    lines = status_page.commit_message(changes, commit_of(1)).splitlines()
    assert lines[1] == "" and lines[-1] == "Reconciler-Status: 1" and len(lines) <= 2 + 50 + 3
    assert all(line.startswith("Reconciler-") for line in lines[2:]) and all(len(line) < 200 for line in lines)
    assert not any(char in "".join(lines) for char in "@#[]<>`")
