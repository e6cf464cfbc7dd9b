"""What the pods use, as metrics-server and people read it: `/stats/summary` and `/metrics/resource`. Pure.

Source: kubernetes/kubernetes (staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1; pkg/kubelet/metrics/collectors).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time, parse_time


@dataclass(frozen=True, kw_only=True)
class NodeUsage:
    """The machine as a whole."""

    name: str
    start_time: datetime
    cpu_nano_cores: int
    cpu_nano_seconds: int
    memory_bytes: int
    available_bytes: int
    disk_bytes: int
    disk_available_bytes: int
    disk_capacity_bytes: int


def summary(node: NodeUsage, pods: Sequence[Tree], now: datetime) -> Tree:
    """The answer to `/stats/summary`."""
    time = format_time(now)
    return {
        "node": {
            "nodeName": node.name,
            "startTime": format_time(node.start_time),
            "cpu": _cpu(time, node.cpu_nano_cores, node.cpu_nano_seconds),
            "memory": {**_memory(time, node.memory_bytes, node.memory_bytes), "availableBytes": node.available_bytes},
            "fs": {
                "time": time, "usedBytes": node.disk_bytes, "availableBytes": node.disk_available_bytes,
                "capacityBytes": node.disk_capacity_bytes,
            },
        },
        "pods": [_pod(pod, time) for pod in pods],
    }  # fmt: skip


def _pod(pod: Tree, time: str) -> Tree:
    containers = pod["containers"]
    return {
        "podRef": {"name": pod["name"], "namespace": pod["namespace"], "uid": pod["uid"]},
        "startTime": pod["startTime"],
        "containers": [
            {
                "name": each["name"],
                "startTime": each["startTime"],
                "cpu": _cpu(time, each["cpuNanoCores"], each["cpuNanoSeconds"]),
                "memory": _memory(time, each["memoryBytes"], each["memoryWorkingSetBytes"]),
            }
            for each in containers
        ],
        "cpu": _cpu(time, _sum(containers, "cpuNanoCores"), _sum(containers, "cpuNanoSeconds")),
        "memory": _memory(time, _sum(containers, "memoryBytes"), _sum(containers, "memoryWorkingSetBytes")),
    }


Samples = Sequence[tuple[str, float]]
"""Labels, as they stand in the text, and a value."""


def resource_metrics(node: NodeUsage, pods: Sequence[Tree]) -> str:
    """The answer to `/metrics/resource`, in Prometheus' text format."""
    lines: list[str] = []
    for name, kind, meaning, samples in _METRICS:
        lines += (f"# HELP {name} [STABLE] {meaning}", f"# TYPE {name} {kind}")
        lines += (f"{name}{labels} {value:.9g}" for labels, value in samples(node, pods))
    return "\n".join(lines) + "\n"


def _each_container(value: Callable[[Tree], float]) -> Callable[[NodeUsage, Sequence[Tree]], Samples]:
    def samples(node: NodeUsage, pods: Sequence[Tree]) -> Samples:
        return [(_labels(pod, each["name"]), value(each)) for pod in pods for each in pod["containers"]]

    return samples


def _each_pod(value: Callable[[Sequence[Tree]], float]) -> Callable[[NodeUsage, Sequence[Tree]], Samples]:
    def samples(node: NodeUsage, pods: Sequence[Tree]) -> Samples:
        return [(_labels(pod), value(pod["containers"])) for pod in pods]

    return samples


_METRICS: Sequence[tuple[str, str, str, Callable[[NodeUsage, Sequence[Tree]], Samples]]] = (
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the container in core-seconds",
     _each_container(lambda each: each["cpuNanoSeconds"] / 1e9)),
    ("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes",
     _each_container(lambda each: each["memoryWorkingSetBytes"])),
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds",
     _each_container(lambda each: parse_time(each["startTime"]).timestamp())),
    ("node_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the node in core-seconds",
     lambda node, _: [("", node.cpu_nano_seconds / 1e9)]),
    ("node_memory_working_set_bytes", "gauge", "Current working set of the node in bytes",
     lambda node, _: [("", node.memory_bytes)]),
    ("pod_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the pod in core-seconds",
     _each_pod(lambda containers: _sum(containers, "cpuNanoSeconds") / 1e9)),
    ("pod_memory_working_set_bytes", "gauge", "Current working set of the pod in bytes",
     _each_pod(lambda containers: _sum(containers, "memoryWorkingSetBytes"))),
    ("resource_scrape_error", "gauge", "1 if there was an error while getting container metrics, 0 otherwise",
     lambda node, pods: [("", 0)]),
)  # fmt: skip


def _labels(pod: Tree, container: str = "") -> str:
    named = {"container": container} if container else {}
    named |= {"namespace": pod["namespace"], "pod": pod["name"]}
    return "{" + ",".join(f'{name}="{value}"' for name, value in named.items()) + "}"


def _cpu(time: str, nano_cores: int, nano_seconds: int) -> Tree:
    return {"time": time, "usageNanoCores": nano_cores, "usageCoreNanoSeconds": nano_seconds}


def _memory(time: str, used: int, working_set: int) -> Tree:
    return {"time": time, "usageBytes": used, "workingSetBytes": working_set, "rssBytes": working_set}


def _sum(containers: Sequence[Tree], field: str) -> int:
    return sum(int(each[field]) for each in containers)
