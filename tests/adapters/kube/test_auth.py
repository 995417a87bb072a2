"""Reading kubeconfigs: what may be done depends on where they came from, and what cannot work is told at start."""

from __future__ import annotations

import base64
import copy
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client import Configuration

from reconciler.adapters.kube.auth import InCluster, KubeconfigData, KubeconfigFile, connection
from reconciler.adapters.kube.credentials import ExecPlugin, TokenFile
from reconciler.errors import ConfigError

AUTHORITY = trustme.CA()
CA_DATA = base64.b64encode(AUTHORITY.cert_pem.bytes()).decode()
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "IfAvailable"}


def kubeconfig(user: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One context; underscores in the names of `more`, which go to the cluster, stand for dashes."""
    cluster = {name.replace("_", "-"): value for name, value in more.items()}
    server = {"server": "https://203.0.113.7:6443", "certificate-authority-data": CA_DATA}
    return {
        "clusters": [{"name": "c", "cluster": server | cluster}],
        "users": [{"name": "u", "user": {"token": "t0ken"} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def refusal(content: Any, context: str = "") -> str:
    """Why `content`, handed over as data, is refused."""
    with pytest.raises(ConfigError) as refused:
        connection(KubeconfigData(content, "of a test", context))
    return str(refused.value).removeprefix("kubeconfig of a test: ")


def configured(content: Any, context: str = "") -> Any:
    """The package's configuration made of `content`, handed over as data."""
    return connection(KubeconfigData(content, "of a test", context)).api.configuration


def written(folder: Path, content: Any) -> KubeconfigFile:
    path = folder / "config"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return KubeconfigFile(path)


def test_data_gives_a_connection() -> None:
    made = configured(kubeconfig(tls_server_name="api.example", proxy_url="http://proxy:3128"))
    assert (made.host, made.api_key, made.tls_server_name, made.proxy) == (
        "https://203.0.113.7:6443",
        {"BearerToken": "Bearer t0ken"},
        "api.example",
        "http://proxy:3128",
    )


def test_a_context_may_be_named() -> None:
    content = kubeconfig()
    content["users"].append({"name": "b", "user": {"username": "bob", "password": "pass:word"}})
    content["contexts"].append({"name": "y", "context": {"cluster": "c", "user": "b"}})
    assert configured(content, "y").api_key == {"BearerToken": "Basic " + base64.b64encode(b"bob:pass:word").decode()}


def test_data_may_not_run_programs_name_files_or_waive_checks(tmp_path: Path) -> None:
    """The same are fine in a file of the operator's: CVE-2022-24817 was a kubeconfig from a Secret that ran a program."""
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    only = "allowed only in a kubeconfig file of the operator's"
    cases: list[tuple[dict[str, Any], str]] = [
        (kubeconfig({"exec": EXEC}), f"an exec plug-in is {only}"),
        (kubeconfig({"tokenFile": "/etc/shadow"}), f"tokenFile names a file, which is {only}"),
        (kubeconfig(insecure_skip_tls_verify=True), f"insecure-skip-tls-verify is {only}"),
    ]
    by_file = kubeconfig(certificate_authority="ca.pem")
    del by_file["clusters"][0]["cluster"]["certificate-authority-data"]
    cases.append((by_file, f"certificate-authority names a file, which is {only}"))
    for content, reason in cases:
        assert refusal(content) == reason
        connection(written(tmp_path, content))


def test_certificates_are_checked_as_kubectl_does(tmp_path: Path) -> None:
    """Not at all where the operator says so; and never more strictly than clusters' own authorities can bear (Python 3.13)."""
    usual, waived = (
        connection(written(tmp_path, kubeconfig(insecure_skip_tls_verify=insecure))).api.rest_client.ssl_context
        for insecure in (False, True)
    )
    assert (usual.check_hostname, usual.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert (waived.check_hostname, waived.verify_mode) == (False, ssl.CERT_NONE)
    assert not usual.verify_flags & ssl.VERIFY_X509_STRICT


def test_file_references_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    login = written(tmp_path, kubeconfig({"tokenFile": "sub/token"}))
    assert isinstance(connection(login).credentials, TokenFile)
    plugin = connection(written(tmp_path, kubeconfig({"exec": EXEC}))).credentials
    assert isinstance(plugin, ExecPlugin)
    assert plugin.command == (str(tmp_path / "./login"),)


def test_a_shape_that_cannot_work_is_refused_with_what_to_mend() -> None:
    no_context = kubeconfig()
    del no_context["current-context"]
    twice = kubeconfig()
    twice["clusters"] *= 2
    nowhere = kubeconfig()
    nowhere["contexts"][0]["context"]["cluster"] = "z"
    half = kubeconfig({"client-certificate-data": CA_DATA})
    through_a_proxy = kubeconfig(server="http://127.0.0.1", proxy_url="http://203.0.113.9")
    cases: list[tuple[Any, str]] = [
        ({}, "no context is named and there is no current-context"),
        (no_context, "no context is named and there is no current-context"),
        (twice, "2 entries of clusters are named 'c' (there are: c, c)"),
        (nowhere, "no entries of clusters are named 'z' (there are: c)"),
        (kubeconfig(server="ftp://example"), "server must be http(s)://host[:port][/path], without a user"),
        (kubeconfig(server="https://me:pw@example"), "server must be http(s)://host[:port][/path], without a user"),
        (kubeconfig(server="https://example:99999"), "server must be http(s)://host[:port][/path], without a user"),
        (kubeconfig(server=7), "server must be a text"),
        (kubeconfig(proxy_url="socks5://proxy"), "proxy-url must be an http or https proxy"),
        (kubeconfig(proxy_url="http://[proxy"), "proxy-url must be an http or https proxy"),
        (kubeconfig(certificate_authority_data="*"), "certificate-authority-data is not base64"),
        (half, "client-certificate and client-key must stand together"),
        (kubeconfig({"auth-provider": {"name": "gcp"}}), "auth-provider is no longer supported by Kubernetes: use an exec plug-in"),
        (kubeconfig({"token": "two\r\nlines"}), "the token holds characters that no token has"),
        (kubeconfig(server="http://203.0.113.7"), "http://203.0.113.7 is not encrypted: credentials are not sent there"),
        (kubeconfig(server="HTTP://203.0.113.7"), "HTTP://203.0.113.7 is not encrypted: credentials are not sent there"),
        (through_a_proxy, "http://127.0.0.1 is not encrypted: credentials are not sent there"),
    ]
    assert [refusal(content) for content, _ in cases] == [reason for _, reason in cases]


def test_unencrypted_is_fine_on_this_machine_or_without_credentials() -> None:
    for server in ("http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost"):
        assert configured(kubeconfig(server=server)).host == server
    assert configured(kubeconfig({}, server="http://203.0.113.7")).api_key == {}


def test_a_file_that_cannot_be_used_is_named_without_its_content(tmp_path: Path) -> None:
    def said(login: KubeconfigFile) -> str:
        with pytest.raises(ConfigError) as refused:
            connection(login)
        return str(refused.value)

    assert said(KubeconfigFile(tmp_path / "none")) == f"kubeconfig {tmp_path / 'none'}: No such file or directory"
    assert said(written(tmp_path, "- a\n")) == f"kubeconfig {tmp_path / 'config'}: not one mapping"
    assert said(written(tmp_path, "a: 1\ntoken: {secret-token\n")) == f"kubeconfig {tmp_path / 'config'}: not YAML (line 3)"
    assert said(written(tmp_path, "a: !!python/object/apply:os.abort []")).endswith("there is no current-context")
    assert said(written(tmp_path, "[" * 100_000)).startswith(f"kubeconfig {tmp_path / 'config'}: not YAML")
    assert said(written(tmp_path, "#" * (5 * 1024 * 1024))) == f"kubeconfig {tmp_path / 'config'}: larger than 4194304 bytes"
    unusable = kubeconfig({"client-certificate-data": CA_DATA, "client-key-data": CA_DATA})
    assert said(written(tmp_path, unusable)).startswith(f"kubeconfig {tmp_path / 'config'}: certificates: ")


def test_nobody_is_asked_for_the_password_of_a_key() -> None:
    """OpenSSL would ask at the terminal, and the daemon would wait there."""
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    certificate = AUTHORITY.issue_cert("client.test").cert_chain_pems[0].bytes()
    user = {name: base64.b64encode(pem).decode() for name, pem in [("client-certificate-data", certificate), ("client-key-data", locked)]}
    assert refusal(kubeconfig(user)).startswith("certificates: ")


def test_each_cluster_has_a_configuration_of_its_own() -> None:
    """What the package keeps as the default for all stays empty."""
    first, second = configured(kubeconfig({"token": "first"})), configured(kubeconfig({"token": "second"}))
    assert [first.api_key, second.api_key] == [{"BearerToken": "Bearer first"}, {"BearerToken": "Bearer second"}]
    assert Configuration.get_default_copy().api_key == {}


def test_nothing_secret_shows_in_the_text_of_what_was_read() -> None:
    content = kubeconfig({"token": "precious"}, proxy_url="http://u:pass@proxy")
    login = KubeconfigData(content, "of a test")
    assert "precious" not in repr(login)
    assert "precious" not in repr(connection(login))
    assert "pass" not in repr(connection(login))


def test_outside_a_pod_there_is_no_service_account() -> None:
    with pytest.raises(ConfigError, match="not in a pod"):
        connection(InCluster())


@given(st.data())
def test_whatever_is_handed_over_is_a_connection_or_a_config_error(data: st.DataObject) -> None:
    """Any value in the place of any other."""
    content = copy.deepcopy(kubeconfig({"token": "t", "client-certificate-data": CA_DATA, "username": "u", "exec": dict(EXEC)}))
    places = [*_places(content)]
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = data.draw(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()) | st.just({}) | st.just([{}]))
    try:
        connection(KubeconfigData(content, "of a test"))
    except ConfigError as error:
        assert "\n" not in str(error)


def _places(value: Any) -> list[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *_places(value[key])]]
