"""What a pod group asks for, whichever scheduler reads it.

Pod overhead (RuntimeClass) and container defaults (LimitRange) are not added: see the component's README, known gaps.
"""

from collections import defaultdict

from flowdeck.components.training.draft import Draft, Wanted, pod_spec_of
from flowdeck.kube.objects import Kind, Tree, get_in
from flowdeck.kube.quantity import ZERO, Quantity, parse_quantity


def pod_group(draft: Draft, kind: Kind, spec: Tree) -> Wanted:
    """The PodGroup named like the TrainJob, with `minMember` and `minResources` of all its pods in `spec`."""
    full = {
        "minMember": sum(draft.counts.values()),
        "minResources": {name: str(amount) for name, amount in sorted(_total_requests(draft).items())},
    }
    tree: Tree = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": draft.name, "namespace": draft.namespace},
        "spec": full | spec,
    }
    return Wanted(kind=kind, key=draft.job.key, make=lambda: tree, while_suspended=True)


def pod_metadata_of(job: Tree) -> Tree:
    """The metadata of a replicated job's pods, attached where the runtime leaves it out."""
    pod_spec_of(job)
    metadata: Tree = job["template"]["spec"]["template"].setdefault("metadata", {})
    return metadata


def _total_requests(draft: Draft) -> dict[str, Quantity]:
    total: dict[str, Quantity] = defaultdict(lambda: ZERO)
    for job in draft.jobs:
        for name, amount in _pod_requests(pod_spec_of(job)).items():
            total[name] += Quantity(amount.value * draft.counts[job["name"]], amount.family)
    return total


def _pod_requests(pod_spec: Tree) -> dict[str, Quantity]:
    """What a pod takes: all containers and sidecars together, or its hungriest init container where that is more."""
    together: dict[str, Quantity] = defaultdict(lambda: ZERO)
    peak: dict[str, Quantity] = {}
    for container in pod_spec.get("initContainers") or ():
        is_sidecar = container.get("restartPolicy") == "Always"
        for name, amount in _requests(container).items():
            if is_sidecar:
                together[name] += amount
            peak[name] = max(peak.get(name, ZERO), together[name] if is_sidecar else together[name] + amount)
    for container in pod_spec.get("containers") or ():
        for name, amount in _requests(container).items():
            together[name] += amount
    return {name: max(together[name], peak.get(name, ZERO)) for name in {*together, *peak}}


def _requests(container: Tree) -> dict[str, Quantity]:
    """Requests, where absent the limits."""
    limits = get_in(container, "resources", "limits", default={})
    requests = get_in(container, "resources", "requests", default={})
    return {name: parse_quantity(amount) for name, amount in (limits | requests).items()}
