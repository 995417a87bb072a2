"""Fresh credentials: files that change, plug-ins that run once for all, certificates that are renewed; and what fails, says so."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509

from reconciler.adapters.kube.auth import KubeconfigFile, connection
from reconciler.adapters.kube.credentials import CredentialsError, ExecPlugin, TokenFile
from reconciler.adapters.kube.tls import Pem, Tls
from tests.waiting import until

V1 = ExecPlugin.API_VERSIONS[0]
TLS = Tls(ssl.create_default_context())


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """Also when it is swapped as a whole by its link, as mounted tokens are."""
    (tmp_path / "1").write_text("first\n")
    (tmp_path / "2").write_text("later\n")
    (tmp_path / "token").symlink_to("1")
    file = TokenFile(tmp_path / "token")

    async def read() -> list[str]:
        seen = [await file.authorization(), await file.authorization()]
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").rename(tmp_path / "token")
        seen.append(await file.authorization())
        (tmp_path / "2").write_text("written over")
        return [*seen, await file.authorization()]

    assert asyncio.run(read()) == ["Bearer first", "Bearer first", "Bearer later", "Bearer written over"]


def test_a_token_file_without_a_token_is_an_error(tmp_path: Path) -> None:
    def said(content: bytes | None) -> str:
        path = tmp_path / "token"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CredentialsError) as refused:
            asyncio.run(TokenFile(path).authorization())
        return str(refused.value).removeprefix(f"token file {path}: ")

    assert [said(c) for c in (None, b"", b"\n", b"a\r\nHost: b", b"\xff")] == [
        "No such file or directory",
        "empty",
        "empty",
        "not one line of text",
        "not text",
    ]


class Plugin:
    """A credential plug-in in Python, which counts how often it ran."""

    def __init__(self, folder: Path, body: str, **more: Any) -> None:
        self.runs_file = folder / "runs"
        script = folder / "plugin.py"
        script.write_text(f"import json, os, sys\nopen({str(self.runs_file)!r}, 'a').write('.')\n{body}\n")
        self.credentials = ExecPlugin((sys.executable, str(script)), V1, {"ROLE": "deployer"}, None, tls=TLS, **more)

    @property
    def runs(self) -> int:
        return len(self.runs_file.read_text())

    def ask(self, count: int = 1) -> list[str]:
        async def ask() -> list[str]:
            return await asyncio.gather(*(self.credentials.authorization() for _ in range(count)))

        return asyncio.run(ask())

    def refusal(self) -> str:
        with pytest.raises(CredentialsError) as refused:
            self.ask()
        return str(refused.value)


def printing(**status: Any) -> str:
    return f"print(json.dumps({{'apiVersion': {V1!r}, 'kind': 'ExecCredential', 'status': {status!r}}}))"


def in_seconds(seconds: float) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def test_a_plugin_runs_once_for_all_who_wait(tmp_path: Path) -> None:
    plugin = Plugin(tmp_path, printing(token="t0ken"))
    assert plugin.ask(20) == ["Bearer t0ken"] * 20
    assert plugin.ask() == ["Bearer t0ken"]
    assert plugin.runs == 1


def test_a_plugin_runs_again_when_its_credential_is_old_or_was_refused(tmp_path: Path) -> None:
    """Four fifths of a life that is over already have passed; a refusal of an older header says nothing of this one."""
    fresh = Plugin(tmp_path, printing(token="t0ken", expirationTimestamp=in_seconds(3600)))
    fresh.ask()
    fresh.credentials.refused("Bearer older")
    fresh.ask()
    assert fresh.runs == 1
    fresh.credentials.refused("Bearer t0ken")
    fresh.ask()
    assert fresh.runs == 2
    fresh.runs_file.unlink()
    old = Plugin(tmp_path, printing(token="t0ken", expirationTimestamp=in_seconds(-1)))
    old.ask()
    old.ask()
    assert old.runs == 2


def test_a_plugin_is_told_what_the_protocol_says(tmp_path: Path) -> None:
    plugin = Plugin(
        tmp_path,
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\ninfo['status'] = {'token': os.environ['ROLE']}\n"
        "assert info['spec'] == {'interactive': False} and sys.stdin.read() == ''\nprint(json.dumps(info))",
    )
    assert plugin.ask() == ["Bearer deployer"]


def test_a_plugin_that_fails_says_why_and_nothing_secret(tmp_path: Path) -> None:
    name = f"the credential plug-in {Path(sys.executable).name}"
    cases = {
        "sys.exit('no login for https://me:secret@idp/')": f"{name} ended with 1: no login for https://***@idp/",
        "print('{')": f"{name} did not print JSON",
        "print('[]')": f"{name} did not print an ExecCredential of {V1}",
        printing(token=""): f"{name} printed neither a token nor a certificate with its key",
        printing(token="a\r\nb"): f"{name} its token holds characters that no token has",
        printing(token="a", expirationTimestamp="soon"): f"{name} its expirationTimestamp is not RFC 3339",
        printing(clientCertificateData="x"): f"{name} printed neither a token nor a certificate with its key",
        "print('x' * 3_000_000)": f"{name} did not print JSON",
    }
    assert {body: Plugin(tmp_path, body).refusal() for body in cases} == cases
    assert Plugin(tmp_path, printing(clientCertificateData="x", clientKeyData="y")).refusal().startswith(f"{name} its certificate")


def test_a_plugin_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = (
        "import subprocess\nchild = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\nchild.wait()"
    )
    plugin = Plugin(tmp_path, body, limit_seconds=1.0)
    assert plugin.refusal() == f"the credential plug-in {Path(sys.executable).name} did not end within 1 s"
    assert_gone(pids.read_text().split())


def test_a_plugin_does_not_outlive_the_loop_that_waits_for_it(tmp_path: Path) -> None:
    """Neither when the one request that wanted it gave up."""
    pids = tmp_path / "pids"
    plugin = Plugin(tmp_path, f"open({str(pids)!r}, 'w').write(str(os.getpid()))\nimport threading; threading.Event().wait()")

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(plugin.credentials.authorization(), 1.0)
        assert _runs(pids.read_text())  # another may still want it

    asyncio.run(give_up())
    assert_gone([pids.read_text()])


def test_a_renewed_certificate_is_shown_to_new_connections(tmp_path: Path) -> None:
    authority = trustme.CA()

    def issue(name: str) -> Callable[[], None]:
        leaf = authority.issue_cert("client.test", common_name=name)

        def write_certificate() -> None:
            leaf.cert_chain_pems[0].write_to_path(tmp_path / "crt")

        leaf.private_key_pem.write_to_path(tmp_path / "key")
        return write_certificate

    issue("first")()
    (tmp_path / "ca").write_bytes(authority.cert_pem.bytes())
    tls, context = opened(tmp_path, {"client-certificate": "crt", "client-key": "key"}, "ca")
    assert shown_name(context, authority) == "first"
    write_certificate = issue("second")
    tls.refresh()  # the key is written, its certificate not yet
    assert shown_name(context, authority) == "first"
    write_certificate()
    tls.refresh()
    assert shown_name(context, authority) == "second"
    (tmp_path / "crt").unlink()
    tls.refresh()
    assert shown_name(context, authority) == "second"


def test_a_key_that_was_given_leaves_no_file_behind(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("client.test")
    temporary = Path(tempfile.gettempdir())
    before = [*temporary.glob("reconciler-*")]
    Tls(ssl.create_default_context(), None, Pem(data=leaf.cert_chain_pems[0].bytes()), Pem(data=leaf.private_key_pem.bytes()))
    assert [*temporary.glob("reconciler-*")] == before


def test_an_authority_that_is_added_to_its_file_is_trusted(tmp_path: Path) -> None:
    """As when a cluster moves to a new one: both stand in the file for a while."""
    old, new = trustme.CA(), trustme.CA()
    (tmp_path / "ca").write_bytes(old.cert_pem.bytes())
    tls, context = opened(tmp_path, {}, "ca")
    assert len(context.get_ca_certs()) == 1
    (tmp_path / "ca").write_bytes(old.cert_pem.bytes() + new.cert_pem.bytes())
    tls.refresh()
    assert len(context.get_ca_certs()) == 2


def opened(folder: Path, user: dict[str, str], authority: str) -> tuple[Tls, ssl.SSLContext]:
    """The TLS side of a connection made from a kubeconfig in `folder`."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": "https://203.0.113.7", "certificate-authority": authority}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "config").write_text(json.dumps(config))
    made = connection(KubeconfigFile(folder / "config"))
    return made.tls, made.api.rest_client.ssl_context


def shown_name(client: ssl.SSLContext, authority: trustme.CA) -> str:
    """As whom a connection with this context shows itself: a handshake in memory."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(server)
    authority.issue_cert("server.test").configure_cert(server)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="server.test"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = sides[1].getpeercert(binary_form=True)
    assert shown
    [name] = x509.load_der_x509_certificate(shown).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(name.value)


def assert_gone(pids: list[str]) -> None:
    until(lambda: not any(_runs(pid) for pid in pids), f"processes {pids} to be gone", 10)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
