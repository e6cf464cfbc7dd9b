"""What a task asks of its pod, as parts of a pod: `kfp-kubernetes`, resources, variables. Pure.

A component may declare that it hands some of them on itself (`taskConfigPassthroughs`): `passed_on` is what its inputs
of type TASK_CONFIG get, and what is not to be applied to its own pod is taken off.

Source: kubeflow/pipelines (backend/src/v2/driver/k8s.go, kubernetes_platform/proto/kubernetes_executor_config.proto).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.kube.objects import Tree

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_RESOURCES: Final = {
    "cpuLimit": ("limits", "cpu"),
    "memoryLimit": ("limits", "memory"),
    "cpuRequest": ("requests", "cpu"),
    "memoryRequest": ("requests", "memory"),
}
_PASSED_ON: Final = {
    "RESOURCES": ("resources",),
    "ENV": ("env",),
    "KUBERNETES_AFFINITY": ("affinity",),
    "KUBERNETES_TOLERATIONS": ("tolerations",),
    "KUBERNETES_NODE_SELECTOR": ("nodeSelector",),
    "KUBERNETES_VOLUMES": ("volumes", "volumeMounts"),
}
"""Fields of a passthrough, and what they are called in the JSON of TASK_CONFIG."""
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
SHARED_MEMORY: Final = "/dev/shm"


@dataclass
class Volumes:
    """Volumes and where they are mounted; each is there once, under the name that upstream gives it."""

    volumes: list[Tree] = field(default_factory=list)
    mounts: list[Tree] = field(default_factory=list)

    def mount(self, name: str, source: Tree, path: str, sub_path: str = "") -> None:
        """Names that are no DNS labels, or stand for something else already, get a digest of what they stand for."""
        volume = {"name": name, **source}
        if not _LABEL.fullmatch(name) or any(each["name"] == name and each != volume for each in self.volumes):
            digest = hashlib.sha256(repr((name, source)).encode()).hexdigest()[:8]
            volume["name"] = f"{re.sub('[^a-z0-9-]+', '-', name.lower())[:50].strip('-')}-{digest}"
        if volume not in self.volumes:
            self.volumes.append(volume)
        mount = {"name": volume["name"], "mountPath": path}
        self.mounts.append({**mount, "subPath": sub_path} if sub_path else mount)


_GPU: Final = "nvidia.com/gpu"
_GPU_LABEL: Final = "cloud.google.com/gke-accelerator"


@dataclass(frozen=True)
class Asked:
    """The parts of a pod; named as in the JSON of TASK_CONFIG."""

    parts: Tree
    """`env`, `resources`, `affinity`, `tolerations`, `nodeSelector`, `volumes`, `volumeMounts`."""
    container: Tree
    """Further fields of the container."""
    pod: Tree
    """Further fields of the pod's spec."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def asked_of(start: StartPod) -> Asked:
    """All that a task asks for."""
    platform = start.platform
    volumes = _volumes(platform)
    parts: Tree = {
        "env": [{"name": name, "value": value} for name, value in start.env] + list(_env(platform)),
        "resources": _resources(start.resources),
        "affinity": _affinity(platform),
        "tolerations": list(platform.get("tolerations") or ()),
        "nodeSelector": {**_node_of(start.resources), **(platform.get("nodeSelector") or {})},
        "volumes": volumes.volumes,
        "volumeMounts": volumes.mounts,
    }
    metadata = platform.get("podMetadata") or {}
    return Asked(
        parts={name: part for name, part in parts.items() if part},
        container=_some(
            imagePullPolicy=platform.get("imagePullPolicy"), securityContext=platform.get("securityContext")
        ),
        pod=_some(
            activeDeadlineSeconds=platform.get("activeDeadlineSeconds"),
            imagePullSecrets=[{"name": each["secretName"]} for each in platform.get("imagePullSecret") or ()],
            initContainers=[dict(each) for each in platform.get("initContainers") or ()],
        ),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
    )


def passed_on(parts: Tree, passthroughs: Iterable[Tree]) -> tuple[Tree, Tree]:
    """What a component hands on itself, and what of all that is for its own pod."""
    passed: Tree = {}
    own = dict(parts)
    for each in passthroughs:
        for name in _PASSED_ON.get(each.get("field", ""), ()):
            if name in parts:
                passed[name] = parts[name]
            if not each.get("applyToTask"):
                own.pop(name, None)
    return passed, own


def _volumes(platform: Tree) -> Volumes:
    volumes = Volumes()
    for each in platform.get("pvcMount") or ():
        name = each["pvcName"]
        claim = {"persistentVolumeClaim": {"claimName": name}}
        volumes.mount(name, claim, each["mountPath"], each.get("subPath", ""))
    for each in platform.get("secretAsVolume") or ():
        name = each["secretName"]
        volumes.mount(name, {"secret": {"secretName": name, **_optional(each)}}, each["mountPath"])
    for each in platform.get("configMapAsVolume") or ():
        name = each["configMapName"]
        volumes.mount(name, {"configMap": {"name": name, **_optional(each)}}, each["mountPath"])
    for each in platform.get("genericEphemeralVolume") or ():
        volumes.mount(each["volumeName"], _ephemeral(each), each["mountPath"])
    for each in platform.get("emptyDirMounts") or ():
        source = _some(medium=each.get("medium"), sizeLimit=each.get("sizeLimit"))
        volumes.mount(each["volumeName"], {"emptyDir": source}, each["mountPath"])
    if (shared := platform.get("enabledSharedMemory")) is not None:
        source = {"medium": "Memory", **_some(sizeLimit=shared.get("size"))}
        volumes.mount(shared.get("volumeName") or "shm", {"emptyDir": source}, SHARED_MEMORY)
    return volumes


def _ephemeral(asked: Tree) -> Tree:
    claim: Tree = {
        "accessModes": asked.get("accessModes") or [],
        "resources": {"requests": {"storage": asked.get("size", "")}},
    }
    if not asked.get("defaultStorageClass"):
        claim["storageClassName"] = asked.get("storageClassName", "")
    given = asked.get("metadata") or {}
    metadata = _some(labels=given.get("labels"), annotations=given.get("annotations"))
    return {"ephemeral": {"volumeClaimTemplate": _some(metadata=metadata) | {"spec": claim}}}


def _env(platform: Tree) -> Iterable[Tree]:
    for each in platform.get("secretAsEnv") or ():
        for key in each.get("keyToEnv") or ():
            source = {"name": each["secretName"], "key": key["secretKey"], **_optional(each)}
            yield {"name": key["envVar"], "valueFrom": {"secretKeyRef": source}}
    for each in platform.get("configMapAsEnv") or ():
        for key in each.get("keyToEnv") or ():
            source = {"name": each["configMapName"], "key": key["configMapKey"], **_optional(each)}
            yield {"name": key["envVar"], "valueFrom": {"configMapKeyRef": source}}
    for each in platform.get("fieldPathAsEnv") or ():
        yield {"name": each["name"], "valueFrom": {"fieldRef": {"fieldPath": each["fieldPath"]}}}


def _resources(asked: Mapping[str, str]) -> Tree:
    found: Tree = {}
    for name, (side, resource) in _RESOURCES.items():
        if name in asked:
            found.setdefault(side, {})[resource] = asked[name]
    if accelerator := asked.get("acceleratorType"):
        resource = _GPU if _is_model(accelerator) else accelerator
        found.setdefault("limits", {})[resource] = asked.get("acceleratorCount", "1")
    return found


def _is_model(accelerator: str) -> bool:
    """Whether it is named as clouds name a kind of GPU, `NVIDIA_TESLA_T4`, and not as a resource."""
    return "/" not in accelerator


def _node_of(asked: Mapping[str, str]) -> dict[str, str]:
    """The label of nodes that have that kind of GPU."""
    accelerator = asked.get("acceleratorType", "")
    return {_GPU_LABEL: accelerator.lower().replace("_", "-")} if accelerator and _is_model(accelerator) else {}


def _affinity(platform: Tree) -> Tree:
    found: Tree = {}
    for term in platform.get("nodeAffinity") or ():
        side = found.setdefault("nodeAffinity", {})
        if _REQUIRED in term or _PREFERRED in term:
            side.update(term)
            continue
        selector = _some(matchExpressions=term.get("matchExpressions"), matchFields=term.get("matchFields"))
        if term.get("weight") is not None:
            side.setdefault(_PREFERRED, []).append({"weight": term["weight"], "preference": selector})
        else:
            side.setdefault(_REQUIRED, {}).setdefault("nodeSelectorTerms", []).append(selector)
    for term in platform.get("podAffinity") or ():
        side = found.setdefault("podAntiAffinity" if term.get("anti") else "podAffinity", {})
        wanted = _pod_term(term)
        if term.get("weight") is not None:
            side.setdefault(_PREFERRED, []).append({"weight": term["weight"], "podAffinityTerm": wanted})
        else:
            side.setdefault(_REQUIRED, []).append(wanted)
    return found


def _pod_term(term: Tree) -> Tree:
    pods = _some(matchExpressions=term.get("matchPodExpressions"), matchLabels=term.get("matchPodLabels"))
    namespaces = _some(
        matchExpressions=term.get("matchNamespaceExpressions"), matchLabels=term.get("matchNamespaceLabels")
    )
    return _some(
        labelSelector=pods,
        topologyKey=term.get("topologyKey"),
        namespaces=term.get("namespaces"),
        namespaceSelector=namespaces,
    )


def _optional(asked: Tree) -> Tree:
    return {"optional": bool(asked["optional"])} if asked.get("optional") is not None else {}


def _some(**parts: Any) -> Tree:
    """Those that say something."""
    return {name: part for name, part in parts.items() if part not in (None, "", 0, [], {})}
