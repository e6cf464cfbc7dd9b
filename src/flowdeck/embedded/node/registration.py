"""The Node object and its Lease: says who we are and that we live.

Source: kubernetes/kubernetes (pkg/kubelet/kubelet_node_status.go, pkg/kubelet/nodestatus, component-helpers lease).
"""

import asyncio
import contextlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.embedded.node import machine
from flowdeck.embedded.node.settings import NodeSettings
from flowdeck.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from flowdeck.kube.kinds import LEASE, NODE
from flowdeck.kube.objects import ObjectKey, Tree, get_in, owner_reference
from flowdeck.kube.times import format_micro_time, format_time

STATUS_S = 60.0
"""How often the status is looked at again; it is written when something changed, and every five minutes."""
RETRY_S = 1.0
LEASES = "kube-node-lease"
FEATURES = ("ExtendWebSocketsToKubelet",)
"""Without it the API server speaks SPDY to us, and we do not."""

log = structlog.get_logger()


@dataclass
class Registration:
    """Keeps this machine's Node in the API."""

    settings: NodeSettings
    client: Client
    clock: Clock
    driver: str
    port: int
    """Of the kubelet's API."""
    capacity: Mapping[str, str]
    allocatable: Mapping[str, str]
    images: Callable[[], Sequence[Tree]]

    async def register(self) -> None:
        """Creates the Node or brings it up to date. Tries until the API server takes it."""
        while True:
            try:
                await self._put()
                await self._renew()
                return
            except (ApiError, OSError) as error:
                log.warning("node cannot register, trying again", node=self.settings.name, error=str(error))
                await self.clock.sleep(RETRY_S)

    async def run(self) -> None:
        """Renews the Lease and the status, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew_always(), name="node lease")
            tasks.create_task(self._report_always(), name="node status")

    async def _put(self) -> None:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self.settings.name, "labels": self._labels()},
            # once there, a node may not change its own taints
            "spec": {"taints": [asdict(taint) for taint in self.settings.taints]} if self.settings.taints else {},
        }
        with contextlib.suppress(AlreadyExists):
            await self.client.create(NODE, node)
        key = ObjectKey("", self.settings.name)
        found = await self.client.get(NODE, key)
        missing = {
            name: value for name, value in self._labels().items() if get_in(found, "metadata", "labels", name) != value
        }
        if missing:
            await self.client.patch(NODE, key, {"metadata": {"labels": missing}})
        await self.client.patch_status(NODE, key, {"status": self._status(found)})

    def _labels(self) -> dict[str, str]:
        info = machine.node_info(self.driver)
        own = {
            "kubernetes.io/hostname": self.settings.name,
            "kubernetes.io/os": info["operatingSystem"],
            "kubernetes.io/arch": info["architecture"],
            "beta.kubernetes.io/os": info["operatingSystem"],
            "beta.kubernetes.io/arch": info["architecture"],
            "flowdeck.dev/sandbox": self.driver,
        }
        return own | self.settings.labels

    def _status(self, node: Tree) -> Tree:
        return {
            "addresses": [
                {"type": "InternalIP", "address": self.settings.host_ip},
                {"type": "Hostname", "address": platform.node() or self.settings.name},
            ],
            "capacity": dict(self.capacity),
            "allocatable": dict(self.allocatable),
            "conditions": self._conditions(node),
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": machine.node_info(self.driver),
            "images": list(self.images()),
            "declaredFeatures": list(FEATURES),
            "runtimeHandlers": [{"name": "", "features": {"recursiveReadOnlyMounts": False, "userNamespaces": False}}],
        }

    def _conditions(self, node: Tree) -> list[Tree]:
        now = format_time(self.clock.now())
        memory, disk = machine.has_memory_pressure(), machine.has_disk_pressure(self.settings.data)
        wanted = [
            _condition("MemoryPressure", memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory",
                       "kubelet has insufficient memory available", "kubelet has sufficient memory available"),
            _condition("DiskPressure", disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure",
                       "kubelet has disk pressure", "kubelet has no disk pressure"),
            _condition("PIDPressure", False, "", "KubeletHasSufficientPID",
                       "", "kubelet has sufficient PID available"),
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"},
        ]  # fmt: skip
        old = {condition["type"]: condition for condition in get_in(node, "status", "conditions", default=[])}
        for condition in wanted:
            before = old.pop(condition["type"], {})
            moved = before.get("status") != condition["status"]
            since = now if moved else before.get("lastTransitionTime", now)
            condition |= {"lastHeartbeatTime": now, "lastTransitionTime": since}
        return [*wanted, *old.values()]

    async def _report_always(self) -> None:
        key = ObjectKey("", self.settings.name)
        while True:
            await self.clock.sleep(STATUS_S)
            try:
                node = await self.client.get(NODE, key)
                await self.client.patch_status(NODE, key, {"status": self._status(node)})
            except NotFound:
                await self.register()
            except (ApiError, OSError) as error:
                log.warning("node status was not written", node=self.settings.name, error=str(error))

    async def _renew_always(self) -> None:
        while True:
            await self.clock.sleep(self.settings.lease_s)
            try:
                await self._renew()
            except (ApiError, OSError) as error:
                log.warning("node lease was not renewed", node=self.settings.name, error=str(error))

    async def _renew(self) -> None:
        key = ObjectKey(LEASES, self.settings.name)
        renewed = format_micro_time(self.clock.now())
        spec = {"holderIdentity": self.settings.name, "leaseDurationSeconds": 40, "renewTime": renewed}
        try:
            await self.client.patch(LEASE, key, {"spec": spec})
        except NotFound:
            node = await self.client.get(NODE, ObjectKey("", self.settings.name))
            owner = owner_reference(
                {"apiVersion": "v1", "kind": "Node", **node}, controller=False, block_deletion=False
            )
            meta = {"name": key.name, "namespace": key.namespace, "ownerReferences": [owner]}
            with contextlib.suppress(AlreadyExists, Conflict):
                await self.client.create(
                    LEASE, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
                )


def _condition(type_: str, holds: bool, yes: str, no: str, yes_text: str, no_text: str) -> Tree:
    return {
        "type": type_,
        "status": "True" if holds else "False",
        "reason": yes if holds else no,
        "message": yes_text if holds else no_text,
    }
