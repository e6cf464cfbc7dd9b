"""The platform on a real cluster: a control plane, our node, and what `flowdeck install` brings.

The operator's replicas are pods of our node; the API server reaches their webhooks at their addresses. Where components
shall keep something, a PostgreSQL and an S3 server are pods there, too.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.client.http import HttpClient
from flowdeck.cluster.names import NAMESPACE, STORES
from flowdeck.components.pipelines.settings import NAMESPACE as PIPELINES_NAMESPACE
from flowdeck.kube.objects import Tree
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.joined_node import joined
from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import RealCluster, control_plane
from tests.pipelines.servers import S3, postgresql_beside, s3_beside

NODE = "flowdeck"
INSTALL_S = 180
VOLUMES = 8
"""How many claims the tests of a session may make."""
BUCKET = "artifacts"


@dataclass(frozen=True)
class InstalledPlatform:
    """What scenarios need of a platform, as `flowdeck.testing.platform.RunningPlatform` has it."""

    cluster: RealCluster
    data: Path
    """The node's data folder: images.toml, pods, logs."""
    artifacts: Artifacts | None = None
    """Where components keep theirs, if that was wanted."""

    @property
    def server(self) -> str:
        return self.cluster.server

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig

    def client(self) -> HttpClient:
        return self.cluster.client()


@contextmanager
def installed(
    data: Path | None = None, *, options: Sequence[str] = (), stores: bool = False, strict: bool = False
) -> Iterator[InstalledPlatform]:
    """Runs one until the context ends. `options` are `flowdeck up`'s; with `--no-node` nothing is scheduled.

    `stores`: with a database and a store of artifacts. `strict`: see `control_plane`.
    """
    if os.geteuid() != 0:
        pytest.skip("without root the pods' network is closed: the API server does not reach the operator's webhooks")
    with tempfile.TemporaryDirectory(prefix="flowdeck-", ignore_cleanup_errors=True) as folder:
        place = data or Path(folder)
        of_node = [option for option in options if option != "--no-node"]
        with (
            control_plane(binaries.ready(lambda line: None), controllers=True, strict=strict) as cluster,
            joined(cluster, NODE, place, "--no-taint", *of_node),
            ExitStack() as servers,
        ):
            _add_volumes(cluster, place / "volumes")
            artifacts = _with_stores(cluster, servers) if stores else None
            _install(cluster)
            if "--no-node" in options:
                Kubectl(cluster.kubeconfig, "default", cluster.env)(f"cordon {NODE}")
            yield InstalledPlatform(cluster, place, artifacts)


def _with_stores(cluster: RealCluster, servers: ExitStack) -> Artifacts:
    """As docs/install.md and docs/pipelines.md say: the operator's Secret, and `kfp-launcher` where pipelines run."""
    kubectl = Kubectl(cluster.kubeconfig, NAMESPACE, cluster.env)
    kubectl(f"wait --for=create serviceaccount/default -n default --timeout={INSTALL_S}s")
    s3 = servers.enter_context(s3_beside(cluster, "namespaces"))
    database = servers.enter_context(postgresql_beside(cluster))
    values = {"FLOWDECK_DATABASE": database, "FLOWDECK_ARTIFACTS": f"s3://{BUCKET}", **s3.variables}
    for namespace in (NAMESPACE, PIPELINES_NAMESPACE):
        kubectl(f"create namespace {namespace}")
    literals = [f"--from-literal={name}={value}" for name, value in values.items()]
    kubectl(f"create secret generic {STORES}", *literals)
    asyncio.run(_tell(cluster, s3))
    return s3.bucket(BUCKET)


async def _tell(cluster: RealCluster, s3: S3) -> None:
    async with cluster.client() as client:
        await s3.tell(client, PIPELINES_NAMESPACE)


def _add_volumes(cluster: RealCluster, folder: Path) -> None:
    """The cluster's storage, no part of the platform: folders that claims of the default class are bound to."""
    meta = {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    objects: list[Tree] = [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": meta,
            "provisioner": "kubernetes.io/no-provisioner",
        }
    ]
    for number in range(VOLUMES):
        spec = {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "hostPath": {"path": str(folder / str(number)), "type": "DirectoryOrCreate"},
        }
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"folder-{number}"}}
        objects.append({**volume, "spec": spec})
    Kubectl(cluster.kubeconfig, "default", cluster.env).apply(*objects)


def _install(cluster: RealCluster) -> None:
    command = [sys.executable, "-m", "flowdeck.cli.main", "install", "--timeout", str(INSTALL_S)]
    done = subprocess.run([*command, "--kubeconfig", cluster.kubeconfig], capture_output=True, text=True)
    assert done.returncode == 0, f"flowdeck install failed ({done.returncode}):\n{done.stdout}{done.stderr}"
