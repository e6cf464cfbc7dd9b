"""The pods behind a Service, as endpoints with the ports that each has. Pure.

Source: kubernetes (staging/src/k8s.io/endpointslice/utils.go, pkg/controller/endpoint)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowdeck.embedded.workloads import pods
from flowdeck.embedded.workloads.endpoints.slices import MANAGED_BY, SERVICE_NAME
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.objects import Tree, get_in, is_being_deleted, key_of, labels_of, uid_of

HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


@dataclass(frozen=True)
class Backend:
    """One pod behind a Service."""

    endpoint: Tree
    """As in an EndpointSlice."""
    ports: Sequence[Tree]
    """`{name, port, protocol, appProtocol}` in the Service's order, those that the pod has."""

    @property
    def ports_key(self) -> bytes:
        """Equal for pods with equal ports: these share slices."""
        return orjson.dumps(self.ports)

    @property
    def uid(self) -> str:
        return str(get_in(self.endpoint, "targetRef", "uid", default=""))


def is_headless(service: Tree) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def has_selector(service: Tree) -> bool:
    return bool(service["spec"].get("selector"))


def backends_of(service: Tree, selected: Iterable[Tree], zones: Mapping[str, str]) -> list[Backend]:
    """A backend for each pod with an address that has not finished; `zones` is node name -> zone."""
    return [Backend(_endpoint(service, pod, zones), ports_of(service, pod)) for pod in selected if is_backend(pod)]


def is_backend(pod: Tree) -> bool:
    return bool(get_in(pod, "status", "podIP")) and not pods.is_finished(pod)


def _endpoint(service: Tree, pod: Tree, zones: Mapping[str, str]) -> Tree:
    serving, terminating = pods.is_ready(pod), is_being_deleted(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: Tree = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    }
    if hostname := hostname_of(service, pod):
        endpoint["hostname"] = hostname
    if node := get_in(pod, "spec", "nodeName"):
        endpoint["nodeName"] = node
        if node in zones:
            endpoint["zone"] = zones[node]
    endpoint["targetRef"] = {
        "kind": "Pod",
        "namespace": key_of(pod).namespace,
        "name": key_of(pod).name,
        "uid": uid_of(pod),
    }
    return endpoint


def hostname_of(service: Tree, pod: Tree) -> str:
    """The pod's own DNS name below a headless Service; `""` where the pod does not ask for one there."""
    spec = pod["spec"]
    return str(spec["hostname"]) if spec.get("hostname") and spec.get("subdomain") == key_of(service).name else ""


def ports_of(service: Tree, pod: Tree) -> list[Tree]:
    """The Service's ports, as numbers in this pod; a named port that the pod lacks is left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = port_number(pod, port)
        if number is None:
            continue
        entry: Tree = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        found.append(entry)
    return found


def port_number(pod: Tree, port: Mapping[str, Any]) -> int | None:
    """The number of a Service's port in a pod: `targetPort` may name a container's port."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target or int(port["port"])
    for container in [*(pod["spec"].get("containers") or ()), *_sidecars(pod)]:
        for candidate in container.get("ports") or ():
            same_protocol = candidate.get("protocol", "TCP") == port.get("protocol", "TCP")
            if candidate.get("name") == target and same_protocol:
                return int(candidate["containerPort"])
    return None


def _sidecars(pod: Tree) -> Iterable[Tree]:
    return (c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always")


def trigger_time(selected: Iterable[Tree]) -> str:
    """When the last of these pods changed its readiness; `""` where none did."""
    conditions = [find_condition(pod, "Ready") or {} for pod in selected if is_backend(pod)]
    times = [str(condition.get("lastTransitionTime") or "") for condition in conditions]
    return max(times, default="")


def inherited_labels(service: Tree) -> dict[str, str]:
    """The Service's labels that its slices and endpoints carry too."""
    labels = {
        name: value for name, value in labels_of(service).items() if name not in (HEADLESS, SERVICE_NAME, MANAGED_BY)
    }
    return labels | ({HEADLESS: ""} if is_headless(service) else {})
