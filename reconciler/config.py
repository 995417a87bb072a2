"""The operator's configuration: one YAML file, or a handful of options, parsed once into frozen values.

Law of the module: whatever is wrong is a `ConfigError` that names file, line and column, all problems at once; what passes is complete.
Nothing but this module, `credentials` and the command line reads the environment. The format is schemas/reconciler.dev/config.json.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import schemas
from .adapters.git import Bearer, address
from .adapters.git.clone import origin
from .adapters.git.transport import Local
from .adapters.kube.auth import SERVICE_ACCOUNT, InCluster, KubeconfigFile, Login
from .core import yaml
from .core.identity import ClusterName, CommitId, Place, SourceName
from .core.messages import GitFailure
from .core.places import Node, locate
from .core.problem import Finding, Pointer, Problem
from .core.schema import Schema
from .core.settings import ClusterSettings, Commits, Settings, SourceSettings
from .credentials import CredentialsAt
from .errors import ConfigError
from .lib import durations
from .lib.urls import is_plain

SIZE_LIMIT = 1 << 20  # bytes of the file
POLL_SECONDS_MIN = 1.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One source: what the engine is told, and how its adapter logs in."""

    settings: SourceSettings
    credentials: CredentialsAt | None = None


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """One cluster: what the engine is told, and how its adapter logs in."""

    settings: ClusterSettings
    login: Login = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All of it."""

    sources: tuple[SourceConfig, ...]
    clusters: tuple[ClusterConfig, ...]
    home: ClusterName
    identity: str = ""  # "": drawn once, kept in the working directory
    status_seconds: float = 30.0
    ca_file: Path | None = None
    helm: Path | None = None
    urls: tuple[str, ...] = ()

    def settings(self, identity: str, *, act: bool) -> Settings:
        """What the engine is given."""
        return Settings(
            sources=tuple(source.settings for source in self.sources),
            clusters=tuple(cluster.settings for cluster in self.clusters),
            identity=identity,
            home=self.home,
            act=act,
            status_seconds=self.status_seconds,
            helm=self.helm is not None,
            urls=self.urls,
        )


# -- from a file ----------


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, or says what cannot be; one line for each problem.
    """
    try:
        with path.open("rb") as opened:
            text = opened.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"configuration {path}: {error.strerror}") from None
    if len(text) > SIZE_LIMIT:
        raise ConfigError(f"configuration {path}: larger than {SIZE_LIMIT} bytes")
    return parse(text, str(path), path.absolute().parent)


def parse(text: bytes, name: str, base: Path) -> Config:
    """Read a configuration; paths in it are relative to `base`.

    Raises:
        ConfigError: it says what cannot be; one line for each problem.
    """
    loaded = yaml.load(text)
    problems = [Problem(Place(name, line, column), said) for line, column, said, severity in loaded.faults if severity == "error"]
    if problems:
        raise _refused(problems)
    documents = [document for document in loaded.documents if document.value is not None]
    if len(documents) != 1:
        raise ConfigError(f"{name}: must be one document, is {len(documents)}")
    body = documents[0].value
    reader = _Reader(name, base, locate(text, loaded.documents.index(documents[0])))
    for finding in Schema(schemas.read("reconciler.dev/config.json")).check(body):
        reader.find(finding)
    if reader.problems:
        raise _refused(reader.problems)
    config = reader.config(body)
    if reader.problems:
        raise _refused(reader.problems)
    return config


def _refused(problems: list[Problem]) -> ConfigError:
    return ConfigError("\n".join(str(problem) for problem in sorted(problems, key=lambda problem: problem.place)))


class _Reader:
    """Reads one configuration that fits its schema: what a schema cannot say is checked here, and told at its place."""

    def __init__(self, name: str, base: Path, node: Node) -> None:
        self.name = name
        self.base = base
        self.node = node
        self.problems: list[Problem] = []

    def place(self, pointer: Pointer, *, at_key: bool = False) -> Place:
        """Where a value stands; a value that begins below its key is found there."""
        node, found = self.node.down(pointer)
        if node.key_line and ((at_key and found) or node.key_line != node.line):
            return Place(self.name, node.key_line, node.key_column)
        return Place(self.name, node.line, node.column)

    def bad(self, pointer: Pointer, message: str, *, at_key: bool = False) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.place(pointer, at_key=at_key), message))

    def find(self, finding: Finding) -> None:
        """Note what the schema found; a secret that was written down is told as such, and not shown."""
        if "credentials" in finding.pointer and finding.pointer[-1] in ("tokenEnv", "passwordEnv"):
            self.bad(finding.pointer, "must be the name of an environment variable")
        elif finding.at_key and finding.pointer[-1] in ("token", "password"):
            key = finding.pointer[-1]
            self.bad(finding.pointer, f"a {key} is never written here; name where it is: {key}File or {key}Env")
        else:
            self.bad(finding.pointer, finding.message, at_key=finding.at_key)

    def config(self, body: Json) -> Config:
        """Everything."""
        sources = tuple(self.source(one, index) for index, one in enumerate(body["sources"]))
        listed = body.get("clusters")
        try:
            clusters = tuple(self.cluster(one, index) for index, one in enumerate(listed)) if listed else (current_cluster(),)
        except ConfigError as error:
            raise ConfigError(f"{self.name}: no clusters are named, and the current one cannot be found: {error}") from None
        self.unique("sources", [source.settings.name for source in sources])
        self.unique("clusters", [cluster.settings.name for cluster in clusters])
        defaults = [index for index, cluster in enumerate(clusters) if cluster.settings.default]
        for index in defaults[1:]:
            self.bad(("clusters", index, "default"), f"{clusters[defaults[0]].settings.name} is the default already")
        names = [cluster.settings.name for cluster in clusters]
        home = ClusterName(body["home"]) if "home" in body else names[defaults[0] if defaults else 0]
        if home not in names:
            self.bad(("home",), f"no cluster is named {home}; there are: {', '.join(names)}")
        ca_file = body.get("git", {}).get("caFile")
        if ca_file and not (self.base / ca_file).is_file():
            self.bad(("git", "caFile"), f"there is no file {self.base / ca_file}")
        return Config(
            sources=sources,
            clusters=clusters,
            home=home,
            identity=body.get("identity", ""),
            status_seconds=self.seconds(body.get("status", {}).get("every", "30s"), ("status", "every"), 1.0),
            ca_file=self.base / ca_file if ca_file else None,
            helm=self.helm(body.get("helm")),
            urls=self.urls(body.get("urls", [])),
        )

    def helm(self, path: str | None) -> Path | None:
        """The program that renders charts."""
        if path is None:
            return None
        found = (self.base / Path(path).expanduser()).absolute()
        if not found.is_file() or not os.access(found, os.X_OK):
            self.bad(("helm",), f"there is no program {found}" if not found.is_file() else f"{found} is not executable")
        return found

    def urls(self, listed: list[str]) -> tuple[str, ...]:
        """How addresses begin that manifests may name."""
        for index, url in enumerate(listed):
            if not is_plain(url):
                self.bad(("urls", index), "must be https://… (or http, oci) with a host, in plain letters: no user, no query")
        return tuple(listed)

    def unique(self, what: str, names: list[Any]) -> None:
        """Names are what everything hangs on."""
        for index, name in enumerate(names):
            if name in names[:index]:
                self.bad((what, index, "name"), f"{name} stands twice")

    def source(self, body: Json, index: int) -> SourceConfig:
        """One source."""
        at = ("sources", index)
        chosen = [key for key in ("branch", "tag", "commit") if key in body]
        if len(chosen) > 1:
            self.bad((*at, chosen[1]), f"{chosen[0]} is given too; a source follows one of branch, tag and commit")
        url = self.url(body["url"], (*at, "url"))
        status = body.get("status", "reconciler-status")
        branch = body.get("branch", "main")
        if status == branch:
            self.bad((*at, "status"), "is the branch that is followed; the daemon answers on another one")
        settings = SourceSettings(
            name=SourceName(body["name"]),
            url=url,
            ref=full_ref(body["tag"], "tags") if "tag" in body else full_ref(branch, "heads"),
            commit=CommitId(body["commit"]) if "commit" in body else None,
            path=self.path(body.get("path", ""), (*at, "path")),
            poll_seconds=self.seconds(body.get("poll", "30s"), (*at, "poll"), POLL_SECONDS_MIN),
            status_branch=status or "",
            commits=self.commits(body, at),
        )
        return SourceConfig(settings, self.credentials(body.get("credentials"), url, (*at, "credentials")))

    def commits(self, body: Json, at: Pointer) -> Commits:
        """How changes of files reach the repository."""
        found: Commits = body.get("commits", "propose")
        if found == "direct" and ("tag" in body or "commit" in body):
            self.bad((*at, "commits"), "there is no branch to commit to: the source follows a tag or a commit")
        return found

    def url(self, text: str, at: Pointer) -> str:
        """The address of a repository; a relative path is one from this file's folder."""
        if text.startswith(("./", "../")) or text in (".", ".."):
            text = os.path.normpath(self.base / text)
        found = address(text)
        if isinstance(found, GitFailure):
            self.bad(at, found.message)
        return text

    def path(self, text: str, at: Pointer) -> str:
        """A folder in a repository."""
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if text.startswith("/") or ".." in parts:
            self.bad(at, "must be a folder of the repository, without a leading / and without ..")
        return "/".join(parts)

    def seconds(self, text: str, at: Pointer, least: float) -> float:
        """A span of time."""
        found = durations.parse(text)
        if found is None or not least <= found <= 86_400:
            self.bad(at, f'must be a span of time such as "30s" or "5m", from {least:g}s to 24h')
        return found or least

    def credentials(self, body: Json | None, url: str, at: Pointer) -> CredentialsAt | None:
        """Where a source's credentials are: exactly one place."""
        if body is None:
            return None
        held = [key for key in ("tokenFile", "tokenEnv", "passwordFile", "passwordEnv") if key in body]
        if len(held) != 1:
            self.bad(at, "must name one of tokenFile, tokenEnv, passwordFile and passwordEnv")
            return None
        if ("username" in body) != held[0].startswith("password"):
            self.bad(at, "username and a password belong together; a token stands alone")
            return None
        # Shown with a stand-in: whether the address may carry credentials does not depend on which.
        found = address(url, Bearer("x"))
        if isinstance(found, GitFailure) and not isinstance(address(url), GitFailure):
            self.bad(at, found.message)
        file = self.base / body[held[0]] if held[0].endswith("File") else None
        variable = "" if file else body[held[0]]
        return CredentialsAt(file, variable, body.get("username", ""), self.place(at))

    def cluster(self, body: Json, index: int) -> ClusterConfig:
        """One cluster."""
        settings = ClusterSettings(ClusterName(body["name"]), body.get("default", False), body.get("namespace", "default"))
        if not body.get("inCluster"):
            path = self.base / Path(body["kubeconfig"]).expanduser() if "kubeconfig" in body else kubeconfig_path()
            return ClusterConfig(settings, KubeconfigFile(path, body.get("context", "")))
        for key in ("kubeconfig", "context"):
            if key in body:
                self.bad(("clusters", index, key), "inCluster is given too; a cluster is reached in one way")
        return ClusterConfig(settings, InCluster())


def full_ref(name: str, kind: str) -> str:
    """The full name of a branch ("heads") or tag ("tags")."""
    return name if name.startswith("refs/") else f"refs/{kind}/{name}"


# -- without a file ----------


def of_repository(
    url: str, branch: str = "main", path: str = "", kubeconfig: Path | None = None, context: str = "", name: str = ""
) -> Config:
    """One repository on one cluster: the source is named after the repository, the cluster after its context.

    Raises:
        ConfigError: the address cannot be one, or there is no such cluster.
    """
    source = repository_source(url, branch, path, name)
    cluster = current_cluster(kubeconfig, context)
    return Config((source,), (cluster,), cluster.settings.name)


def repository_source(url: str, branch: str = "main", path: str = "", name: str = "") -> SourceConfig:
    """A source named after its repository; a clone on this machine after what it is a clone of, since objects carry that name.

    Raises:
        ConfigError: the address cannot be one.
    """
    if "://" not in url and Path(url).is_dir():
        url = str(Path(url).resolve())
    found = address(url)
    if isinstance(found, GitFailure):
        raise ConfigError(f"--repo: {found.message}")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise ConfigError("--path must be a folder of the repository, without a leading / and without ..")
    if name and not _NAME.fullmatch(name):
        raise ConfigError(f"--source {name!r} must be lower-case letters, digits and dashes")
    if not name:
        of = origin(found.path) if isinstance(found, Local) else url
        name = _slug(of.rstrip("/").rpartition("/")[2].removesuffix(".git"), "source")
    return SourceConfig(SourceSettings(SourceName(name), url, full_ref(branch, "heads"), path="/".join(parts)))


def current_cluster(kubeconfig: Path | None = None, context: str = "") -> ClusterConfig:
    """The cluster of a context, or of the current one; in a pod without a kubeconfig, the one that it runs in.

    Raises:
        ConfigError: there is no kubeconfig, or it has no current context.
    """
    path = kubeconfig or kubeconfig_path()
    if not path.exists() and kubeconfig is None and not context and (SERVICE_ACCOUNT / "token").exists():
        return ClusterConfig(ClusterSettings(ClusterName("in-cluster"), default=True), InCluster())
    context = context or _current_context(path)
    return ClusterConfig(ClusterSettings(ClusterName(_slug(context, "cluster")), default=True), KubeconfigFile(path, context))


def kubeconfig_path() -> Path:
    """Where kubectl would look.

    Raises:
        ConfigError: KUBECONFIG names several files, which kubectl merges and we do not.
    """
    named = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    if len(named) > 1:
        raise ConfigError("KUBECONFIG names several files; name one with --kubeconfig (or in the configuration)")
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def _current_context(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            text = opened.read(4 * SIZE_LIMIT)
    except OSError as error:
        raise ConfigError(f"kubeconfig {path}: {error.strerror}; name one with --kubeconfig") from None
    documents = yaml.load(text).documents
    body = documents[0].value if documents else None
    name = body.get("current-context") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise ConfigError(f"kubeconfig {path}: there is no current context; name one with --context")
    return name


def _slug(text: str, otherwise: str) -> str:
    """A name of ours from somebody else's."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return plain if _NAME.fullmatch(plain) else otherwise
