"""Asks a real API server, fresh and with a controller manager, the calls of `cases/answers.jsonl` and writes its answers there.

    python -m tests.sim.cluster.record_answers https://127.0.0.1:6443 TOKEN

A call keeps an answer where the embedded cluster agrees; the others are printed: differences of timing (no nodes there), or defects.
"""

from __future__ import annotations

import base64
import json
import ssl
import sys
import urllib.error
import urllib.request

from tests.sim.cluster.support import AGENT, Json, Machine
from tests.sim.cluster.test_store import RECORDED, answered, normal
from tests.waiting import until

REST_SECONDS = 3.0  # in which controllers of the real server come to rest


def ask(url: str, token: str, case: Json) -> list[object]:
    """The real server's answer: status, document, first warning."""
    headers = {"Authorization": f"Bearer {token}", "User-Agent": AGENT, "Accept": case["accept"], "Content-Type": case["content"]}
    request = urllib.request.Request(url + case["path"], base64.b64decode(case["body"]) or None, headers, method=case["method"])
    try:
        answer = urllib.request.urlopen(request, context=ssl._create_unverified_context())
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        text, kind, warning = answer.read().decode(), answer.headers["Content-Type"], answer.headers["Warning"]
        return [answer.status, normal(json.loads(text) if kind.startswith("application/json") else text), [warning] if warning else []]


def agreed(url: str, token: str, case: Json, said: list[object]) -> bool:
    """Whether the real server says the same; a reading is repeated until its controllers have come to rest."""
    if case["method"] != "GET":
        return ask(url, token, case) == said
    try:
        return until(lambda: ask(url, token, case) == said, case["path"], REST_SECONDS)
    except TimeoutError:
        return False


def record(url: str, token: str) -> None:
    """Ask both, keep what agrees."""
    machine, lines = Machine(), []
    for line in RECORDED.read_text().splitlines():
        case = json.loads(line)
        case.pop("answer", None)
        said = answered(machine, case)
        if agreed(url, token, case, said):
            case["answer"] = said
        else:
            print("differs:", case["method"], case["path"])
        lines.append(json.dumps(case) + "\n")
    RECORDED.write_text("".join(lines))


if __name__ == "__main__":
    record(*sys.argv[1:])
