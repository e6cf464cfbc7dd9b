"""A node changes only itself and the pods that run on it.

Source: kubernetes (plugin/pkg/admission/noderestriction).
"""

from dataclasses import dataclass

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, object_of, refusal
from flowdeck.embedded.apiserver.admission.service_account import MIRROR_ANNOTATION
from flowdeck.embedded.apiserver.contract import AdmissionRequest
from flowdeck.embedded.apiserver.node_authorizer import PREFIX, is_node
from flowdeck.kube.objects import Tree, annotations_of, labels_of

_RESTRICTED = ".node-restriction.kubernetes.io"
_KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "node.kubernetes.io/instance-type",
        "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os", "beta.kubernetes.io/arch", "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "node.kubernetes.io/windows-build",
    )
)  # fmt: skip
_KUBELET_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")


@dataclass(frozen=True)
class NodeRestriction(Plugin):
    name: str = "NodeRestriction"

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_node(request.user) or request.resource.kind.group:
            return
        node = request.user.name.removeprefix(PREFIX)
        match request.resource.kind.plural, request.subresource:
            case "pods", "" | "status" | "eviction":
                _check_pod(request, node)
            case "nodes", _:
                _check_node(request, node)


def _check_pod(request: AdmissionRequest, node: str) -> None:
    if is_for(request, "pods") and request.operation == "CREATE":
        _check_new_pod(request, node)
        return
    if is_for(request, "pods") and request.operation == "UPDATE":
        raise refusal(request, f'unexpected operation "UPDATE", node "{node}" can only create and delete mirror pods')
    pod = request.old or request.obj or {}
    runs_on = (pod.get("spec") or {}).get("nodeName", "")
    if runs_on == node:
        if request.subresource == "status" and request.old is not None:
            _check_labels_kept(request, node)
        return
    what = {"status": "update status for pods", "eviction": "evict pods"}.get(request.subresource, "delete pods")
    raise refusal(request, f'node "{node}" can only {what} with spec.nodeName set to itself')


def _check_new_pod(request: AdmissionRequest, node: str) -> None:
    pod = object_of(request)
    if MIRROR_ANNOTATION not in annotations_of(pod):
        raise refusal(
            request, f'pod does not have "{MIRROR_ANNOTATION}" annotation, node "{node}" can only create mirror pods'
        )
    if pod["spec"].get("nodeName") != node:
        raise refusal(request, f'node "{node}" can only create pods with spec.nodeName set to itself')


def _check_labels_kept(request: AdmissionRequest, node: str) -> None:
    if labels_of(request.old or {}) != labels_of(object_of(request)):
        raise refusal(request, f'node "{node}" cannot update labels through pod status')


def _check_node(request: AdmissionRequest, node: str) -> None:
    name = request.key.name
    if name != node:
        raise refusal(request, f'node "{node}" is not allowed to modify node "{name}"')
    if request.obj is None:
        return
    old = request.old
    changed = _changed_labels(request.obj, old or {})
    bad = sorted(label for label in changed if _is_kept_from_nodes(label))
    if bad:
        raise refusal(request, f'node "{node}" is not allowed to modify labels: {", ".join(bad)}')
    if old is not None and (old.get("spec") or {}).get("taints") != (request.obj.get("spec") or {}).get("taints"):
        raise refusal(request, f'node "{node}" is not allowed to modify taints')


def _changed_labels(new: Tree, old: Tree) -> set[str]:
    after, before = labels_of(new), labels_of(old)
    return {label for label in {*after, *before} if after.get(label) != before.get(label)}


def _is_kept_from_nodes(label: str) -> bool:
    """Labels of Kubernetes' own domains, but for those that kubelets set."""
    domain = label.partition("/")[0] if "/" in label else ""
    if domain == _RESTRICTED[1:] or domain.endswith(_RESTRICTED):
        return True
    if not any(domain == own or domain.endswith(f".{own}") for own in ("kubernetes.io", "k8s.io")):
        return False
    if label in _KUBELET_LABELS:
        return False
    return not any(domain == own or domain.endswith(f".{own}") for own in _KUBELET_PREFIXES)
