"""Where a cluster is and how to log in to it: kubeconfigs, and the service account of the pod that we run in.

Law of the module: what a kubeconfig may do depends on where it came from. A *file* was named by the operator: it may run a plug-in,
name files, and waive the check of certificates, as kubectl does with it. *Data* came from elsewhere (a Secret): it may do none of
these. Credentials that cannot be had are an error, never an anonymous request; they never travel unencrypted to another machine.

We judge, `kubernetes.aio` reads: it is handed one context with nothing in it that was not looked at. A shape that cannot work is a
`ConfigError` at start. Format: kubernetes.io/docs/reference/config-api/kubeconfig.v1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reconciler.adapters.kube import half
from reconciler.adapters.kube.credentials import ExecPlugin, TokenFile
from reconciler.adapters.kube.tls import Pem, Tls
from reconciler.core.yaml import load
from reconciler.errors import ConfigError

if TYPE_CHECKING:  # a tenth of a second and 14 MB: paid by those who connect, not by every command
    from kubernetes.aio.client import ApiClient, Configuration

KUBECONFIG_LIMIT = 4 * 1024 * 1024  # bytes
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KubeconfigFile:
    """A kubeconfig that the operator names. `context` "" is its current context."""

    path: Path
    context: str = ""


@dataclass(frozen=True, slots=True)
class KubeconfigData:
    """A kubeconfig that somebody handed over; `origin` is what to call it."""

    content: Json = field(repr=False)
    origin: str
    context: str = ""


@dataclass(frozen=True, slots=True)
class InCluster:
    """The pod's own service account: kubernetes.io/docs/tasks/run-application/access-api-from-pod."""

    folder: Path = SERVICE_ACCOUNT


Login = KubeconfigFile | KubeconfigData | InCluster


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that one client needs. `api` is the package's, made for this cluster alone; `close` it with the client."""

    api: ApiClient = field(repr=False)
    tls: Tls = field(repr=False)
    credentials: TokenFile | ExecPlugin | None = field(default=None, repr=False)  # where they change: the hook of `api` asks them


def connection(login: Login) -> Connection:
    """Read `login`. Nothing is sent and no plug-in is run yet.

    Raises:
        ConfigError: it cannot be read, lacks something, or asks for what it may not.
    """
    half.alone()
    match login:
        case InCluster():
            return _in_cluster(login.folder)
        case KubeconfigFile():
            reader = _Reader(str(login.path), login.path.absolute().parent)
            return reader.connection(_read(login.path), login.context)
        case KubeconfigData():
            return _Reader(login.origin, None).connection(login.content, login.context)


def _in_cluster(folder: Path) -> Connection:
    from kubernetes.aio.client import Configuration  # noqa: PLC0415  see above
    from kubernetes.aio.config import ConfigException  # noqa: PLC0415
    from kubernetes.aio.config.incluster_config import InClusterConfigLoader  # noqa: PLC0415

    configuration, authority = Configuration(), folder / "ca.crt"
    try:
        InClusterConfigLoader(str(folder / "token"), str(authority)).load_and_set(configuration)  # reads the token again each minute
        api = _api(configuration)
    except (ConfigException, OSError, ValueError) as error:
        raise ConfigError(f"not in a pod with a service account ({error}): name a kubeconfig") from None
    return Connection(api, Tls(api.rest_client.ssl_context, Pem(file=authority)))


def _api(configuration: Configuration) -> ApiClient:
    """Raises OSError (ssl.SSLError), ValueError."""
    from kubernetes.aio.client import ApiClient  # noqa: PLC0415  see above

    configuration.connection_pool_maxsize = 0  # no limit: each watch holds a connection, requests have a limit of ours
    # Python 3.13 began to insist on extensions that many clusters' own authorities lack (kubeadm before 1.31 among them).
    configuration.disable_strict_ssl_verification = True
    return ApiClient(configuration)


def _read(path: Path) -> Json:
    try:
        with path.open("rb") as file:
            text = file.read(KUBECONFIG_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"kubeconfig {path}: {error.strerror}") from None
    if len(text) > KUBECONFIG_LIMIT:
        raise ConfigError(f"kubeconfig {path}: larger than {KUBECONFIG_LIMIT} bytes")
    loaded = load(text)
    if faults := [fault for fault in loaded.faults if fault.severity == "error"]:
        # Only the line: what is wrong may quote what stands there, a credential.
        raise ConfigError(f"kubeconfig {path}: not YAML (line {faults[0].line})")
    if len(loaded.documents) != 1 or not isinstance(loaded.documents[0].value, dict):
        raise ConfigError(f"kubeconfig {path}: not one mapping")
    content: Json = loaded.documents[0].value
    return content


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one kubeconfig. `base` is the folder of the operator's file; None where it may not name files or run programs."""

    origin: str
    base: Path | None

    def connection(self, content: Json, context: str) -> Connection:
        """The connection of `context`, or of the current one."""
        name = context or self._text(content, "current-context")
        if not name:
            raise self._error("no context is named and there is no current-context")
        chosen = self._named(content, "contexts", name, "context")
        cluster = self._named(content, "clusters", self._text(chosen, "cluster"), "cluster")
        user_name = self._text(chosen, "user")
        user = self._named(content, "users", user_name, "user") if user_name else {}
        certificate, key = self._pem(user, "client-certificate"), self._pem(user, "client-key")
        if (certificate is None) != (key is None):
            raise self._error("client-certificate and client-key must stand together")
        authority = self._pem(cluster, "certificate-authority")
        try:
            api = self._api(cluster, user, authority)
            tls = Tls(api.rest_client.ssl_context, authority, certificate, key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise self._error(f"certificates: {error}") from None
        credentials = self._changing(user, cluster, tls)
        if credentials is not None:
            api.configuration.refresh_api_key_hook = _asking(credentials)
        host, proxy = api.configuration.host, api.configuration.proxy
        unencrypted = urlsplit(host).scheme == "http" and not (_is_loopback(host) and (proxy is None or _is_loopback(proxy)))
        if unencrypted and (credentials or api.configuration.api_key):
            raise self._error(f"{host} is not encrypted: credentials are not sent there")
        return Connection(api, tls, credentials)

    def _api(self, cluster: Json, user: Json, authority: Pem | None) -> ApiClient:
        """What the package makes of one context. Raises ConfigError, and OSError, ValueError for what stands in `authority`."""
        from kubernetes.aio.client import Configuration  # noqa: PLC0415  see above
        from kubernetes.aio.config import load_kube_config_from_dict  # noqa: PLC0415

        checked = {
            "server": self._server(cluster),
            "proxy-url": self._proxy(cluster),
            "tls-server-name": self._text(cluster, "tls-server-name"),
            "insecure-skip-tls-verify": self._insecure(cluster),
        }
        content = {
            "clusters": [{"name": "it", "cluster": {name: value for name, value in checked.items() if value}}],
            "users": [{"name": "it", "user": self._lasting(user)}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        configuration = Configuration()  # of our own: the package's default, which all would share, stays untouched
        # Not by the kubeconfig: the package writes given PEM to files that it shares between clusters until the process ends.
        configuration.ca_cert_data = authority and authority.text()
        _without_waiting(load_kube_config_from_dict(content, "it", configuration))
        return _api(configuration)

    def _server(self, cluster: Json) -> str:
        server = self._text(cluster, "server").rstrip("/")
        try:
            parts = urlsplit(server)
            usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
        except ValueError:
            usable = False
            parts = urlsplit("")
        if not usable or parts.username is not None or parts.query or parts.fragment:
            raise self._error("server must be http(s)://host[:port][/path], without a user")
        return server

    def _proxy(self, cluster: Json) -> str:
        proxy = self._text(cluster, "proxy-url")
        try:
            usable = not proxy or (urlsplit(proxy).scheme in {"http", "https"} and urlsplit(proxy).hostname)
        except ValueError:
            usable = False
        if not usable:
            raise self._error("proxy-url must be an http or https proxy")
        return proxy

    def _insecure(self, cluster: Json) -> bool:
        insecure = cluster.get("insecure-skip-tls-verify") is True
        if insecure and self.base is None:
            raise self._error("insecure-skip-tls-verify is allowed only in a kubeconfig file of the operator's")
        return insecure

    def _lasting(self, user: Json) -> Json:
        """Of `user`, the credentials that never change; nothing where others go before them."""
        if "auth-provider" in user:
            raise self._error("auth-provider is no longer supported by Kubernetes: use an exec plug-in")
        if self._mapping(user, "exec") or self._text(user, "tokenFile"):  # before token, as in client-go
            return {}
        if token := self._text(user, "token"):
            if not token.isascii() or not token.isprintable():
                raise self._error("the token holds characters that no token has")
            return {"token": token}
        if name := self._text(user, "username"):
            return {"username": name, "password": self._text(user, "password")}
        return {}

    def _changing(self, user: Json, cluster: Json, tls: Tls) -> TokenFile | ExecPlugin | None:
        """Credentials that are fetched again and again, which the package does not do in a way that we could use."""
        if exec_config := self._mapping(user, "exec"):
            return self._exec_plugin(exec_config, cluster, tls)
        token_file = self._text(user, "tokenFile")
        return TokenFile(self._file(token_file, "tokenFile")) if token_file else None

    def _exec_plugin(self, config: Json, cluster: Json, tls: Tls) -> ExecPlugin:
        if self.base is None:
            raise self._error("an exec plug-in is allowed only in a kubeconfig file of the operator's")
        command = self._text(config, "command")
        version = self._text(config, "apiVersion")
        if not command:
            raise self._error("exec.command is missing")
        if version not in ExecPlugin.API_VERSIONS:
            raise self._error(f"exec.apiVersion must be one of {', '.join(ExecPlugin.API_VERSIONS)}")
        if config.get("interactiveMode") == "Always":
            raise self._error("the exec plug-in wants to talk to a person (interactiveMode: Always)")
        if "/" in command:  # relative to the kubeconfig; a bare name is looked up in PATH
            command = str(self.base / command)
        environment = {self._text(e, "name"): self._text(e, "value") for e in self._mappings(config, "env")}
        arguments = config.get("args") or []
        if not isinstance(arguments, list) or not all(isinstance(one, str) for one in arguments):
            raise self._error("exec.args must be a list of texts")
        told = _told_of(cluster) if config.get("provideClusterInfo") is True else None
        return ExecPlugin((command, *arguments), version, environment, told, tls=tls)

    def _pem(self, of: Json, key: str) -> Pem | None:
        """`<key>-data` (base64) or the file `<key>`; data wins, as in client-go."""
        if data := self._text(of, f"{key}-data"):
            try:
                return Pem(data=base64.b64decode(data, validate=True))
            except (binascii.Error, ValueError):
                raise self._error(f"{key}-data is not base64") from None
        path = self._text(of, key)
        return Pem(file=self._file(path, key)) if path else None

    def _file(self, path: str, key: str) -> Path:
        if self.base is None:
            raise self._error(f"{key} names a file, which is allowed only in a kubeconfig file of the operator's")
        return self.base / path

    def _named(self, content: Json, key: str, name: str, inner: str) -> Json:
        found = [one for one in self._mappings(content, key) if one.get("name") == name]
        if len(found) != 1:
            names = ", ".join(str(one.get("name")) for one in self._mappings(content, key)) or "none"
            raise self._error(f"{len(found) or 'no'} entries of {key} are named {name!r} (there are: {names})")
        return self._mapping(found[0], inner)

    def _mappings(self, of: Json, key: str) -> list[Json]:
        value = of.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
            raise self._error(f"{key} must be a list of mappings")
        return value

    def _mapping(self, of: Json, key: str) -> Json:
        value = of.get(key) or {}
        if not isinstance(value, Mapping):
            raise self._error(f"{key} must be a mapping")
        return value

    def _text(self, of: Json, key: str) -> str:
        value = of.get(key)
        if value is not None and not isinstance(value, str):
            raise self._error(f"{key} must be a text")
        return value or ""

    def _error(self, message: str) -> ConfigError:
        return ConfigError(f"kubeconfig {self.origin}: {message}")


def _told_of(cluster: Json) -> Json:
    """What a plug-in learns of a cluster: client-authentication.v1 `spec.cluster`."""
    extensions = {one.get("name"): one.get("extension") for one in cluster.get("extensions") or [] if isinstance(one, Mapping)}
    shared = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    told = {name: cluster[name] for name in shared if name in cluster}
    if "client.authentication.k8s.io/exec" in extensions:
        told["config"] = extensions["client.authentication.k8s.io/exec"]
    return told


def _without_waiting(loading: Coroutine[Any, Any, Any]) -> None:
    """Load at once: the package awaits only plug-ins and identity providers, neither of which it is given."""
    try:
        loading.send(None)
    except StopIteration:
        return
    raise AssertionError("the package waited for something")


def _asking(credentials: TokenFile | ExecPlugin) -> Callable[[Configuration], Coroutine[Any, Any, None]]:
    """The hook by which the package wants its token to be refreshed."""

    async def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = await credentials.authorization()

    return refresh


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
