"""What this machine is and has: for the Node object, and for partitioning GPUs."""

import os
import platform
import re
import shutil
from pathlib import Path

import psutil

from flowdeck.embedded.node.sandbox.identity import boot_id
from flowdeck.kube.objects import Tree

KUBELET_VERSION = "v1.36.2-flowdeck"
GPU = "nvidia.com/gpu"
_MIB = 1024 * 1024
_RESERVED_SHARE = 0.05
"""What of the memory is not given to pods, so that the platform and its user can go on."""


def gpus() -> list[int]:
    """The numbers of the NVIDIA GPUs of this machine."""
    found = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return sorted(int(match.group(1)) for match in found if match)


def gpu_devices(numbers: list[int]) -> list[str]:
    """What a container needs below `/dev` to use those GPUs."""
    shared = [path.name for path in Path("/dev").glob("nvidia*") if not re.fullmatch(r"nvidia\d+", path.name)]
    caps = [f"nvidia-caps/{path.name}" for path in Path("/dev/nvidia-caps").glob("*")]
    return [*(f"nvidia{number}" for number in numbers), *(n for n in shared if n != "nvidia-caps"), *caps]


def capacity(data: Path, max_pods: int) -> dict[str, str]:
    """`status.capacity`."""
    found = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{shutil.disk_usage(data).total // 1024}Ki",
        "pods": str(max_pods),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    }
    if numbers := gpus():
        found[GPU] = str(len(numbers))
    return found


def allocatable(data: Path, max_pods: int) -> dict[str, str]:
    """`status.allocatable`: the capacity without a share of memory and disk for everybody else."""
    found = capacity(data, max_pods)
    for name in ("memory", "ephemeral-storage"):
        found[name] = f"{int(int(found[name].removesuffix('Ki')) * (1 - _RESERVED_SHARE))}Ki"
    return found


def node_info(driver: str) -> Tree:
    """`status.nodeInfo`."""
    system = platform.uname()
    return {
        "machineID": _machine_id(),
        "systemUUID": _machine_id(),
        "bootID": boot_id(),
        "kernelVersion": system.release,
        "osImage": _os_image(),
        "containerRuntimeVersion": f"flowdeck://{driver}",
        "kubeletVersion": KUBELET_VERSION,
        "kubeProxyVersion": "",
        "operatingSystem": system.system.lower(),
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(system.machine, system.machine),
    }


def _machine_id() -> str:
    file = Path("/etc/machine-id")
    return file.read_text().strip() if file.exists() else platform.node()


def _os_image() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.platform()


def has_memory_pressure() -> bool:
    return psutil.virtual_memory().available < 100 * _MIB


def has_disk_pressure(data: Path) -> bool:
    usage = shutil.disk_usage(data)
    return usage.free < max(512 * _MIB, usage.total // 100)


class Gpus:
    """Which container has which GPU."""

    def __init__(self, numbers: list[int]) -> None:
        self._free = list(numbers)
        self.has_any = bool(numbers)
        self._held: dict[str, list[int]] = {}

    def take(self, holder: str, count: int) -> list[int] | None:
        """`count` GPUs for a container (the same ones when it asks again); None when there are not enough."""
        if holder in self._held:
            return self._held[holder]
        if count > len(self._free):
            return None
        self._held[holder], self._free = self._free[:count], self._free[count:]
        return self._held[holder]

    def keep(self, holder: str, numbers: list[int]) -> None:
        """Notes what a container that was found again has."""
        self._held[holder] = numbers
        self._free = [number for number in self._free if number not in numbers]

    def release(self, holder_prefix: str) -> None:
        """Gives back what the containers of a pod had."""
        for holder in [holder for holder in self._held if holder.startswith(holder_prefix)]:
            self._free = sorted({*self._free, *self._held.pop(holder)})
