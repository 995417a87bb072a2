"""How a Git server is reached: addresses, credentials, TLS and time limits, and what its failures mean for people.

Law of the module: a credential goes to the origin it was configured for and nowhere else: not into an address, not over plain
http (but to loopback), not along a redirect, not into a message. libgit2 is cut off from the machine's own Git configuration, so
nothing there can rewrite an address or add a helper.

Measured with libgit2 1.9.7: it follows a first redirect to another host by default *and takes the Authorization header along*;
with http.followRedirects=false (set in every cache, `cache.py`) it refuses another host and a step from https to http.

Sources: gitremote-helpers(7) for what an address may be; CVE-2017-16228 (leading "-"), CVE-2020-5260 (control characters in
addresses), CVE-2023-32681 and CVE-2026-41506 (credentials along redirects), CVE-2022-24765 (foreign configuration).
"""

from __future__ import annotations

import base64
import ipaddress
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel

from reconciler.core.messages import GitFailure

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0  # without a byte from the server
RECEIVE_LIMIT_BYTES = 4 << 30  # of one fetch
OBJECTS_LIMIT = 20_000_000  # of one fetch
MESSAGE_LIMIT = 400  # characters of a server's words that are passed on
CHECK_EVERY = 256  # progress calls between two looks at the limits: there are hundreds of thousands

_UNWANTED = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_STATUS = re.compile(r"status code: (\d+)")
_REDIRECT = re.compile(r"cannot redirect from '(.*)' to '(.*)'")


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and a password (or a forge's token in the password's place)."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token that goes into the Authorization header as it is."""

    token: str = field(repr=False)


Credentials = Basic | Bearer


@dataclass(frozen=True, slots=True)
class Remote:
    """A server's repository. `url` holds no secret: it may be shown."""

    url: str
    origin: tuple[str, str, int]  # scheme, host, port


@dataclass(frozen=True, slots=True)
class Local:
    """A repository on this machine, bare or with a work tree."""

    path: Path


class GitTrouble(Exception):
    """Carries a `GitFailure` up to the method that answers with it; never leaves this package."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.failure = GitFailure(message, permanent)


def address(url: str, credentials: Credentials | None = None) -> Remote | Local | GitFailure:
    """Read a source's address: https (or http), or an absolute path (also as file://). Anything else is refused, with why."""

    def no(why: str) -> GitFailure:
        return GitFailure(why, permanent=True)

    if url.startswith(("/", "file:///")):
        path = url.removeprefix("file://")
        return no("the path of a local repository may hold no control characters") if _CONTROL.search(path) else Local(Path(path))
    if _UNWANTED.search(url):
        return no("a repository's address may hold no blanks, backslashes or control characters")
    if url.startswith("ssh://") or re.match(r"[\w.+-]+@[\w.-]+:", url):
        return no("repositories over SSH are not supported yet; give the address that starts with https://")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return no("this is no address of a repository; give one that starts with https://, or an absolute path")
    if parts.scheme not in ("https", "http") or not parts.hostname or not re.fullmatch(r"[\w.:-]+", parts.hostname):
        return no("a repository's address starts with https://, or is an absolute path on this machine")
    if "@" in parts.netloc:
        return no("a repository's address may hold no user name or password; configure them as the source's credentials")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return no("a repository's address may hold no query and no fragment")
    if credentials is not None:
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            return no("credentials are not sent over http; use https")
        if any(_CONTROL.search(secret) for secret in _secrets(credentials)):
            return no("the source's credentials hold control characters (a line end, perhaps)")
    return Remote(url, (parts.scheme, parts.hostname, port))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _secrets(credentials: Credentials | None) -> tuple[str, ...]:
    """Every form in which a secret could turn up in a message, the longest first."""
    match credentials:
        case Basic(username, password):
            pair = base64.b64encode(f"{username}:{password}".encode()).decode()
            forms: tuple[str, ...] = (pair, password, urllib.parse.quote(password, safe=""))
        case Bearer(token):
            forms = (token, urllib.parse.quote(token, safe=""))
        case None:
            forms = ()
    return tuple(sorted((form for form in forms if form), key=len, reverse=True))


def prepare(*, ca_file: Path | None = None, connect_seconds: float = CONNECT_SECONDS, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Set what libgit2 holds for the whole process: isolation, time limits, certificates (`ca_file` adds to the system's).

    Ownership is not left to libgit2: paths are opened exactly as configured, never searched for upwards, nothing that a
    repository's configuration names is ever run, and the cache's owner and mode are checked where it is opened.
    """
    for level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        pygit2.settings.search_path[level] = ""
    pygit2.settings.owner_validation = False
    pygit2.settings.server_connect_timeout = round(connect_seconds * 1000)
    pygit2.settings.server_timeout = round(silence_seconds * 1000)
    if ca_file is not None:
        pygit2.settings.set_ssl_cert_locations(str(ca_file), None)
    _PREPARED.set()


_PREPARED = threading.Event()


def prepare_once() -> None:
    """`prepare` with its defaults, unless the process has been prepared."""
    if not _PREPARED.is_set():
        prepare()


class Callbacks(pygit2.RemoteCallbacks):  # type: ignore[misc]  # untyped base
    """What libgit2 asks and tells during one request: credentials, limits, a server's words."""

    def __init__(self, remote: Remote, credentials: Credentials | None, cancelled: threading.Event) -> None:
        super().__init__()
        self.remote = remote
        self.held = credentials
        self._cancelled = cancelled
        self._asked = False
        self._calls = 0
        self.said = ""  # by the server, on the side band
        self.update_refusals: dict[str, str] = {}

    def credentials(self, url: str, username_from_url: str | None, allowed_types: int) -> pygit2.UserPass:  # noqa: ARG002
        """Give the password, once, to its own origin; libgit2 would ask for ever."""
        answer = address(url)
        if not isinstance(answer, Remote) or answer.origin != self.remote.origin:
            raise GitTrouble(f"{self.remote.url} redirects to another server, which gets no credentials", permanent=True)
        if self._asked or not isinstance(self.held, Basic):
            had = "refused the credentials" if self.held else "asks for credentials, and none are configured"
            raise GitTrouble(f"{self.remote.url} {had}", permanent=True)
        self._asked = True
        return pygit2.UserPass(self.held.username, self.held.password)

    def custom_headers(self) -> list[str] | None:
        """Add the bearer token."""
        return [f"Authorization: Bearer {self.held.token}"] if isinstance(self.held, Bearer) else None

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002
        """Trust what the trust store trusts, nothing else."""
        return valid

    def transfer_progress(self, stats: pygit2.remotes.TransferProgress) -> None:
        """Stop a fetch that is without end, or that nobody waits for."""
        self._calls += 1
        if self._calls % CHECK_EVERY != 1:
            return
        if self._cancelled.is_set():
            raise GitTrouble("stopped: the program ends")
        if stats.received_bytes > RECEIVE_LIMIT_BYTES or stats.total_objects > OBJECTS_LIMIT:
            raise GitTrouble(f"{self.remote.url} sent more than {RECEIVE_LIMIT_BYTES >> 30} GiB or {OBJECTS_LIMIT:,} objects")

    def sideband_progress(self, string: str) -> None:
        """Keep the beginning of what the server tells (a hook's reason)."""
        if len(self.said) < MESSAGE_LIMIT:
            self.said += string

    def push_update_reference(self, refname: str, message: str | None) -> None:
        """Keep what the server says about each ref: `push` itself returns normally when it refuses."""
        if message is not None:
            self.update_refusals[refname] = message


def failure(error: Exception, remote: Remote, credentials: Credentials | None) -> GitFailure:
    """Say what an error of libgit2 means, in one sentence without secrets."""
    if isinstance(error, GitTrouble):
        return error.failure
    text = clean(str(error), credentials)
    if isinstance(error, pygit2.AuthError):
        return GitFailure(f"{remote.url} refused the credentials", permanent=True)
    if found := _STATUS.search(text):
        return _status(int(found[1]), remote)
    if found := _REDIRECT.search(text):
        return GitFailure(f"{remote.url} redirects from {found[1]} to {found[2]}; configure the final address", permanent=True)
    if "certificate" in text:
        return GitFailure(f"the certificate of {remote.origin[1]} is not trusted (or is for another name)", permanent=True)
    if "timed out" in text or "timeout" in text:
        return GitFailure(f"{remote.url} did not answer in time")
    return GitFailure(f"{remote.url} cannot be reached: {text}")


def _status(status: int, remote: Remote) -> GitFailure:
    match status:
        case 401 | 407:
            return GitFailure(f"{remote.url} refused the credentials", permanent=True)
        case 403:
            return GitFailure(f"{remote.url} denies access (403)", permanent=True)
        case 404 | 410:
            return GitFailure(f"there is no repository at {remote.url}, or no right to see it", permanent=True)
        case 429:
            return GitFailure(f"{remote.url} asks for fewer requests (429)")
    return GitFailure(f"{remote.url} answered with HTTP status {status}")


def clean(text: str, credentials: Credentials | None = None) -> str:
    """Make a foreign message safe to show: one line, bounded, without control characters, secrets or userinfo."""
    for secret in _secrets(credentials):
        text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]*@", "://", _CONTROL.sub(" ", text)).strip()
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"
