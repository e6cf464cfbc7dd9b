"""What a pod group asks for, whichever scheduler reads it.

Pod overhead (RuntimeClass) and container defaults (LimitRange) are not added: see the component's README, known gaps.
"""

from flowdeck.components.training.draft import Draft, Wanted, pod_spec_of
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.pod_resources import Amounts, add, pod_requests
from flowdeck.kube.quantity import Quantity


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


def _total_requests(draft: Draft) -> Amounts:
    total: Amounts = {}
    for job in draft.jobs:
        count = draft.counts[job["name"]]
        requests = pod_requests({"spec": pod_spec_of(job)})
        total = add(total, {name: Quantity(amount.value * count, amount.family) for name, amount in requests.items()})
    return total
