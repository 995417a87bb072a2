"""What is told must be so, and nobody is asked without measure: more of what `checks` begins.

Law of the module: as that of `checks`: from outside, by the number of the invariant (specs: reliability-security, 1.5).

| invariant | as it is checked here |
|---|---|
| I31 | an object passes from one unit to another at most once a commit |
| I33 | a folder that is told Healthy had its objects as the commit read, or a later one, says, unless somebody else has touched them |
| I34 | at rest the status branch says of every unit what the daemon says |
| I41 | requests to one cluster within a minute are bounded, whatever is wrong with it |
| I44 | no kind and no parser raises: nothing is held by an internal error |
| I52 | at rest a unit that is not healthy says why, and one that waits says for whom |
| I53 | an edit is made once for its key: no branch ever has two commits with it by pushes of ours (this one is our own number) |
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from reconciler.core.edits import EDIT
from reconciler.core.identity import CommitId
from reconciler.core.messages import Effect, Input, Log, Push, Pushed, Request
from reconciler.core.publish import HISTORY
from reconciler.core.status_files import UNITS_FOLDER, path_of, read_back

from .checks import Broken, Checks, id_of, owner_of
from .cluster.store import Event
from .daemon import Actor, Daemon
from .faults import Fault
from .truth import Key, Truth, covers, plain_id

if TYPE_CHECKING:
    from .world import World

REQUESTS_A_MINUTE = 1_500
TOUCHED_SECONDS = 400.0
"""A watch that fell silent is given up after two minutes, and what a server refuses is tried again after five."""

_READ = re.compile(rb"^read: ([0-9a-f]{40})$", re.MULTILINE)
"""What had been read, as the status branch says it: a unit names only the commit that changed it last, under many a tip."""


class Verdicts:
    """Watches one world beside `Checks`."""

    def __init__(self, world: World, checks: Checks) -> None:
        self.world = world
        self.met = checks.met
        self._checks = checks
        self._truths: dict[str, Truth] = checks.truths
        self._asked: Counter[tuple[Daemon, str, int]] = Counter()
        self._owners: Counter[str] = Counter()  # by uid: how often it passed to another unit
        self._touched: dict[Key, float] = {}
        world.network.observers.append(self)

    def sends(self, daemon: Daemon, effect: Effect) -> None:
        """Before an effect is carried out."""
        if isinstance(effect, Log) and effect.message == "internal error":
            raise Broken("I44", str(dict(effect.facts).get("stack", "")))
        if isinstance(effect, Request):
            minute = (daemon, effect.cluster, int(self.world.steady // 60))
            self._asked[minute] += 1
            if self._asked[minute] > REQUESTS_A_MINUTE:
                raise Broken("I41", f"more than {REQUESTS_A_MINUTE} requests to {effect.cluster} within a minute")

    def answered(self, daemon: Daemon, effect: Effect, answer: Input) -> None:
        """After an effect was carried out."""
        del daemon
        if isinstance(effect, Push) and isinstance(answer, Pushed) and answer.outcome == "pushed":
            read = _READ.search(effect.files.get(HISTORY) or b"")
            for path, content in effect.files.items():
                if path.startswith(UNITS_FOLDER) and content and read:
                    self._told(content, CommitId(read[1].decode()))
            if effect.ref == self._truths[effect.source].ref:
                self._edited_once(effect)

    def _edited_once(self, effect: Push) -> None:
        repo = self.world.repos[effect.source]
        said = Counter(line for id in repo.history(repo.refs[effect.ref]) for line in repo.messages.get(id, "").splitlines())
        for line in effect.message.splitlines():
            self.met["I53"] += line.startswith(EDIT)
            if line.startswith(EDIT) and said[line] != 1:
                raise Broken("I53", f"{said[line]} commits on {effect.ref} say {line}")

    def _told(self, content: bytes, read: CommitId) -> None:
        before = read_back(content)
        if before is None or before.state != "Healthy" or not before.key.is_folder:
            return
        truth = self._truths[before.key.source]
        truth.update()
        tip = truth.number(read)
        if tip < 0:
            return
        live: dict[Key, Any] = {}
        for cluster in self.world.clusters:
            live |= {(cluster, plain_id(id_of(body))): body for _, body in self._checks.owned(cluster)}
        for key, versions in truth.versions.items():
            want = truth.want(key, tip)
            if want is None or want.unit != before.key.name or want.clashes:
                continue
            self.met["I33"] += 1
            since = [version.want for version in versions if version.since >= tip] + [want]
            found = live.get(key)
            stands = any((found is None) if w is None else (found is not None and covers(found, w.body)) for w in since)
            if not stands and self.world.steady - self._touched.get(key, float("-inf")) > TOUCHED_SECONDS:
                raise Broken("I33", f"{before.key} is told Healthy, and {key[1]} on {key[0]} is not as any commit says")

    def changed(self, cluster: str, event: Event, actor: Actor) -> None:
        """After an object has changed."""
        body = event.entry.obj
        if actor.daemon is None:
            self._touched[cluster, plain_id(id_of(body))] = self.world.steady
            return
        was = owner_of(event.previous.obj, cluster) if event.previous else None
        now = owner_of(body, cluster)
        if was is not None and now is not None and was != now:
            uid = body["metadata"]["uid"]
            self._owners[uid] += 1
            self.met["I31"] += 1
            truth = self._truths.get(now.source)
            if truth is not None and self._owners[uid] > max(2, len(truth.tips)):
                raise Broken("I31", f"{event.entry.key} on {cluster} passes to and fro between {was} and {now}")

    def hears(self, daemon: Daemon, message: Input) -> None:
        """Before a daemon is told something."""

    def struck(self, daemon: Daemon, fault: Fault, message: Effect | Input) -> None:
        """Something goes wrong."""

    def at_rest(self, daemon: Daemon) -> None:
        """Nothing moves by itself any more."""
        branches = {name: source.settings.status_branch for name, source in daemon.engine.sources.items()}
        for unit in daemon.report.units:
            self.met["I52"] += 1
            if unit.state != "Healthy" and not unit.message:
                raise Broken("I52", f"{unit.key} is {unit.state}, and does not say why")
            if unit.state == "Waiting" and not unit.waits_for:
                raise Broken("I52", f"{unit.key} waits, and does not say for whom")
            repo = self.world.repos[unit.key.source]
            tip = repo.refs.get(f"refs/heads/{branches[unit.key.source]}") if branches[unit.key.source] else None
            if tip is not None:
                self.met["I34"] += 1
                told = read_back(repo.commits[tip][1].get(path_of(unit.key), b""))
                if told is None or told.state != unit.state:
                    raise Broken("I34", f"{unit.key} is {unit.state}, and the status branch says {told.state if told else 'nothing'}")
