"""A node of ours that joins a real cluster, as a process of its own, the way its administrator would start it."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flowdeck.embedded.node.sandbox.stopping import stop_all
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.rig.control_plane import RealCluster

READY_S = 120.0


@contextmanager
def joined(cluster: RealCluster, name: str, data: Path, *options: str) -> Iterator[Path]:
    """Runs `flowdeck node` under one of `NODES`' names until the context ends; gives its log."""
    _grant(cluster, name)
    command: Sequence[str | Path] = [sys.executable, "-m", "flowdeck.cli.main", "node", *options]
    command = [*command, "--kubeconfig", cluster.kubeconfig_of(f"system:node:{name}"), "--name", name, "--data", data]
    log = cluster.processes.logs / f"{name}.log"
    log.unlink(missing_ok=True)
    cluster.processes.start(name, command)
    try:
        cluster.processes.wait_until(name, lambda: "node is ready" in log.read_text(), READY_S)
        approve(cluster, data / "node" / "pki" / "signed.pem")
        yield log
    finally:
        cluster.processes.stop(name)
        stop_all(data / "node")


def _grant(cluster: RealCluster, name: str) -> None:
    """What docs/node.md asks the cluster's administrator for."""
    kubectl = Kubectl(cluster.kubeconfig, "default", cluster.env)
    done = kubectl.run(
        f"create clusterrolebinding flowdeck-{name} --clusterrole=system:node-proxier --user=system:node:{name}"
    )
    assert done.returncode == 0 or "already exists" in done.stderr, done.stderr


def approve(cluster: RealCluster, certificate: Path) -> None:
    """The administrator's word on the node's certificate: this API server speaks to no other nodes. Returns when the
    node has it."""
    kubectl = Kubectl(cluster.kubeconfig, "default", cluster.env)
    deadline = time.monotonic() + READY_S
    while not certificate.exists():
        assert time.monotonic() < deadline, kubectl("get csr")
        for request in kubectl.json("get csr")["items"]:
            if not request["status"].get("conditions"):
                kubectl(f"certificate approve {request['metadata']['name']}")
