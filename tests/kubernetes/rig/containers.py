"""A node of a real cluster with real containers: Debian's containerd and runc, Kubernetes' own kubelet. Needs root.

Its pods are on a bridge of this machine's, without a way out. Nothing but that is outside of the cluster's folder, and
all of it is gone afterwards: containers, mounts, network namespaces, the bridge.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from flowdeck.kube.objects import Tree
from tests.kubernetes.rig import images
from tests.kubernetes.rig.control_plane import RealCluster, free_ports

BRIDGE = "flowdeck-test"
SUBNET = "10.229.77.0/24"
GATEWAY = "10.229.77.1"
"""The node's address, and where its pods ask for names."""
PLUGINS = Path("/usr/lib/cni")
NAMESPACES = Path("/run/netns")
START_S = 60.0
PROGRAMS = ("containerd", "ctr", "runc", "ip")


def missing() -> str:
    """What this machine lacks for it; empty when it has everything."""
    if os.geteuid() != 0:
        return "real containers need root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    lacking += [] if (PLUGINS / "bridge").exists() else ["the CNI plug-ins"]
    return f"{', '.join(lacking)} missing (Debian: containerd, runc, containernetworking-plugins)" if lacking else ""


@contextmanager
def container_node(cluster: RealCluster, name: str, archives: Sequence[Path]) -> Iterator[Path]:
    """Runs it under one of `NODES`' names until the context ends; gives its folder. `archives`: its images."""
    folder = cluster.folder / name
    for part in ("cni", "kubelet", "logs"):
        (folder / part).mkdir(parents=True)
    before = set(NAMESPACES.glob("cni-*"))
    try:
        _bridge()
        _containerd(cluster, name, archives)
        cluster.processes.start(
            f"{name}-names",
            [sys.executable, "-m", "tests.kubernetes.rig.names", cluster.kubeconfig, GATEWAY],
        )
        _kubelet(cluster, name)
        yield folder
    finally:
        cluster.processes.stop(f"{name}-kubelet")
        _remove_containers(folder)
        for program in ("names", "containerd"):
            cluster.processes.stop(f"{name}-{program}")
        for left in set(NAMESPACES.glob("cni-*")) - before:
            _run("ip", "netns", "delete", left.name)
        _unmount(folder)
        _run("ip", "link", "delete", BRIDGE)


def _bridge() -> None:
    _run("ip", "link", "delete", BRIDGE)  # of a run that was killed
    for command in (
        ("link", "add", BRIDGE, "type", "bridge"),
        ("address", "add", f"{GATEWAY}/24", "dev", BRIDGE),
        ("link", "set", BRIDGE, "up"),
    ):
        subprocess.run(["ip", *command], check=True)


def _containerd(cluster: RealCluster, name: str, archives: Sequence[Path]) -> None:
    folder = cluster.folder / name
    (folder / "containerd.toml").write_text(_CONTAINERD.format(folder=folder, pause=images.PAUSE, plugins=PLUGINS))
    (folder / "cni" / "pods.conflist").write_text(json.dumps(_network(folder)))
    program = f"{name}-containerd"
    cluster.processes.start(program, ["containerd", "--config", folder / "containerd.toml"])
    cluster.processes.wait_until(program, lambda: _ctr(folder, "version").returncode == 0, START_S)
    images.pause(archives[0], folder / "pause.tar")
    for archive in (folder / "pause.tar", *archives):
        done = _ctr(folder, "images", "import", str(archive))
        assert done.returncode == 0, done.stdout + done.stderr


_CONTAINERD = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[ttrpc]
  address = "{folder}/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""


def _network(folder: Path) -> dict[str, object]:
    addresses: Tree = {"type": "host-local", "dataDir": str(folder / "addresses"), "ranges": [[{"subnet": SUBNET}]]}
    addresses["routes"] = [{"dst": "0.0.0.0/0"}]
    bridge = {"type": "bridge", "bridge": BRIDGE, "ipMasq": False, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}


def _kubelet(cluster: RealCluster, name: str) -> None:
    folder, program = cluster.folder / name, f"{name}-kubelet"
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": GATEWAY,
        "port": free_ports(1)[0],
        "healthzPort": 0,
        "containerRuntimeEndpoint": f"unix://{folder}/containerd.sock",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        # this machine's control groups are shared with others: no tree of its own
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "serverTLSBootstrap": True,
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(cluster.ca)}},
        "clusterDNS": [GATEWAY],
        "clusterDomain": "cluster.local",
        "failSwapOn": False,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(folder / "logs"),
        "resolvConf": "/etc/resolv.conf",
    }
    (folder / "kubelet.json").write_text(json.dumps(settings))
    options = {
        "config": folder / "kubelet.json",
        "kubeconfig": cluster.kubeconfig_of(f"system:node:{name}"),
        "hostname-override": name,
        "node-ip": GATEWAY,
        "root-dir": folder / "kubelet",
        "cert-dir": folder / "pki",
    }
    words = [f"--{option}={value}" for option, value in options.items()]
    cluster.processes.start(program, [cluster.binaries / "kubelet", *words])


def _remove_containers(folder: Path) -> None:
    """What the kubelet has left: it is not there any more."""
    for task in _ctr(folder, "tasks", "list", "--quiet").stdout.split():
        _ctr(folder, "tasks", "delete", "--force", task)
    for container in _ctr(folder, "containers", "list", "--quiet").stdout.split():
        _ctr(folder, "containers", "delete", container)
    for shim in psutil.process_iter(["cmdline"]):
        if f"{folder}/containerd.sock" in (shim.info["cmdline"] or ()) and "-id" in shim.info["cmdline"]:
            shim.kill()


def _unmount(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted((path for path in mounted if path.startswith(f"{folder}/")), reverse=True):
        _run("umount", "--lazy", path)


def _ctr(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return _run("ctr", "--address", str(folder / "containerd.sock"), "--namespace", "k8s.io", *command)


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    return subprocess.CompletedProcess(command, 124, "", "it takes too long")
