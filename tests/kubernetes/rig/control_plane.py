"""A control plane on loopback: etcd and kube-apiserver, and kube-controller-manager and kube-scheduler when wanted."""

import json
import os
import secrets
import shutil
import socket
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from tests.kubernetes.rig.processes import Processes

START_S = 120.0
SERVICE_RANGE = "10.96.0.0/16"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
NODES = ("flowdeck", "node-a", "node-b", "node-c")
"""Names that a node may join as: `kubeconfig("system:node:node-a")`."""
USERS = {
    "admin": ["system:masters"],
    "system:kube-controller-manager": [],
    "system:kube-scheduler": [],
    **{f"system:node:{name}": ["system:nodes"] for name in NODES},
}
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "omitManagedFields": True}],
}


@dataclass(frozen=True)
class RealCluster:
    """A running control plane."""

    folder: Path
    """Keys, kubeconfigs, `logs/`, etcd's data; gone afterwards."""
    binaries: Path
    server: str
    """`https://127.0.0.1:PORT`"""
    keys: pki.Pki
    tokens: dict[str, str]
    """Bearer tokens of `USERS` by name."""
    processes: Processes
    etcd: str = field(default="")
    is_strict: bool = False

    @property
    def ca(self) -> Path:
        """Who signed the server's certificate, and clients'."""
        return self.keys.ca

    @property
    def token(self) -> str:
        """Of a user in `system:masters`."""
        return self.tokens["admin"]

    @property
    def kubectl(self) -> Path:
        return self.binaries / "kubectl"

    @property
    def env(self) -> dict[str, str]:
        """Variables with which `kubectl` is the one that belongs to the cluster."""
        return {"PATH": f"{self.binaries}:{os.environ['PATH']}"}

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, with a client certificate."""
        return self.folder / "kubeconfig"

    @property
    def data(self) -> Path:
        """A folder for whoever runs programs against the cluster."""
        return self.folder

    def kubeconfig_of(self, user: str) -> Path:
        """Another user's, with a token; one of `USERS`."""
        path = self.folder / "users" / f"{user}.kubeconfig"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(_kubeconfig(self.server, self.ca, user, self.tokens[user])))
        return path

    def client(self, user: str = "") -> HttpClient:
        """A client as administrator, or as one of `USERS`; close it, or use it as an async context manager."""
        return HttpClient(load_kubeconfig(self.kubeconfig_of(user) if user else self.kubeconfig), SystemClock())

    @property
    def audit_log(self) -> Path:
        """Of a strict cluster: every request that was answered, a JSON event a line; of watches, begin and end."""
        return self.folder / "audit.log"

    # parts that tests stop and start again

    def stop_apiserver(self) -> None:
        """An outage: connections are refused until `start_apiserver`."""
        self.processes.kill("kube-apiserver")

    def start_apiserver(self) -> None:
        """(Again) on the same port and data; returns when it is ready."""
        self.processes.start("kube-apiserver", _apiserver(self))
        self.processes.wait_until("kube-apiserver", self.is_ready, START_S)

    def is_ready(self) -> bool:
        """Whether the API server takes requests, roles included."""
        request = urllib.request.Request(f"{self.server}/readyz", headers={"Authorization": f"Bearer {self.token}"})
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def control_plane(
    binaries: Path, *, controllers: bool, fsync: bool = False, strict: bool = False, requests_per_s: int = 0
) -> Iterator[RealCluster]:
    """Runs one until the context ends. `controllers`: with kube-controller-manager and kube-scheduler.

    `fsync`: etcd waits for the disk, as it does in production; for tests there is nothing to lose. `strict`: requests
    are audited, and whoever makes an object the property of another one must have a right to that one's finalizers.
    `requests_per_s`: what each controller may ask of the API server; 0: their own 20 and 50.
    """
    folder = Path(tempfile.mkdtemp(prefix="kubernetes-"))
    processes = Processes(folder / "logs")
    try:
        cluster = replace(_cluster(folder, binaries, processes), is_strict=strict)
        processes.start("etcd", _etcd(cluster, fsync=fsync))
        cluster.start_apiserver()
        for name in CONTROLLERS if controllers else ():
            processes.start(name, [*_controllers(cluster, name), *_limits(requests_per_s)])
        yield cluster
    finally:
        processes.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def start_controllers(cluster: RealCluster, name: str) -> None:
    """(Again) one of `CONTROLLERS`."""
    cluster.processes.start(name, _controllers(cluster, name))


def _cluster(folder: Path, binaries: Path, processes: Processes) -> RealCluster:
    keys = pki.prepare(folder / "pki", node=NODES[0], now=SystemClock().now())
    tokens = {user: secrets.token_urlsafe(24) for user in USERS}
    lines = [f'{tokens[user]},{user},{user},"{",".join(groups)}"\n' for user, groups in USERS.items()]
    (folder / "tokens.csv").write_text("".join(lines))
    (folder / "service-account.pub").write_bytes(_public(keys.service_account.read_bytes()))
    api_port, client_port, peer_port = free_ports(3)
    server = f"https://127.0.0.1:{api_port}"
    pki.write_kubeconfig(folder / "kubeconfig", server=server, pki=keys, certificate=keys.admin)
    return RealCluster(
        folder=folder,
        binaries=binaries,
        server=server,
        keys=keys,
        tokens=tokens,
        processes=processes,
        etcd=f"https://127.0.0.1:{client_port},https://127.0.0.1:{peer_port}",
    )


def _public(private_pem: bytes) -> bytes:
    """The other half of a key: the API server does not take it out of this kind of file."""
    key = serialization.load_pem_private_key(private_pem, None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has; free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _etcd(cluster: RealCluster, *, fsync: bool) -> Sequence[str | Path]:
    client, peer = cluster.etcd.split(",")
    keys = cluster.keys
    command: list[str | Path] = [cluster.binaries / "etcd", "--data-dir", cluster.folder / "etcd"]
    command += ["--listen-client-urls", client, "--advertise-client-urls", client]
    command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
    command += ["--initial-cluster", f"default={peer}", "--log-level", "warn"]
    for prefix in ("", "peer-"):
        command += [f"--{prefix}cert-file", keys.server, f"--{prefix}key-file", keys.server]
        command += [f"--{prefix}trusted-ca-file", keys.ca, f"--{prefix}client-cert-auth"]
    return command if fsync else [*command, "--unsafe-no-fsync"]


def _apiserver(cluster: RealCluster) -> Sequence[str | Path]:
    keys = cluster.keys
    options: dict[str, str | Path] = {
        "etcd-servers": cluster.etcd.split(",")[0],
        "etcd-cafile": keys.ca,
        "etcd-certfile": keys.admin,
        "etcd-keyfile": keys.admin,
        "bind-address": "127.0.0.1",
        "secure-port": cluster.server.rpartition(":")[2],
        # endpoints may not have loopback addresses, so the Service `kubernetes` gets none
        "endpoint-reconciler-type": "none",
        "tls-cert-file": keys.server,
        "tls-private-key-file": keys.server,
        "client-ca-file": keys.ca,
        "token-auth-file": cluster.folder / "tokens.csv",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "service-cluster-ip-range": SERVICE_RANGE,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": cluster.folder / "service-account.pub",
        "service-account-signing-key-file": keys.service_account,
        "kubelet-certificate-authority": keys.ca,
        "kubelet-client-certificate": keys.kubelet_client,
        "kubelet-client-key": keys.kubelet_client,
        "kubelet-preferred-address-types": "InternalIP,Hostname",
        # no proxy runs on this host: webhooks are called at their pods, not at their Service's address
        "enable-aggregator-routing": "true",
    }
    if cluster.is_strict:
        policy = cluster.folder / "audit-policy.yaml"
        policy.write_text(json.dumps(_AUDIT_POLICY))
        options |= {"audit-policy-file": policy, "audit-log-path": cluster.audit_log}
        options["enable-admission-plugins"] = "NodeRestriction,OwnerReferencesPermissionEnforcement"
    return [cluster.binaries / "kube-apiserver", *(f"--{name}={value}" for name, value in options.items())]


def _controllers(cluster: RealCluster, name: str) -> Sequence[str | Path]:
    kubeconfig = cluster.kubeconfig_of(f"system:{name}")
    options: dict[str, str | Path] = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": str(free_ports(1)[0]),
        "leader-elect": "false",
    }
    if name == "kube-controller-manager":
        options |= {
            "service-account-private-key-file": cluster.keys.service_account,
            "root-ca-file": cluster.ca,
            "cluster-signing-cert-file": cluster.keys.folder / "ca.pem",
            "cluster-signing-key-file": cluster.keys.folder / "ca.pem",
            "use-service-account-credentials": "true",
        }
    return [cluster.binaries / name, *(f"--{option}={value}" for option, value in options.items())]


def _limits(requests_per_s: int) -> Sequence[str]:
    return [f"--kube-api-qps={requests_per_s}", f"--kube-api-burst={2 * requests_per_s}"] if requests_per_s else []


def _kubeconfig(server: str, ca: Path, user: str, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "real", "cluster": {"server": server, "certificate-authority": str(ca)}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": user}}],
        "current-context": "real",
        "users": [{"name": user, "user": {"token": token}}],
    }
