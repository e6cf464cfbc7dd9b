"""Makers of workloads and what belongs to them: a case shows only what matters."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import EventRecorder, Events
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, key_of, uid_of
from flowdeck.kube.times import format_time
from tests.world.world import World

LABELS = {"app": "web"}


def a_template(image: str = "nginx:1", labels: dict[str, str] | None = None, **spec: Any) -> Tree:
    return {
        "metadata": {"labels": labels or LABELS},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }


def a_workload(
    kind: str, name: str = "web", *, image: str = "nginx:1", template: Tree | None = None, **spec: Any
) -> Tree:
    wanted: Tree = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": LABELS}, "template": template or a_template(image), **spec},
    }
    return wanted


def a_pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": LABELS if labels is None else labels},
        "spec": {"containers": [{"name": "main", "image": "nginx:1"}], **spec},
    }


def a_node(name: str = "n1", *, labels: dict[str, str] | None = None, taints: list[Tree] | None = None) -> Tree:
    given = {"kubernetes.io/hostname": name, **(labels or {})}
    spec: Tree = {"taints": taints} if taints else {}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": given}, "spec": spec}


async def open_world(
    folder: Path, make: Callable[[Client, Clock, Callable[[str], Events]], Sequence[Controller]]
) -> World:
    """A world with the controllers that `make` gives from client, clock and recorder."""
    world = await World.open(folder)
    await world.start(lambda client, clock: make(client, clock, lambda name: EventRecorder(client, clock, name)))
    return world


async def run_pod(world: World, pod: Tree, *, ready: bool = True, ip: str = "", node: str = "n1") -> Tree:
    """Plays scheduler and node: the pod runs."""
    if not pod["spec"].get("nodeName"):
        meta, target = {"name": key_of(pod).name}, {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": meta, "target": target}
        await world.client.create_sub(POD, key_of(pod), "binding", binding)
    now = format_time(world.clock.now())
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
    before = find_condition(pod, "Ready")
    if before is not None and before["status"] == condition["status"]:
        condition["lastTransitionTime"] = before["lastTransitionTime"]
    number = int(uid_of(pod)[:4], 16)
    address = ip or f"10.1.{number // 256}.{number % 256}"
    status: Tree = {
        "phase": "Running",
        "conditions": [condition],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
    }
    return await world.client.patch_status(POD, key_of(pod), {"status": status})


async def run_all(world: World, *, ready: bool = True) -> None:
    """Every pod that is there, and every one that this brings about, runs; dying ones are gone."""
    for _ in range(60):
        await world.settle()
        changed = False
        for pod in await world.list(POD):
            if pod["metadata"].get("deletionTimestamp"):
                await end_pod(world, pod)
                changed = True
            elif pod.get("status", {}).get("phase", "Pending") == "Pending":
                await run_pod(world, pod, ready=ready)
                changed = True
        if not changed:
            return
    raise AssertionError("pods keep coming and going")


async def end_pod(world: World, pod: Tree) -> None:
    """Plays the node: a pod that is being deleted is gone."""
    await world.client.delete(POD, key_of(pod), grace_period_s=0, uid=uid_of(pod), missing_ok=True)


async def pods_of(world: World, labels: str = "app=web") -> list[Tree]:
    """The pods that stay, by name."""
    found = await world.list(POD, "default", labels)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def names(objects: list[Tree]) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def images(pods: list[Tree]) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in pods)
