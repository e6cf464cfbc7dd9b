"""Defaults of the core group's smaller kinds.

Source: k8s.io/kubernetes (pkg/apis/core/v1/defaults.go, pkg/registry/core/*/strategy.go).
"""

import base64

from flowdeck.kube.objects import Tree


def default_namespace(namespace: Tree) -> None:
    """Each namespace carries its own name as a label; the namespace controller's finalizer guards what is inside."""
    name = namespace["metadata"].get("name")
    if name:
        labels = namespace["metadata"].get("labels") or {}
        labels["kubernetes.io/metadata.name"] = name
        namespace["metadata"]["labels"] = labels


def set_namespace_finalizer(namespace: Tree) -> None:
    spec = namespace.setdefault("spec", {})
    finalizers = spec.setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")
    namespace["status"] = {"phase": "Active"}


def keep_namespace_spec(namespace: Tree, old: Tree) -> None:
    """The finalizers of its spec are changed through `finalize` alone, the phase through `status`."""
    for name in ("spec", "status"):
        if name in old:
            namespace[name] = old[name]


def complete_event(event: Tree) -> None:
    """What Go always writes, since it cannot leave it out."""
    for name in ("firstTimestamp", "lastTimestamp", "eventTime"):
        event.setdefault(name, None)
    event.setdefault("source", {})
    for name in ("reportingComponent", "reportingInstance"):
        event.setdefault(name, "")


def default_secret(secret: Tree) -> None:
    """`stringData` is a convenience of writers: it becomes part of `data`."""
    secret.setdefault("type", "Opaque")
    texts = secret.pop("stringData", None)
    if texts:
        data = secret.setdefault("data", {})
        for name, text in texts.items():
            data[name] = base64.b64encode(text.encode()).decode()


def default_endpoints(endpoints: Tree) -> None:
    if not endpoints.get("subsets"):
        endpoints.pop("subsets", None)
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def default_limit_range(limit_range: Tree) -> None:
    """Container limits: defaults follow from each other, max -> default -> defaultRequest, min -> defaultRequest."""
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        limits = item.setdefault("default", {})
        requests = item.setdefault("defaultRequest", {})
        for name, amount in (item.get("max") or {}).items():
            limits.setdefault(name, amount)
        for name, amount in limits.items():
            requests.setdefault(name, amount)
        for name, amount in (item.get("min") or {}).items():
            requests.setdefault(name, amount)
        for name in ("default", "defaultRequest"):
            if not item[name]:
                del item[name]


def default_persistent_volume(volume: Tree) -> None:
    spec = volume.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def default_persistent_volume_claim(claim: Tree) -> None:
    spec = claim.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    if source := spec.get("dataSource"):
        spec.setdefault("dataSourceRef", dict(source))
    elif (reference := spec.get("dataSourceRef")) and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)


_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def taint_new_node(node: Tree) -> None:
    """No pod comes to a node before its life cycle has seen it ready. Source: plugin/pkg/admission/nodetaint."""
    taints = node["spec"].setdefault("taints", [])
    if not any(taint["key"] == _NOT_READY["key"] and taint["effect"] == _NOT_READY["effect"] for taint in taints):
        taints.append(dict(_NOT_READY))


def default_node(node: Tree) -> None:
    status = node.get("status")
    if status and "capacity" in status and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])
