"""Sessions with kubectl: the same commands against the embedded API server and a real control plane, answers compared.

Law of the module: a session is a YAML file under `sessions/`: `files` that it starts with, `deep` where the everyday run leaves it out,
and `steps`, a text with one command a line, without the word `kubectl`; in both $NAMESPACE is the namespace of the session. After `##`
stands what else is to be said of a command, as the inside of a YAML map:

* `editor`: a sed script that stands in for a person in `kubectl edit`;
* `code`: the exit code that both must end with (0);
* `until`: the command is repeated until its output matches this pattern: what is compared is a state, not the way to it;
* `show`: what is compared: `all`, `last` (line), `sorted` (lines), `fields` (names and types, of what `explain` prints), `none`;
* `drop`: lines that match this pattern are not compared; `why` must then say why they may differ.

What a server draws at random, and when things happened, is masked; lengths of blanks are not compared, as they follow from names.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.waiting import until_async

FOLDER = Path(__file__).parent / "sessions"
LIMIT_SECONDS = 60
_CHATTER = re.compile(r"[IWE] reflector\.go:")  # the client about its own watches: a matter of milliseconds
_HASH = "[bcdfghjklmnpqrstvwxz2456789]"
_MASKS = [
    (re.compile(pattern, re.MULTILINE), to)
    for pattern, to in (
        (r"https?://127\.0\.0\.1:\d+(/[\w-]+)?", "SERVER"),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
        (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
        (r"^([IWE])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ", r"\1 "),
        (r"(resourceVersion\W{1,7}|Resource Version: +)\d+\b\"?", r"\1VERSION"),
        (rf"(pod-template-hash\W+|controller-revision-hash\W+){_HASH}{{6,10}}\b", r"\1HASH"),
        (rf"-{_HASH}{{8,10}}(-{_HASH}{{5}})?\b", "-HASH"),
        (rf"\b(kube-api-access|j|cj|manual|s|gen|each|cj-\d+)-{_HASH}{{5}}\b", r"\1-HASH"),
        (r"(?<![\w.:=-])(\d+[smhd]){1,2}(?=\s|$)", "AGE"),
        (r"\bnode-[12]\b", "NODE"),
        (r"\b3[0-2]\d{3}(/TCP|/UDP|$)", r"PORT\1"),
    )
]


class Step(NamedTuple):
    """One command of a session."""

    run: str
    editor: str = ""
    code: int = 0
    until: str = ""
    show: str = "all"
    drop: str = ""
    why: str = ""


class Session(NamedTuple):
    """One session."""

    name: str
    files: dict[str, str]
    steps: list[Step]
    deep: bool  # not in the everyday run


class Side(NamedTuple):
    """One of the two servers, as kubectl reaches it; `folder` is where its commands run, `namespace` that of the session."""

    name: str
    kubectl: str
    folder: Path
    namespace: str


class Said(NamedTuple):
    """What a command answered."""

    code: int
    output: str


def read(path: Path) -> Session:
    """One session from its file."""
    document = yaml.safe_load(path.read_text())
    steps = [_step(line) for line in document["steps"].splitlines() if line and not line.startswith("#")]
    return Session(path.stem, document.get("files") or {}, steps, document.get("deep", False))


def sessions() -> list[Session]:
    """All of them."""
    return [read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _step(line: str) -> Step:
    run, _, more = line.partition("  ## ")
    step = Step(run.strip(), **yaml.safe_load(f"{{{more}}}"))
    assert bool(step.drop) == bool(step.why), line
    return step


async def play(session: Session, sides: list[Side]) -> list[str]:
    """Run a session on both sides, a step on both at the same time; returns what differs."""
    for side in sides:
        for name, text in session.files.items():
            file = side.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("$NAMESPACE", side.namespace))
    found: list[str] = []
    for number, step in enumerate(session.steps, 1):
        ours, real = await asyncio.gather(*(_said(side, step) for side in sides))
        head = f"{session.name} {number}: kubectl {step.run}"
        if ours.code != step.code or real.code != step.code:
            found.append(f"{head}\n  exit codes: ours {ours.code}, real {real.code}, wanted {step.code}")
        shown = [_shown(said.output, step) for said in (ours, real)]
        if shown[0] != shown[1] or ours.code != step.code or real.code != step.code:
            found.append(f"{head}\n{_difference(*shown)}")
    return found


async def _said(side: Side, step: Step) -> Said:
    if not step.until:
        return await _run(side, step)
    last = Said(-1, "")

    async def matches() -> bool:
        nonlocal last
        last = await _run(side, step)
        return re.search(step.until, last.output, re.MULTILINE) is not None

    try:
        await until_async(matches, f"{step.run} on {side.name}", LIMIT_SECONDS / 3)
    except TimeoutError:
        return Said(-2, f"{last.output}\nnever matched {step.until!r} on {side.name}")
    return last


async def _run(side: Side, step: Step) -> Said:
    words = shlex.split(step.run.replace("$NAMESPACE", side.namespace))
    environment = {"HOME": str(side.folder), "PATH": os.environ["PATH"], "KUBECONFIG": str(side.folder.parent / "config")}
    environment["KUBECACHEDIR"] = str(side.folder.parent / "cache")
    environment |= {"KUBECTL_APPLYSET": "true", "GOGC": "off"}  # it ends before there is much to collect
    environment["KUBE_EDITOR"] = shlex.join(["sed", "-i", "-e", step.editor]) if step.editor else "true"
    ran = await asyncio.create_subprocess_exec(
        side.kubectl,
        *words,
        env=environment,
        cwd=side.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(ran.communicate(), LIMIT_SECONDS)
    except TimeoutError:
        ran.kill()
        await ran.wait()
        return Said(-3, f"still ran after {LIMIT_SECONDS} s")
    return Said(ran.returncode if ran.returncode is not None else -4, output.decode(errors="replace"))


def masked(text: str) -> str:
    """A text without what is random or a moment."""
    for pattern, to in _MASKS:
        text = pattern.sub(to, text)
    return text


def _shown(output: str, step: Step) -> list[str]:
    told = [line for line in masked(output).splitlines() if not _CHATTER.match(line)]
    lines = [re.sub(r"(?<=\S)[ \t]+", " ", line).rstrip() for line in told]
    if step.drop:
        lines = [line for line in lines if not re.search(step.drop, line)]
    match step.show:
        case "all":
            return lines
        case "sorted":
            return sorted(lines)
        case "last":
            return lines[-1:]
        case "fields":
            return [line for line in lines if re.search(r"<(?!no description|empty)[^ .]+>", line)]
        case "none":
            return []
    raise AssertionError(step)


def _difference(ours: list[str], real: list[str]) -> str:
    import difflib

    rows = difflib.unified_diff(real, ours, "real", "ours", lineterm="", n=2)
    return "\n".join(f"  {row}" for row in rows) or "\n".join(f"  {line}" for line in ours)
