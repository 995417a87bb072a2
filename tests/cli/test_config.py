"""The configuration: cases are data (cases/config.yaml); what cannot be is told with its place, all at once, and never a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pygit2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.git import Basic, Bearer
from reconciler.adapters.kube.auth import InCluster, KubeconfigFile
from reconciler.config import load, of_repository, parse, repository_source
from reconciler.credentials import CredentialsAt
from reconciler.errors import ConfigError

CASES: dict[str, dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases" / "config.yaml").read_text())
KUBECONFIG = "apiVersion: v1\nkind: Config\ncurrent-context: Prod_EU/1\n"


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_is_told_with_its_place(name: str) -> None:
    case = CASES[name]
    with pytest.raises(ConfigError) as raised:
        parse(case["text"].encode(), "r.yaml", Path("/etc/reconciler"))
    assert str(raised.value).splitlines() == case["told"]


def test_a_small_file_is_enough_and_the_defaults_are_those_documented() -> None:
    config = parse(b"sources: [{name: fleet, url: https://git.example.org/fleet}]\nclusters: [{name: eu}]\n", "r.yaml", Path("/etc"))
    (source,) = config.sources
    assert source.credentials is None
    assert source.settings.ref == "refs/heads/main"
    assert (source.settings.path, source.settings.poll_seconds, source.settings.status_branch) == ("", 30.0, "reconciler-status")
    settings = config.settings("one", act=True)
    assert (settings.home, settings.status_seconds, settings.act, settings.identity) == ("eu", 30.0, True, "one")
    assert settings.default_cluster == settings.clusters[0]


def test_charts_are_rendered_by_a_program_that_can_be_run(tmp_path: Path) -> None:
    text = b"sources: [{name: fleet, url: /srv/fleet.git}]\nclusters: [{name: eu}]\nhelm: bin/helm\n"
    assert not parse(text[: text.index(b"helm")], "r.yaml", tmp_path).settings("x", act=True).helm
    program = tmp_path / "bin" / "helm"
    program.parent.mkdir()
    program.touch(mode=0o644)
    with pytest.raises(ConfigError) as raised:
        parse(text, "r.yaml", tmp_path)
    assert str(raised.value) == f"r.yaml:3:7: {program} is not executable"
    program.chmod(0o755)
    config = parse(text, "r.yaml", tmp_path)
    assert config.helm == program and config.settings("x", act=True).helm


def test_everything_can_be_said() -> None:
    text = b"""
sources:
  - {name: fleet, url: /srv/fleet.git, tag: v1, path: ./deploy/, poll: 5m, status: false}
  - {name: apps, url: https://git.example.org/apps, branch: prod, status: answers,
     credentials: {username: bot, passwordFile: secrets/password}}
  - {name: pinned, url: ../pinned, commit: 3f9c2a1e5b7d90aa3f9c2a1e5b7d90aa3f9c2a1e, credentials: {tokenEnv: FORGE_TOKEN}}
clusters:
  - {name: eu, kubeconfig: kube/eu.yaml, context: admin}
  - {name: us, kubeconfig: kube/us.yaml, default: true, namespace: apps}
  - {name: here, inCluster: true}
home: here
identity: store-7
status: {every: 1m30s}
urls: ["https://charts.example.org", "oci://registry.example.org/team/"]
"""
    config = parse(text, "r.yaml", Path("/etc/reconciler"))
    fleet, apps, pinned = config.sources
    assert (fleet.settings.ref, fleet.settings.path, fleet.settings.poll_seconds) == ("refs/tags/v1", "deploy", 300.0)
    assert fleet.settings.status_branch == ""
    assert (apps.settings.ref, apps.settings.status_branch) == ("refs/heads/prod", "answers")
    assert apps.credentials is not None
    assert (apps.credentials.file, apps.credentials.username) == (Path("/etc/reconciler/secrets/password"), "bot")
    assert pinned.settings.url == "/etc/pinned"
    assert pinned.settings.commit == "3f9c2a1e5b7d90aa3f9c2a1e5b7d90aa3f9c2a1e"
    assert pinned.credentials is not None
    assert pinned.credentials.variable == "FORGE_TOKEN"
    assert [cluster.login for cluster in config.clusters] == [
        KubeconfigFile(Path("/etc/reconciler/kube/eu.yaml"), "admin"),
        KubeconfigFile(Path("/etc/reconciler/kube/us.yaml"), ""),
        InCluster(),
    ]
    assert (config.home, config.identity, config.status_seconds) == ("here", "store-7", 90.0)
    assert config.settings("x", act=False).urls == ("https://charts.example.org", "oci://registry.example.org/team/")
    default = config.settings("x", act=False).default_cluster
    assert default is not None
    assert (default.name, default.namespace) == ("us", "apps")


def test_without_a_home_the_default_cluster_is_it() -> None:
    text = b"sources: [{name: a, url: /a}]\nclusters: [{name: us}, {name: eu, default: true}]\n"
    assert parse(text, "r.yaml", Path("/")).home == "eu"


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_there_is_an_answer(text: bytes) -> None:
    try:
        parse(text, "r.yaml", Path("/"))
    except ConfigError as error:
        assert re.match(r"r\.yaml[:]", str(error))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (1 << 20) + b"##")
    with pytest.raises(ConfigError, match="larger than"):
        load(tmp_path / "large.yaml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("sources: [{name: a, url: ./repo}]\nclusters: [{name: x, kubeconfig: kube.yaml}]\n")
    config = load(tmp_path / "r.yaml")
    assert config.sources[0].settings.url == str(tmp_path / "repo")
    assert config.clusters[0].login == KubeconfigFile(tmp_path / "kube.yaml")


# -- credentials ----------


def test_credentials_are_read_when_they_are_needed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    at = CredentialsAt(file, "", "", None)
    with pytest.raises(ConfigError, match="No such file"):
        at.read()
    file.write_text("first\n")
    assert at.read() == Bearer("first")
    file.write_text("second")
    assert at.read() == Bearer("second")
    assert CredentialsAt(file, "", "bot", None).read() == Basic("bot", "second")
    for content in (b"", b"\n", b"\xff\xfe"):
        file.write_bytes(content)
        with pytest.raises(ConfigError):
            at.read()


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match="RECONCILER_TEST_NOT_SET is not set"):
        CredentialsAt(None, "RECONCILER_TEST_NOT_SET", "", None).read()


def test_no_secret_is_in_a_representation(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("sw0rdfish")
    assert "sw0rdfish" not in repr(CredentialsAt(tmp_path / "token", "", "bot", None).read())


# -- without a file ----------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example.org/team/Shop_Manifests.git", "shop-manifests"),
        ("https://git.example.org/team/shop/", "shop"),
        ("/srv/git/fleet.git", "fleet"),
        ("https://git.example.org/___", "source"),
    ],
)
def test_a_source_is_named_after_its_repository(url: str, name: str) -> None:
    assert repository_source(url).settings.name == name


def test_a_clone_is_named_after_what_it_is_a_clone_of(tmp_path: Path) -> None:
    repository = pygit2.init_repository(str(tmp_path / "my-clone"))
    assert repository_source(str(tmp_path / "my-clone")).settings.name == "my-clone"
    repository.remotes.create("origin", "https://ada:secret@git.example.org/team/fleet.git")
    source = repository_source(str(tmp_path / "my-clone"))
    assert source.settings.name == "fleet"
    assert source.settings.url == str(tmp_path / "my-clone")


def test_the_current_context_is_the_cluster(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(KUBECONFIG)
    config = of_repository("https://git.example.org/shop", "prod", "deploy", kubeconfig)
    assert config.clusters[0].settings.name == config.home == "prod-eu-1"
    assert config.clusters[0].login == KubeconfigFile(kubeconfig, "Prod_EU/1")
    assert (config.sources[0].settings.ref, config.sources[0].settings.path) == ("refs/heads/prod", "deploy")
    other = of_repository("https://git.example.org/shop", kubeconfig=kubeconfig, context="lab")
    assert other.clusters[0].login == KubeconfigFile(kubeconfig, "lab")


@pytest.mark.parametrize("content", ["", "current-context: ''\n", "- a\n", "current-context: {a: b}\n", "{{"])
def test_a_kubeconfig_without_a_current_context_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(ConfigError, match="no current context; name one with --context"):
        of_repository("https://git.example.org/shop", kubeconfig=tmp_path / "config")


def test_how_changes_reach_git() -> None:
    base = "clusters: [{name: eu, kubeconfig: k}]\nsources:\n- {name: a, url: https://git.example.org/a.git%s}\n"
    assert parse((base % "").encode(), "r.yaml", Path("/c")).sources[0].settings.commits == "propose"
    for word in ("direct", "propose", "record"):
        assert parse((base % f", commits: {word}").encode(), "r.yaml", Path("/c")).sources[0].settings.commits == word
    for wrong, says in (
        (", commits: push", "r.yaml:3:"),
        (", tag: v1, commits: direct", "there is no branch to commit to: the source follows a tag or a commit"),
    ):
        with pytest.raises(ConfigError, match=says):
            parse((base % wrong).encode(), "r.yaml", Path("/c"))
