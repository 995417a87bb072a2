"""Charts by a real helm from a real server; and by programs that are no helm at all."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters.helm import OUTPUT_LIMIT, Helm
from reconciler.core.messages import Chart, ChartFailure, ChartObjects, RenderChart
from tests.charts import ChartServer
from tests.waiting import until

Json = dict[str, Any]


def chart(repo: str, name: str = "web", version: str = "1.0.0", values: Json | None = None, secret: bool = False) -> Chart:
    return Chart(repo, name, version, "it", "shop", json.dumps(values or {}).encode(), secret)


def ask(helm: Helm, *charts: Chart, close: bool = True) -> list[ChartObjects | ChartFailure]:
    """Render charts one after the other."""

    async def asked() -> list[ChartObjects | ChartFailure]:
        try:
            return [(await helm.render(RenderChart(number, one))).answer for number, one in enumerate(charts)]
        finally:
            if close:
                await helm.close()

    return asyncio.run(asked())


def objects(answer: ChartObjects | ChartFailure) -> list[Json]:
    assert isinstance(answer, ChartObjects), answer
    found: list[Json] = json.loads(answer.json)
    return found


def why(answer: ChartObjects | ChartFailure) -> str:
    assert isinstance(answer, ChartFailure), answer
    return answer.message


@pytest.fixture
def server() -> Iterator[ChartServer]:
    with ChartServer() as serving:
        yield serving


@pytest.fixture
def real(helm: Path, tmp_path: Path) -> Helm:
    return Helm(helm, tmp_path / "helm")


@pytest.mark.real
def test_a_chart_is_rendered_with_its_values_its_definitions_and_its_hooks(real: Helm, server: ChartServer, tmp_path: Path) -> None:
    files = {
        "templates/a.yaml": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},'
        ' "data": {"all": "{{ .Release.Name }} {{ .Release.Namespace }} {{ .Values.x }}"}}',
        "templates/hook.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: pre-install}}\n",
        "templates/test.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\n",
        "templates/NOTES.txt": "do not read: {{ .Values.x }}",
        "crds/c.yaml": "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: c}\n",
    }
    server.publish("web", "1.0.0", files)
    (answer,) = ask(real, chart(server.url, values={"x": "é --set"}))
    made = objects(answer)
    assert [(one["kind"], one["metadata"]["name"]) for one in made] == [("CustomResourceDefinition", "c"), ("ConfigMap", "a"), ("Job", "h")]
    assert made[1]["data"] == {"all": "it shop é --set"}
    assert isinstance(answer, ChartObjects) and (answer.version, answer.varies) == ("1.0.0", False)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


@pytest.mark.real
def test_a_version_that_is_left_open_is_the_newest_and_an_exact_one_is_fetched_once(real: Helm, server: ChartServer) -> None:
    for version in ("1.0.0", "1.4.2", "2.0.0", "3.0.0-rc.1"):
        server.publish("web", version)
    asked = [chart(server.url, version=version) for version in ("", "^1.0", "1.4.2", "1.0.0", "1.0.0")]
    answers = ask(real, *asked)
    assert [objects(answer)[0]["data"]["version"] for answer in answers] == ["2.0.0", "1.4.2", "1.4.2", "1.0.0", "1.0.0"]
    assert [answer.version for answer in answers if isinstance(answer, ChartObjects)] == ["2.0.0", "1.4.2", "1.4.2", "1.0.0", "1.0.0"]
    assert [path for path in server.asked if path.endswith(".tgz")] == ["/web-2.0.0.tgz", "/web-1.4.2.tgz", "/web-1.0.0.tgz"]


@pytest.mark.real
def test_an_archive_has_an_address_of_its_own(real: Helm, server: ChartServer) -> None:
    server.publish("web", "1.0.0")
    url = f"{server.url}/web-1.0.0.tgz"
    first, second, third = ask(real, chart("", url, ""), chart("", url, "1.0.0"), chart("", url, "2.0.0"))
    assert objects(first) == objects(second)
    assert why(third) == "version 1.0.0 is there, not 2.0.0"


@pytest.mark.real
def test_what_helm_refuses_is_told_in_its_words_but_never_next_to_a_secret(real: Helm, server: ChartServer, tmp_path: Path) -> None:
    server.publish("broken", "1.0.0", {"templates/a.yaml": '{{ fail (printf "no %s today" .Values.x) }}'})
    server.publish("text", "1.0.0", {"templates/a.yaml": "a: b: {{ .Values.x }}"})
    values = {"x": "hunter2"}
    asked = [
        chart(server.url, "web"),
        chart("http://127.0.0.1:9", "web"),
        chart(server.url, "broken", "9.9.9"),
        chart(server.url, "broken", values=values),
        chart(server.url, "broken", values=values, secret=True),
        chart(server.url, "text", values=values),
        chart(server.url, "text", values=values, secret=True),
        chart(server.url, "none", values=values, secret=True),
    ]
    answers = ask(real, *asked)
    words = [why(answer) for answer in answers]
    assert words[0] == f'helm pull: chart "web" version "1.0.0" not found in {server.url} repository'
    assert words[1].startswith('helm pull: looks like "http://127.0.0.1:9" is not a valid chart repository or cannot be reached')
    assert words[2] == f'helm pull: chart "broken" version "9.9.9" not found in {server.url} repository'
    assert "no hunter2 today" in words[3] and str(tmp_path) not in words[3]
    assert words[5].startswith("helm template: YAML parse error on text/templates/a.yaml")
    assert words[4] == words[6] == "nothing that helm says is shown, since a value is secret"
    assert words[7] == f'helm pull: chart "none" version "1.0.0" not found in {server.url} repository'
    permanent = [answer.permanent for answer in answers if isinstance(answer, ChartFailure)]
    assert permanent == [False, False, False, True, True, True, True, False]


@pytest.mark.real
def test_what_comes_out_differently_each_time_is_told(real: Helm, server: ChartServer) -> None:
    server.publish("dice", "1.0.0", {"templates/a.yaml": "kind: Secret\ndata: {password: {{ randAlphaNum 20 | b64enc }}}"})
    (answer,) = ask(real, chart(server.url, "dice"))
    assert isinstance(answer, ChartObjects) and answer.varies


@pytest.mark.real
def test_a_chart_that_never_ends_is_ended(helm: Path, server: ChartServer, tmp_path: Path) -> None:
    """Helm has no limit of its own on what a server sends, or on what a template makes of nothing."""
    server.publish("endless", "1.0.0")
    server.endless = "/endless-1.0.0.tgz"
    nested = "{{- define `x` }}{{ range until 10000 }}{{ range until 10000 }}0123456789{{ end }}{{ end }}{{ end }}a: {{ include `x` . }}"
    server.publish("big", "1.0.0", {"templates/a.yaml": nested})
    server.publish("loop", "1.0.0", {"templates/a.yaml": "{{- define `x` }}{{ include `x` . }}{{ end }}{{ include `x` . }}"})
    limited = Helm(helm, tmp_path / "helm", memory_bytes=256 << 20)
    endless, big, loop = ask(limited, *(chart(server.url, name) for name in ("endless", "big", "loop")))
    assert why(endless) == "helm pull needs more than 256 MiB of memory"
    assert why(big) == "helm template needs more than 256 MiB of memory"
    assert "helm template: " in why(loop)


# -- programs that are no helm ----------

Make = Callable[[str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """An executable that speaks helm's command line as far as it is asked, and then does `body` in place of rendering."""

    def make(body: str) -> Path:
        file = tmp_path / "program"
        file.write_text(
            f"#!{sys.executable} -S\n"
            "import json, os, pathlib, subprocess, sys\n"
            "word, rest = sys.argv[1], sys.argv[2:]\n"
            "if word == 'pull':\n"
            "    into = next(one.partition('=')[2] for one in rest if one.startswith('--destination='))\n"
            "    pathlib.Path(into, 'web-1.0.0.tgz').touch()\n"
            "elif word == 'show':\n"
            "    print('version: 1.0.0')\n"
            f"else:\n{''.join(f'    {line}{chr(10)}' for line in body.splitlines())}"
        )
        file.chmod(0o755)
        return file

    return make


def test_a_program_knows_nothing_of_us(program: Make, tmp_path: Path) -> None:
    """No environment, no argument that holds a value, a folder of its own; plug-ins off."""
    assert "PYTEST_CURRENT_TEST" in os.environ
    told = "print(json.dumps({'env': dict(os.environ), 'argv': rest, 'cwd': os.getcwd(), 'given': sys.stdin.read()}))"
    (answer,) = ask(Helm(program(told), tmp_path / "helm"), chart("https://x", values={"password": "hunter2"}, secret=True))
    (about,) = objects(answer)
    home = about["cwd"]
    assert home.startswith(str(tmp_path / "helm"))
    about["env"].pop("LC_CTYPE", None)  # Python's own
    assert about["env"] == {
        "HELM_CACHE_HOME": f"{home}/cache",
        "HELM_CONFIG_HOME": f"{home}/config",
        "HELM_DATA_HOME": f"{home}/data",
        "HELM_NO_PLUGINS": "1",
        "HOME": home,
        "PATH": os.defpath,
        "TMPDIR": home,
    }
    assert about["argv"][:5] == ["--namespace=shop", "--values=-", "--include-crds", "--skip-tests", "--"]
    assert "hunter2" not in str(about["argv"]) and json.loads(about["given"]) == {"password": "hunter2"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: print('a: ' + 'b' * 1000000)", f"helm template prints more than {OUTPUT_LIMIT >> 20} MiB"),
        ("while True: print('x' * 1000000, file=sys.stderr)", "helm template: "),
        ("sys.exit(3)", "helm template: ended with 3, and said nothing"),
        ("print('Error: token https://me:hunter2@x', file=sys.stderr); sys.exit(1)", "helm template: token https://***@x"),
        ("print('a: [')", "what it renders is no YAML: line 2: did not find expected node content"),
        ("print('a: &x [1]\\nb: ' + '[' * 100000)", "what it renders is no YAML: line 2: "),
        ("print('a: 1' + '0' * 400)", "what it renders is no YAML: line 1: "),
        ("pathlib.Path('big').write_bytes(b'x' * (65 << 20))", "helm template: "),
        ("os.kill(os.getpid(), 9)", "helm template: ended with -9, and said nothing"),
    ],
)
def test_what_a_program_does_wrong_is_a_failure_in_words(program: Make, tmp_path: Path, body: str, said: str) -> None:
    (answer,) = ask(Helm(program(body), tmp_path / "helm"), chart("https://x"))
    assert why(answer).startswith(said)
    assert not (tmp_path / "helm").exists()


def test_who_hangs_is_ended_with_all_that_it_started(program: Make, tmp_path: Path) -> None:
    child = tmp_path / "child"
    body = f"print(subprocess.Popen(['sleep', '600']).pid, file=open({str(child)!r}, 'w'), flush=True)\nsys.stdin.read()\nwhile True: pass"
    (answer,) = ask(Helm(program(body), tmp_path / "helm", render_seconds=1.0), chart("https://x"))
    assert why(answer) == "helm template did not end within 1 s"
    state = Path("/proc") / child.read_text().strip() / "stat"
    until(lambda: not state.exists() or state.read_text().split()[2] == "Z", "the child is ended", 10)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    (answer,) = ask(Helm(tmp_path / "none", tmp_path / "helm"), chart("https://x"))
    assert why(answer) == "none cannot be run: No such file or directory"


def test_what_a_daemon_that_was_killed_left_goes(program: Make, tmp_path: Path) -> None:
    left = tmp_path / "helm" / "old"
    left.mkdir(parents=True)
    helm = Helm(program("print('a: 1')"), tmp_path / "helm")
    assert objects(ask(helm, chart("https://x"), close=False)[0]) == [{"a": 1}]
    assert not left.exists() and [one.name for one in (tmp_path / "helm").rglob("*.tgz")] == ["web-1.0.0.tgz"]
