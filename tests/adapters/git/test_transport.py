"""Addresses, credentials, TLS, redirects, servers that fail: what is refused, and that no secret is shown or sent elsewhere."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pygit2.enums import ConfigLevel

from reconciler.adapters.git import Basic, Bearer, Credentials, Repository, address, prepare
from reconciler.adapters.git.transport import Local, Remote, clean
from reconciler.core.identity import CommitId, SourceName
from reconciler.core.messages import GitFailure, ListRefs
from reconciler.sim.gitserver import GitServer
from tests.gitserver import commit, git_server

__all__ = ["git_server"]

SECRET = "s3cr%t/+pass"


@pytest.fixture
def impatient() -> Iterator[None]:
    """Time limits of half a second."""
    prepare(connect_seconds=0.5, silence_seconds=0.5)
    yield
    prepare()


def listed(url: str, cache: Path, credentials: Credentials | None = None) -> dict[str, CommitId] | GitFailure:
    repository = Repository(SourceName("fleet"), url, cache, "", credentials)
    try:
        return repository.list_refs(ListRefs(1, repository.name)).refs
    finally:
        repository.close()


def failed(url: str, cache: Path, credentials: Credentials | None = None) -> GitFailure:
    answer = listed(url, cache, credentials)
    assert isinstance(answer, GitFailure)
    for secret in ("s3cr", "czNjcg"):  # as it is, and in base64
        assert secret not in answer.message
    return answer


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ssh://git@example.org/a.git", "SSH"),
        ("git@example.org:a/b.git", "SSH"),
        ("https://ada:s3cret@example.org/a.git", "user name or password"),
        ("https://s3cret@example.org/a.git", "user name or password"),
        ("https://example.org/a.git?token=s3cret", "query"),
        ("https://example.org/a.git#s3cret", "fragment"),
        ("--upload-pack=touch /tmp/x", "blanks"),
        ("--upload-pack=x", "starts with https://"),
        ("ext::sh", "starts with https://"),
        ("git://example.org/a.git", "starts with https://"),
        ("ftp://example.org/a.git", "starts with https://"),
        ("file://example.org/a.git", "starts with https://"),
        ("relative/path", "starts with https://"),
        ("https:///a.git", "starts with https://"),
        ("https://example.org:port/a.git", "no address"),
        ("https://exa\nmple.org/a.git", "control characters"),
        ("https://example.org/a\r\nHost: b", "control characters"),
        ("https://example.org/\u202ea.git", "control characters"),
        ("https://example.org\\@evil.org/a.git", "backslashes"),
        ("/a\nb", "control characters"),
        ("", "starts with https://"),
    ],
)
def test_addresses_that_are_refused(url: str, word: str, tmp_path: Path) -> None:
    answer = failed(url, tmp_path / "cache")
    assert answer.permanent and word in answer.message and "s3cret" not in answer.message
    assert not (tmp_path / "cache").exists()


def test_addresses_that_are_taken() -> None:
    assert address("https://example.org/a.git") == Remote("https://example.org/a.git", ("https", "example.org", 443))
    assert address("https://[::1]:8443/a") == Remote("https://[::1]:8443/a", ("https", "::1", 8443))
    assert address("/srv/a.git") == address("file:///srv/a.git") == Local(Path("/srv/a.git"))


@given(st.text(alphabet=st.sampled_from("-:/@?#[]%\\ \n\0htps.gitex0"), max_size=40))
def test_an_address_is_read_or_refused_never_raised(url: str) -> None:
    match address(url, Basic("a", "b")):
        case Remote(taken, (scheme, host, _)):
            assert taken == url and host and url.startswith(("https://", "http://")) and "@" not in url.split("/")[2]
            assert scheme == "https" or host.startswith(("localhost", "127.", "::1"))
        case Local(path):
            assert path.is_absolute()
        case GitFailure(_, permanent):
            assert permanent


def test_credentials_do_not_go_over_http(tmp_path: Path) -> None:
    assert "use https" in failed("http://example.org/a.git", tmp_path, Basic("ada", SECRET)).message
    assert "line end" in failed("https://example.org/a.git", tmp_path, Bearer(SECRET + "\n")).message


def test_secrets_are_not_shown() -> None:
    assert "s3cr" not in repr((Basic("ada", SECRET), Bearer(SECRET)))
    assert clean(f"no: {SECRET} https://ada:{SECRET}@host/", Bearer(SECRET)) == "no: *** https://host/"


@pytest.mark.parametrize("credentials", [Basic("ada", SECRET), Bearer(SECRET)], ids=["basic", "bearer"])
def test_credentials_open_the_door(git_server: GitServer, tmp_path: Path, credentials: Credentials) -> None:
    tip = commit(git_server.path("fleet"), {"a.yaml": b"1"})
    git_server.users, git_server.tokens = {"ada": SECRET}, (SECRET,)
    assert listed(git_server.url("fleet"), tmp_path / "cache", credentials) == {"HEAD": tip, "refs/heads/main": tip}


@pytest.mark.parametrize("credentials", [Basic("ada", SECRET), Bearer(SECRET), None], ids=["basic", "bearer", "none"])
def test_wrong_credentials_are_for_the_operator(git_server: GitServer, tmp_path: Path, credentials: Credentials | None) -> None:
    git_server.users = {"ada": "other"}
    answer = failed(git_server.url("fleet"), tmp_path / "cache", credentials)
    assert answer.permanent and "credentials" in answer.message and git_server.counts["refused"] <= 2


def test_a_rotated_token_is_used_at_once(git_server: GitServer, tmp_path: Path) -> None:
    repository = Repository(SourceName("fleet"), git_server.url("fleet"), tmp_path / "cache", "", Bearer("old"))
    git_server.tokens = ("new",)
    assert isinstance(repository.list_refs(ListRefs(1, repository.name)).refs, GitFailure)
    repository.credentials = Bearer("new")
    assert repository.list_refs(ListRefs(2, repository.name)).refs == {}


@pytest.mark.parametrize("credentials", [Basic("ada", SECRET), Bearer(SECRET)], ids=["basic", "bearer"])
def test_credentials_follow_no_redirect_to_another_host(git_server: GitServer, tmp_path: Path, credentials: Credentials) -> None:
    (tmp_path / "other").mkdir()
    with GitServer(tmp_path / "other") as other:
        other.create("fleet")
        other.users, other.tokens = {"ada": SECRET}, (SECRET,)
        git_server.redirects["fleet"] = other.url("fleet", host="localhost")
        answer = failed(git_server.url("fleet"), tmp_path / "cache", credentials)
        assert answer.permanent and "localhost" in answer.message and other.authorizations == []


def test_a_password_does_not_follow_a_redirect_to_another_port(git_server: GitServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with GitServer(tmp_path / "other") as other:
        other.create("fleet")
        other.users = {"ada": SECRET}
        git_server.redirects["fleet"] = other.url("fleet")
        answer = failed(git_server.url("fleet"), tmp_path / "cache", Basic("ada", SECRET))
        assert answer.permanent and "another server" in answer.message and other.authorizations == [""]


def test_a_redirect_within_the_server_is_followed(git_server: GitServer, tmp_path: Path) -> None:
    tip = commit(git_server.path("fleet"), {"a.yaml": b"1"})
    git_server.users = {"ada": SECRET}
    git_server.redirects["old"] = git_server.url("fleet")
    answer = listed(git_server.url("old"), tmp_path / "cache", Basic("ada", SECRET))
    assert answer == {"HEAD": tip, "refs/heads/main": tip}


@pytest.mark.parametrize(
    ("status", "permanent", "word"),
    [
        (401, True, "credentials"),
        (403, True, "denies"),
        (404, True, "no repository"),
        (429, False, "fewer requests"),
        (500, False, "HTTP status 500"),
        (503, False, "HTTP status 503"),
        (200, False, "cannot be reached"),
    ],
)
def test_what_a_status_means(git_server: GitServer, tmp_path: Path, status: int, permanent: bool, word: str) -> None:
    git_server.status["fleet"] = status
    answer = failed(git_server.url("fleet"), tmp_path / "cache")
    assert (answer.permanent, word in answer.message) == (permanent, True), answer
    assert sum(git_server.counts.values()) == 0


def test_a_repository_that_is_not_there(git_server: GitServer, tmp_path: Path) -> None:
    assert failed(git_server.url("none"), tmp_path / "cache").permanent
    assert failed(str(tmp_path / "none"), tmp_path / "cache").permanent


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path, impatient: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = failed(f"http://127.0.0.1:{silent.getsockname()[1]}/fleet.git", tmp_path / "cache")
    assert (answer.permanent, "in time" in answer.message) == (False, True)


def test_a_server_that_is_gone_is_no_matter_for_the_operator(tmp_path: Path) -> None:
    answer = failed("http://127.0.0.1:9/fleet.git", tmp_path / "cache")
    assert not answer.permanent and "Connection refused" in answer.message
    answer = failed("https://no-such-host.invalid/fleet.git", tmp_path / "cache")
    assert not answer.permanent and "cannot be reached" in answer.message


def test_only_trusted_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    (tmp_path / "served").mkdir()
    with GitServer(tmp_path / "served", tls=context) as server:
        tip = commit(server.create("fleet"), {"a.yaml": b"1"})
        server.tokens = (SECRET,)
        answer = failed(server.url("fleet"), tmp_path / "cache", Bearer(SECRET))
        assert answer.permanent and "not trusted" in answer.message and server.authorizations == []
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        prepare(ca_file=tmp_path / "ca.pem")
        assert listed(server.url("fleet"), tmp_path / "cache", Bearer(SECRET)) == {"HEAD": tip, "refs/heads/main": tip}
        wrong_name = failed(server.url("fleet", host="localhost"), tmp_path / "cache", Bearer(SECRET))
        assert "not trusted" in wrong_name.message and len(server.authorizations) == 1


def test_the_machine_s_git_configuration_is_not_read(git_server: GitServer, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text(f'[url "{git_server.url("fleet")}"]\n\tinsteadOf = http://127.0.0.1:9/x\n')
    pygit2.settings.search_path[ConfigLevel.GLOBAL] = str(tmp_path)
    assert listed("http://127.0.0.1:9/x", tmp_path / "before") == {}  # so it would be
    prepare()
    assert not failed("http://127.0.0.1:9/x", tmp_path / "cache").permanent
