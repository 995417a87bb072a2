"""From a manifest to an object that should exist: its wave, its policy, its digest.

Law of the module: everything a person may say about one object in Git is an annotation, read here and nowhere else. A value that
cannot be read is a problem at its line, and the object's unit is held: guessing a policy could delete data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from .identity import ObjectId, Place
from .kind import Policy, Wanted
from .manifest import Manifest, Problem

WAVE = "reconciler.dev/wave"
ARGO_WAVE = "argocd.argoproj.io/sync-wave"
IGNORE = "reconciler.dev/ignore"  # JSON pointers, separated by commas or white space
PRUNE = "reconciler.dev/prune"  # allowed | disabled
RECREATE = "reconciler.dev/recreate"  # allowed
ADOPT = "reconciler.dev/adopt"  # allowed

_WAVE_LIMIT = 1_000_000
_PLAIN = Policy()


def read(manifest: Manifest) -> tuple[Wanted, tuple[Problem, ...]]:
    """What one manifest asks for, and what is wrong with how it asks."""
    wave, policy, wrong = asked(manifest.annotations) if manifest.annotations else (0, _PLAIN, ())
    problems = tuple(
        Problem(manifest.place(("metadata", "annotations", name)), f"{name} is {manifest.annotations[name]!r}, must be {must}")
        for name, must in wrong
    )
    id = ObjectId(manifest.group, manifest.kind, manifest.namespace, manifest.name)
    place = Place(manifest.path, manifest.line, manifest.column)
    return Wanted(id, manifest.version, manifest.json, place, manifest, wave, policy), problems


def asked(notes: Mapping[str, str]) -> tuple[int, Policy, tuple[tuple[str, str], ...]]:
    """What an object's annotations ask for: its wave, its policy, and which of them cannot be read, each with what it must be."""
    wrong: list[tuple[str, str]] = []

    def bad(annotation: str, must: str) -> None:
        wrong.append((annotation, must))

    wave = 0
    name = WAVE if WAVE in notes else ARGO_WAVE
    if name in notes:
        text = notes[name].strip()
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) <= 7 and int(digits) <= _WAVE_LIMIT:
            wave = int(text)
        else:
            bad(name, "a whole number")
    for flag in (RECREATE, ADOPT):
        if notes.get(flag, "allowed") != "allowed":
            bad(flag, '"allowed", or not there')
    prune = notes.get(PRUNE, "default")
    if PRUNE in notes and prune not in ("allowed", "disabled"):
        bad(PRUNE, '"allowed" or "disabled"')
        prune = "disabled"
    ignore = tuple(notes.get(IGNORE, "").replace(",", " ").split())
    if any(not pointer.startswith("/") for pointer in ignore):
        bad(IGNORE, 'JSON pointers such as "/spec/replicas"')
    policy = Policy(
        ignore=ignore,
        prune=cast(Literal["default", "allowed", "disabled"], prune),
        recreate=RECREATE in notes,
        adopt=ADOPT in notes,
    )
    return wave, policy, tuple(wrong)
