"""Where a cluster is and how to prove who we are: kubeconfig files, in-cluster service accounts, exec plug-ins.

Source: k8s.io/client-go (tools/clientcmd, rest/config.go, plugin/pkg/client/auth/exec).
"""

import asyncio
import base64
import json
import os
import signal
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flowdeck.clock import Clock
from flowdeck.kube import yaml_text
from flowdeck.kube.errors import Unauthorized
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import parse_time

PLUGIN_S = 60.0
"""How long a credential plug-in may take."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """The configuration does not say how to reach a cluster; the text says what is missing and where."""


@dataclass(frozen=True, kw_only=True)
class ExecPlugin:
    """A program that prints an `ExecCredential`."""

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    api_version: str = "client.authentication.k8s.io/v1"


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """How to reach one cluster as one user."""

    server: str
    """`https://127.0.0.1:6443`."""
    namespace: str = "default"
    ca_pem: str = ""
    insecure: bool = False
    """Do not check the server's certificate."""
    server_name: str = ""
    """Name that the server's certificate must have, where it is not the URL's host."""
    certificate_pem: str = ""
    key_pem: str = ""
    token: str = ""
    token_file: Path | None = None
    """Read again when it changes: kubelets rotate it."""
    username: str = ""
    password: str = ""
    exec_plugin: ExecPlugin | None = None

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS as the configuration says; None for plain HTTP."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cadata=self.ca_pem or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_pem:
            _load_certificate(context, self.certificate_pem, self.key_pem)
        return context


def _load_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL reads certificates from files only: a private one, gone at once."""
    descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(certificate + "\n" + key)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


def load_kubeconfig(path: Path, *, context: str = "") -> ClusterConfig:
    """Reads a kubeconfig file; `context` overrides its current one. Raises `ConfigError`."""
    try:
        tree = yaml_text.load(path.read_text())
    except OSError as error:
        raise ConfigError(f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except yaml_text.YamlError as error:
        raise ConfigError(f"kubeconfig {path} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"kubeconfig {path} is empty")
    name = context or tree.get("current-context") or ""
    chosen = _named(tree, "contexts", name, "context", path)
    cluster = _named(tree, "clusters", chosen.get("cluster", ""), "cluster", path)
    user = _named(tree, "users", chosen["user"], "user", path) if chosen.get("user") else {}
    return ClusterConfig(
        server=str(cluster.get("server") or "").rstrip("/"),
        namespace=chosen.get("namespace") or "default",
        ca_pem=_pem(cluster, "certificate-authority", path),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name") or "",
        certificate_pem=_pem(user, "client-certificate", path),
        key_pem=_pem(user, "client-key", path),
        token=user.get("token") or "",
        token_file=path.parent / user["tokenFile"] if user.get("tokenFile") else None,
        username=user.get("username") or "",
        password=user.get("password") or "",
        exec_plugin=_exec_plugin(user.get("exec")),
    )


def in_cluster(host: str, port: str) -> ClusterConfig:
    """What a pod knows of its own cluster. Raises `ConfigError` outside of one."""
    ca = SERVICE_ACCOUNT / "ca.crt"
    if not host or not ca.exists():
        raise ConfigError("not inside a cluster: KUBERNETES_SERVICE_HOST or the service account's files are missing")
    shown = f"[{host}]" if ":" in host else host
    return ClusterConfig(
        server=f"https://{shown}:{port}",
        namespace=(SERVICE_ACCOUNT / "namespace").read_text().strip(),
        ca_pem=ca.read_text(),
        token_file=SERVICE_ACCOUNT / "token",
    )


def _named(tree: Tree, group: str, name: str, word: str, path: Path) -> Tree:
    for entry in tree.get(group) or ():
        if entry.get("name") == name:
            return dict(entry.get(word) or {})
    raise ConfigError(f'kubeconfig {path} has no {word} named "{name}"')


def _pem(tree: Tree, word: str, path: Path) -> str:
    if tree.get(f"{word}-data"):
        return base64.b64decode(tree[f"{word}-data"]).decode()
    if tree.get(word):
        return (path.parent / str(tree[word])).read_text()
    return ""


def _exec_plugin(tree: Tree | None) -> ExecPlugin | None:
    if not tree:
        return None
    return ExecPlugin(
        command=tree["command"],
        args=tuple(tree.get("args") or ()),
        env={item["name"]: item["value"] for item in tree.get("env") or ()},
        api_version=tree.get("apiVersion") or "client.authentication.k8s.io/v1",
    )


class Credentials:
    """The `Authorization` header of a configuration, kept fresh."""

    def __init__(self, config: ClusterConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._expires: datetime | None = None
        self._read_at: float | None = None

    async def header(self) -> str:
        """`Bearer ...`, `Basic ...` or `""`. Raises `Unauthorized` when a plug-in fails: it may do better next time."""
        config = self._config
        if config.token_file:
            return f"Bearer {self._token_of(config.token_file)}"
        if config.token:
            return f"Bearer {config.token}"
        if config.username:
            pair = f"{config.username}:{config.password}".encode()
            return f"Basic {base64.b64encode(pair).decode()}"
        if config.exec_plugin:
            async with self._lock:
                if not self._token or (self._expires and self._expires <= self._clock.now()):
                    await self._run(config.exec_plugin)
            return f"Bearer {self._token}"
        return ""

    def forget(self) -> None:
        """The server did not take them: get new ones next time."""
        self._token = ""
        self._read_at = None

    def _token_of(self, path: Path) -> str:
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at > 60:
            self._token = path.read_text().strip()
            self._read_at = now
        return self._token

    async def _run(self, plugin: ExecPlugin) -> None:
        request = {
            "apiVersion": plugin.api_version,
            "kind": "ExecCredential",
            "spec": {"interactive": False, "cluster": {"server": self._config.server}},
        }
        env = {**os.environ, **plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(request)}  # noqa: TID251 - as client-go
        told = f"credential plug-in {plugin.command}"
        try:
            async with asyncio.timeout(PLUGIN_S):
                code, out, err = await _output_of([plugin.command, *plugin.args], env)
        except TimeoutError:
            raise Unauthorized(f"{told} took more than {PLUGIN_S:g} s") from None
        except OSError as error:
            raise Unauthorized(f"{told} cannot be started: {error.strerror}") from error
        if code != 0:
            raise Unauthorized(f"{told} failed: {err.decode(errors='replace').strip()}")
        try:
            status: dict[str, Any] = json.loads(out).get("status") or {}
            expires = parse_time(status["expirationTimestamp"]) if status.get("expirationTimestamp") else None
        except (ValueError, AttributeError) as error:
            raise Unauthorized(f"{told} printed no ExecCredential: {error}") from error
        self._token, self._expires = status.get("token") or "", expires
        if not self._token:
            raise Unauthorized(f"{told} gave no token")


async def _output_of(command: Sequence[str], env: Mapping[str, str]) -> tuple[int | None, bytes, bytes]:
    """Runs a program to its end; gives its exit code and what it printed. Where nobody waits any more, it is killed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode, out, err
