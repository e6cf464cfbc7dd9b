"""What tests of the node live in: a real API server in the process, a real driver, and pods that really run.

Only images and network are small stand-ins of their own: every reference means this very Python environment, and pods
share the machine's network. (The real ones have their own tests.)
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowdeck.clock import SystemClock
from flowdeck.controller.events import EventRecorder
from flowdeck.controller.informer import Informer
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.embedded.apiserver.direct_client import DirectClient
from flowdeck.embedded.node.contract import NONE_ADDED, Additions, Image, ImageError, PodNetwork, Progress, Runtime
from flowdeck.embedded.node.control_groups import ControlGroups
from flowdeck.embedded.node.machine import Gpus
from flowdeck.embedded.node.pods.acting import Acting
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.processes import Processes
from flowdeck.embedded.node.pods.roster import Roster
from flowdeck.embedded.node.pods.runtime import PodRuntime
from flowdeck.embedded.node.pods.simulated import SimulatedRuntime, Simulation
from flowdeck.embedded.node.sandbox.client import Zygote
from flowdeck.embedded.node.sandbox.driver import NamespacesDriver, PlainDriver
from flowdeck.embedded.node.settings import NodeSettings
from flowdeck.kube.errors import AlreadyExists
from flowdeck.kube.kinds import EVENT, NODE, POD
from flowdeck.kube.objects import ObjectKey, Tree

NODE_NAME = "here"


@dataclass
class OneImage:
    """Images: all references but `missing` are the environment of the tests."""

    pulls: list[str] = field(default_factory=list)

    def find(self, reference: str, additions: Additions = NONE_ADDED) -> Image | None:
        if "missing" in reference:
            return None
        return Image(reference=reference, digest="flowdeck://sha256:0", environment=Path(sys.prefix))

    async def pull(
        self, reference: str, additions: Additions = NONE_ADDED, *, on_progress: Progress | None = None
    ) -> Image:
        self.pulls.append(reference)
        image = self.find(reference)
        if image is None:
            raise ImageError("ErrImagePull", f"{reference} is not in the table of images")
        return image

    def listed(self) -> Sequence[Tree]:
        return ()


class MachineNetwork:
    """Network: everybody shares the machine's."""

    async def set_up(self, pod: Tree) -> PodNetwork:
        return PodNetwork(ip="127.0.0.1", hosts={"friend": "127.0.0.9"})

    async def tear_down(self, pod_uid: str) -> None:
        return

    def rewrite(self, pod: Tree, env: Mapping[str, str], args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        return {"FRIEND_SERVICE_HOST": "127.0.0.9", **env}, list(args)

    async def dial(self, address: str, port: int) -> socket.socket:
        connected = socket.socket()
        connected.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connected, (address, port))
        except OSError:
            connected.close()
            raise
        return connected


@dataclass
class Bench:
    """A node under test."""

    data: Path
    client: DirectClient
    means: Means
    images: OneImage
    api: ApiServer
    is_simulated: bool = False
    roster: Roster[Any] | None = None
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime:
        assert self.roster is not None
        return SimulatedRuntime(self.roster) if self.is_simulated else PodRuntime(self.roster, self.means)

    def start(self) -> None:
        """The node begins to work; it may be stopped and started again."""
        informer = Informer(POD, self.client, self.means.clock)
        acting: Acting[Any] = Simulation(self.means.clock, 1.0) if self.is_simulated else Processes(self.means)
        self.roster = Roster(informer, self.means, acting)
        self._tasks = [asyncio.create_task(informer.run()), asyncio.create_task(self.roster.run())]

    async def stop(self) -> None:
        """As if the node process was killed: nothing of the pods is told."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.means.zygote.stop()

    async def run(self, pod: Tree) -> Tree:
        pod["spec"].setdefault("nodeName", NODE_NAME)
        return await self.client.create(POD, pod)

    async def pod(self, name: str) -> Tree:
        return await self.client.get(POD, ObjectKey("default", name))

    async def until(self, name: str, holds: Callable[[Tree], object], *, within_s: float = 20) -> Tree:
        """The pod, once `holds` is true of it: told by a watch, not by asking again and again."""
        async with asyncio.timeout(within_s):
            found = await self.client.list(POD, fields=f"metadata.name={name}")
            for pod in found.items:
                if holds(pod):
                    return pod
            async with self.client.watch(
                POD, fields=f"metadata.name={name}", resource_version=found.resource_version
            ) as events:
                async for event in events:
                    if event.type != "BOOKMARK" and holds(event.object):
                        return event.object
        raise AssertionError("the watch ended")

    async def finished(self, name: str) -> Tree:
        return await self.until(name, lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"))

    async def gone(self, name: str, *, within_s: float = 20) -> None:
        async with asyncio.timeout(within_s):
            found = await self.client.list(POD, fields=f"metadata.name={name}")
            if not found.items:
                return
            async with self.client.watch(
                POD, fields=f"metadata.name={name}", resource_version=found.resource_version
            ) as events:
                async for event in events:
                    if event.type == "DELETED":
                        return

    async def log(self, name: str, container: str = "main", *, previous: bool = False) -> str:
        """The text of a container's log."""
        files = await self.runtime.log_files(ObjectKey("default", name), container, previous=previous)
        lines = [line for file in files for line in file.read_text().splitlines()]
        return "\n".join(line.split(" ", 3)[3] for line in lines)

    async def output_of(self, pod: Tree) -> str:
        """Runs a pod to its end; its log."""
        await self.run(pod)
        await self.finished(pod["metadata"]["name"])
        return await self.log(pod["metadata"]["name"])

    async def events(self, name: str) -> list[tuple[str, str]]:
        found = await self.client.list(EVENT)
        return [(e["reason"], e["message"]) for e in found.items if e["involvedObject"]["name"] == name]

    async def event(self, name: str, reason: str, *, within_s: float = 10) -> str:
        """The message of the first such event, once it was written."""
        async with asyncio.timeout(within_s):
            found = await self.client.list(EVENT)
            messages = [e["message"] for e in found.items if _is_about(e, name, reason)]
            if messages:
                return str(messages[0])
            async with self.client.watch(EVENT, resource_version=found.resource_version) as events:
                async for event in events:
                    if event.type != "BOOKMARK" and _is_about(event.object, name, reason):
                        return str(event.object["message"])
        raise AssertionError("the watch ended")


def _is_about(event: Tree, name: str, reason: str) -> bool:
    return bool(event["involvedObject"]["name"] == name and event["reason"] == reason)


async def eventually(holds: Callable[[], object], *, within_s: float = 10) -> None:
    """Waits for something outside the API, of which nobody tells."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - files and processes tell nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_bench(folder: Path, driver: str, *, crash_loop_start_s: float = 0.05) -> AsyncIterator[Bench]:
    """A node with its API server; at the end all its pods are stopped and nothing may be left."""
    folder = folder.resolve()  # noqa: ASYNC240
    clock = SystemClock()
    keys = pki.prepare(folder / "pki", node=NODE_NAME, now=clock.now())
    api = ApiServer.open(folder / "store.db", keys, clock)
    await api.bootstrap()
    client = api.client
    with contextlib.suppress(AlreadyExists):
        await client.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME}})
    data = folder / "node"
    data.mkdir(mode=0o711, exist_ok=True)
    settings = NodeSettings(
        data=data, name=NODE_NAME, kubeconfig=folder / "kubeconfig", hidden=(folder,), is_root=os.geteuid() == 0,
        crash_loop_start_s=crash_loop_start_s,
    )  # fmt: skip
    zygote, network, images = Zygote(data / "zygote.log"), MachineNetwork(), OneImage()
    kind = NamespacesDriver if driver == "namespaces" else PlainDriver
    means = Means(
        settings=settings, client=client, clock=clock, events=EventRecorder(client, clock, "kubelet", NODE_NAME),
        driver=kind(zygote, [data, folder]), zygote=zygote, images=images, network=network, dial=network.dial,
        control_groups=ControlGroups(data), gpus=Gpus([]), allocatable={"cpu": "2", "memory": "1048576Ki"},
    )  # fmt: skip
    bench = Bench(data, client, means, images, api, is_simulated=driver == "simulated")
    bench.start()
    try:
        yield bench
    finally:
        await _end(bench)
        await api.end()


async def _end(bench: Bench) -> None:
    if all(task.done() for task in bench._tasks):
        bench.start()
    for pod in (await bench.client.list(POD)).items:
        key = ObjectKey(pod["metadata"]["namespace"], pod["metadata"]["name"])
        await bench.client.delete(POD, key, grace_period_s=1, missing_ok=True)
    for pod in (await bench.client.list(POD)).items:
        await bench.gone(pod["metadata"]["name"])
    await eventually(lambda: not list((bench.data / "pods").glob("*")))
    await bench.stop()
