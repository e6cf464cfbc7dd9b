"""Questions about a pod's spec. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.quantity import ZERO, Quantity, parse_quantity

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]
DEFAULT_GRACE_S = 30


def init_containers(pod: Tree) -> Sequence[Tree]:
    return pod["spec"].get("initContainers") or ()


def main_containers(pod: Tree) -> Sequence[Tree]:
    return pod["spec"].get("containers") or ()


def ephemeral_containers(pod: Tree) -> Sequence[Tree]:
    """Those that were put into the running pod, by `kubectl debug`: they run once, and nothing depends on them."""
    return pod["spec"].get("ephemeralContainers") or ()


def is_ephemeral(pod: Tree, container: Tree) -> bool:
    return container["name"] in (each["name"] for each in ephemeral_containers(pod))


def all_containers(pod: Tree) -> Iterator[Tree]:
    yield from init_containers(pod)
    yield from main_containers(pod)
    yield from ephemeral_containers(pod)


def is_sidecar(container: Tree) -> bool:
    """An init container that goes on running beside the main ones (only asked of init containers)."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Tree) -> str:
    return str(pod["spec"].get("restartPolicy") or "Always")


def restarts_after(pod: Tree, container: Tree, exit_code: int, *, is_init: bool) -> bool:
    """Whether the container is to run again after that exit code.

    Source: kubernetes/kubernetes (pkg/kubelet/container/helpers.go); KEP-5307 for rules of a single container.
    """
    if is_init and is_sidecar(container):
        return True
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        listed = exit_code in (codes.get("values") or ())
        if listed is (codes.get("operator") == "In"):
            return bool(rule.get("action") == "Restart")
    policy = container.get("restartPolicy") or restart_policy(pod)
    if policy == "Always":
        return not is_init or exit_code != 0
    return bool(policy == "OnFailure" and exit_code != 0)


def grace_s(pod: Tree) -> int:
    """How long the containers get to stop: from the delete request, else from the spec."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if asked is not None:
        return int(asked)
    wanted = pod["spec"].get("terminationGracePeriodSeconds")
    return DEFAULT_GRACE_S if wanted is None else int(wanted)


def qos_class(pod: Tree) -> QosClass:
    """Source: kubernetes/kubernetes (pkg/apis/core/v1/helper/qos)."""
    requests: dict[str, Quantity] = {}
    limits: dict[str, Quantity] = {}
    guaranteed = True
    for container in (*init_containers(pod), *main_containers(pod)):
        resources = container.get("resources") or {}
        for name in ("cpu", "memory"):
            request = _amount(resources, "requests", name)
            limit = _amount(resources, "limits", name)
            if request.value:
                requests[name] = requests.get(name, ZERO) + request
            if limit.value:
                limits[name] = limits.get(name, ZERO) + limit
            guaranteed = guaranteed and bool(limit.value)
    if not requests and not limits:
        return "BestEffort"
    same = all(requests.get(name, limits[name]).value == limits[name].value for name in limits)
    return "Guaranteed" if guaranteed and same and len(limits) == 2 else "Burstable"


def _amount(resources: Tree, which: str, name: str) -> Quantity:
    value = get_in(resources, which, name)
    return ZERO if value is None else parse_quantity(value)


def limit_of(container: Tree, resource: str) -> Quantity | None:
    """The container's limit of a resource; None: unlimited."""
    value = get_in(container, "resources", "limits", resource)
    return None if value is None else parse_quantity(value)


def request_of(container: Tree, resource: str) -> Quantity | None:
    value = get_in(container, "resources", "requests", resource)
    return limit_of(container, resource) if value is None else parse_quantity(value)


def hostname_of(pod: Tree) -> str:
    """What `hostname` prints: at most 63 characters of `spec.hostname` or the pod's name."""
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return str(spec["hostnameOverride"])
    return str(spec.get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def domain_name_of(pod: Tree, cluster_domain: str) -> str:
    """The pod's full name in DNS, or `""` where it has none."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain:
        return ""
    return f"{hostname_of(pod)}.{subdomain}.{pod['metadata']['namespace']}.svc.{cluster_domain}"


def pull_policy_of(container: Tree) -> str:
    return str(container.get("imagePullPolicy") or "IfNotPresent")
