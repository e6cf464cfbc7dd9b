"""A cluster on which the platform is installed, with the operator's replicas as processes of the test.

The processes have exactly the ServiceAccount's rights. The API server calls their webhooks by URL, through a `Front`
that leads to whichever replica takes the connection: what a Service does for pods.
"""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowdeck.client.http import HttpClient
from flowdeck.cluster.names import KEY, LEASE, NAMESPACE
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube import kinds
from flowdeck.kube.conditions import is_true
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from tests.kubernetes.rig.control_plane import RealCluster, free_ports

READY_S = 180.0
LOOK_S = 0.1
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:flowdeck"
LEADER = {"lease_s": 3, "renew_s": 2.0, "retry_s": 0.4}
"""Quicker than on a real cluster."""
IMAGE = "ghcr.io/kubeflow/trainer/xgboost-runtime:v2.3.0"


def flowdeck(cluster: RealCluster, *arguments: str, code: int = 0, stdin: str = "") -> str:
    """Runs a command against the cluster; gives what it prints, fails when it ends otherwise."""
    command = [sys.executable, "-m", "flowdeck.cli.main", *arguments, "--kubeconfig", str(cluster.kubeconfig)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stderr


class Front:
    """Takes TCP connections on a port of loopback, and leads them to the first backend that takes them."""

    def __init__(self, backends: Sequence[int]) -> None:
        self._backends = backends
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            backend = self._connect()
            if backend is None:
                client.close()
                continue
            for one, other in ((client, backend), (backend, client)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        for port in self._backends:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                continue
        return None


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        source.settimeout(None)
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass
class Site:
    """See the module's text."""

    cluster: RealCluster
    folder: Path
    client: HttpClient
    ports: dict[str, list[int]] = field(default_factory=dict)
    """By replica: webhooks, health, progress, pipelines."""
    leader_settings: Tree = field(default_factory=lambda: dict(LEADER))

    def start(self, replica: str) -> None:
        """Starts a replica (again)."""
        webhooks, health, progress, pipelines = self.ports[replica]
        settings = {
            "host": "127.0.0.1",
            "names": ["localhost"],
            "webhook_port": webhooks,
            "health_port": health,
            "leader": self.leader_settings,
            "training": {"progress_host": "127.0.0.1", "progress_port": progress},
            "pipelines": {"host": "127.0.0.1", "port": pipelines},
        }
        file = self.folder / f"{replica}.yaml"
        file.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "flowdeck.cli.main", "operator", "--identity", replica]
        command += ["--settings", str(file), "--kubeconfig", str(self.folder / "operator.kubeconfig")]
        self.cluster.processes.start(replica, command)

    def kill(self, replica: str) -> None:
        self.cluster.processes.kill(replica)

    async def leader(self, *, but: str = "") -> str:
        """Who leads; waits until somebody does, other than `but`."""

        async def led() -> str:
            lease = await self.client.find(kinds.LEASE, LEASE)
            holder = str((lease or {}).get("spec", {}).get("holderIdentity") or "")
            return holder if holder in self.cluster.processes.running and holder != but else ""

        return str(await until(led))

    async def all_webhooks_are_trusted(self) -> bool:
        for kind in (kinds.MUTATING_WEBHOOK_CONFIGURATION, kinds.VALIDATING_WEBHOOK_CONFIGURATION):
            for found in (await self.client.list(kind)).items:
                if not all(hook["clientConfig"].get("caBundle") for hook in found["webhooks"]):
                    return False
        return True

    async def train(self, name: str, runtime: str = "simple", **spec: Any) -> Tree:
        return await self.client.create(TRAIN_JOB, a_train_job(name, runtime, **spec))

    async def add_runtime(self, name: str, policy: Tree | None = None, **more: Any) -> Tree:
        return await self.client.create(CLUSTER_TRAINING_RUNTIME, a_runtime(name, policy, **more))

    async def ended(self, name: str, how: str = "Complete", within_s: float = READY_S) -> Tree:
        """The TrainJob once it has ended so."""

        async def over() -> Tree | None:
            job = await self.client.get(TRAIN_JOB, ObjectKey("default", name))
            return job if is_true(job, how) else None

        found: Tree = await until(over, within_s, f"TrainJob {name} is not {how}")
        return found

    def audit(self, *, user: str = "") -> Iterator[Tree]:
        """See the function."""
        return audit(self.cluster, user=user)


def audit(cluster: RealCluster, *, user: str = "") -> Iterator[Tree]:
    """What the API server of a strict cluster has answered so far, to one user or to all."""
    for line in cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        if not user or event["user"]["username"] == user:
            yield event


def created(events: Iterator[Tree]) -> list[tuple[str, str, str]]:
    """`(resource, namespace, name)` of each object that was really made; made by apply as well."""
    found = []
    for event in events:
        ref = event.get("objectRef") or {}
        was_made = event["verb"] in ("create", "patch") and event["responseStatus"].get("code") == 201
        if was_made and "subresource" not in ref:
            found.append((ref["resource"], ref.get("namespace", ""), ref.get("name", "")))
    return found


async def until(look: Callable[[], Any], within_s: float = READY_S, what: str = "it did not happen") -> Any:
    """What `look` finds, once that is something; the API server may be away meanwhile."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if found := await look():
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, f"{what} within {within_s:g} s"
        await asyncio.sleep(LOOK_S)


def a_train_job(name: str, runtime: str = "simple", **spec: Any) -> Tree:
    return {
        "apiVersion": TRAIN_JOB.api_version,
        "kind": TRAIN_JOB.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"runtimeRef": {"name": runtime}, "trainer": {"numNodes": 2}, **spec},
    }


def a_runtime(
    name: str, policy: Tree | None = None, *, jobs: Sequence[Tree] = (), job_set: Tree | None = None, **spec: Any
) -> Tree:
    """A runtime of small pods; `job_set` is more of its JobSet's spec."""
    template = {"replicatedJobs": list(jobs) or [a_job()], **(job_set or {})}
    metadata = {"name": name, "labels": {"trainer.kubeflow.org/framework": "plain"}}
    made = {"mlPolicy": {"numNodes": 2, **(policy or {})}, "template": {"spec": template}, **spec}
    api = CLUSTER_TRAINING_RUNTIME
    return {"apiVersion": api.api_version, "kind": api.kind, "metadata": metadata, "spec": made}


def a_job(name: str = "node", step: str = "trainer", *, runs_s: float = 1, ends_with: int = 0, **pod_spec: Any) -> Tree:
    """A job of a runtime; its simulated pods run for so long and end so."""
    pod = {"containers": [{"name": "node", "image": IMAGE, "command": ["sleep", "1"]}], **pod_spec}
    annotations = {
        "simulated.flowdeck.dev/run-seconds": str(runs_s),
        "simulated.flowdeck.dev/exit-code": str(ends_with),
    }
    labels = {"trainer.kubeflow.org/trainjob-ancestor-step": step} if step else {}
    spec = {"backoffLimit": 0, "template": {"metadata": {"annotations": annotations}, "spec": pod}}
    return {"name": name, "template": {"metadata": {"labels": labels}, "spec": spec}}


@contextmanager
def installed(cluster: RealCluster, folder: Path, replicas: Sequence[str] = ("left", "right")) -> Iterator[Site]:
    """The platform on a cluster; nothing runs yet but the node, where there is one."""
    flowdeck(cluster, "install", "--timeout", "0")
    site = Site(cluster, folder, cluster.client(), {name: free_ports(4) for name in replicas})
    front = Front([ports[0] for ports in site.ports.values()])
    asyncio.run(_prepare(site, front.port))
    try:
        yield site
    finally:
        for name in replicas:
            cluster.processes.stop(name)
        front.close()


async def _prepare(site: Site, port: int) -> None:
    """No pods of the operator; its account's token; webhooks by URL."""
    cluster = site.cluster
    async with cluster.client() as client:
        await client.delete(kinds.DEPLOYMENT, KEY, propagation="Foreground")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 36000},
        }
        token = (await client.create_sub(kinds.SERVICE_ACCOUNT, KEY, "token", request))["status"]["token"]
        for kind in (kinds.MUTATING_WEBHOOK_CONFIGURATION, kinds.VALIDATING_WEBHOOK_CONFIGURATION):
            for found in (await client.list(kind)).items:
                await _by_url(client, kind, found, port)
        await client.apply(CLUSTER_TRAINING_RUNTIME, _exempt(a_runtime("simple")), manager="test")
    user: Tree = {
        "clusters": [{"name": "c", "cluster": {"server": cluster.server, "certificate-authority": str(cluster.ca)}}]
    }
    user |= {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "users": [{"name": "u", "user": {"token": token}}], **user}
    (site.folder / "operator.kubeconfig").write_text(json.dumps(kubeconfig))


def _exempt(runtime: Tree) -> Tree:
    """Made before any webhook answers."""
    runtime["metadata"]["labels"]["trainer.kubeflow.org/webhook-validation"] = "disabled"
    return runtime


async def _by_url(client: HttpClient, kind: Kind, found: Tree, port: int) -> None:
    for hook in found["webhooks"]:
        path = hook["clientConfig"]["service"]["path"]
        hook["clientConfig"] = {"url": f"https://localhost:{port}{path}"}
    await client.update(kind, found)
