"""Nodes, pods and groups for tests of the scheduler."""

from itertools import count

from flowdeck.embedded.workloads.scheduler.decide import Scene, schedule
from flowdeck.kube.objects import Tree, get_in

_numbers = count(1)
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "110"}


def a_node(name="n1", *, labels=None, taints=(), cordoned=False, **allocatable) -> Tree:
    room = ROOM | {key.replace("_", "/"): value for key, value in allocatable.items()}
    labels = {"kubernetes.io/hostname": name, **(labels or {})}
    spec = {"taints": list(taints)} | ({"unschedulable": True} if cordoned else {})
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"allocatable": room}}


def a_pod(
    name="", *, cpu="1", on="", labels=None, priority=0, phase="Pending", group="", deleted=False, gpu=None, **spec
) -> Tree:
    number = next(_numbers)
    name = name or f"p{number}"
    meta = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "labels": dict(labels or {})}
    meta["creationTimestamp"] = f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z"
    if group:
        meta["labels"]["scheduling.x-k8s.io/pod-group"] = group
    if deleted:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    requests = {"cpu": cpu} | ({"nvidia.com/gpu": gpu} if gpu else {})
    whole = {"containers": [{"name": "main", "resources": {"requests": requests}}], "priority": priority, **spec}
    if on:
        whole["nodeName"] = on
    return {"metadata": meta, "spec": whole, "status": {"phase": phase}}


def a_group(name="g", *, members=2, **resources) -> Tree:
    spec = {"minMember": members} | ({"minResources": resources} if resources else {})
    return {"metadata": {"name": name, "namespace": "ns", "uid": f"group-{name}"}, "spec": spec}


def plan_of(pods, nodes=None, **more):
    pods = list(pods)
    pending = [
        pod for pod in pods if not get_in(pod, "spec", "nodeName") and not get_in(pod, "spec", "schedulingGates")
    ]
    return schedule(Scene(nodes=[a_node()] if nodes is None else nodes, pods=pods, pending=pending, **more))


def bound(plan) -> dict[str, str]:
    return {pod["metadata"]["name"]: node for pod, node in plan.bind}


def failed(plan) -> dict[str, str]:
    return {pod["metadata"]["name"]: message for pod, message in plan.fail}
