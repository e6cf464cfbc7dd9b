"""Volcano.

Source: kubeflow/trainer (pkg/runtime/framework/plugins/volcano)
"""

from collections.abc import Sequence

import msgspec

from flowdeck.components.training.draft import Draft
from flowdeck.components.training.gang._base import pod_group, pod_metadata_of
from flowdeck.kube.errors import FieldError, invalid
from flowdeck.kube.objects import Kind, Tree, get_in

POD_GROUP = Kind("scheduling.volcano.sh", "v1beta1", "PodGroup", "podgroups")
QUEUE_ANNOTATION = "scheduling.volcano.sh/queue-name"
GROUP_ANNOTATION = "scheduling.k8s.io/group-name"

_POD_SPEC = ("template", "spec", "template", "spec")


class Volcano:
    """`podGroupPolicy.volcano`."""

    def applies(self, draft: Draft) -> bool:
        policy = draft.runtime.spec.pod_group_policy
        return policy is not None and policy.volcano is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        annotations = get_in(draft.template, "metadata", "annotations", default={})
        if annotations.get(QUEUE_ANNOTATION) == "":
            path = "spec.template.metadata.annotations"
            return (invalid(f"{path}[{QUEUE_ANNOTATION}]", "", "Volcano queue name must not be empty"),)
        return ()

    def shape(self, draft: Draft) -> None:
        for job in draft.jobs:
            metadata = pod_metadata_of(job)
            metadata["annotations"] = (metadata.get("annotations") or {}) | {GROUP_ANNOTATION: draft.name}
        draft.objects.append(pod_group(draft, POD_GROUP, _spec(draft)))


def priority_classes(template: Tree) -> list[str]:
    """The priority classes that a runtime template's pods name."""
    pods = [get_in(job, *_POD_SPEC) for job in get_in(template, "spec", "replicatedJobs", default=[])]
    return [name for pod in pods if (name := get_in(pod, "priorityClassName"))]


def _spec(draft: Draft) -> Tree:
    spec: Tree = {}
    if queue := get_in(draft.template, "metadata", "annotations", QUEUE_ANNOTATION):
        spec["queue"] = queue
    if classes := priority_classes(draft.template):
        spec["priorityClassName"] = classes[0]
    policy = draft.runtime.spec.pod_group_policy
    if policy and policy.volcano and policy.volcano.network_topology:
        spec["networkTopology"] = {"mode": "hard", "highestTierAllowed": 1} | msgspec.to_builtins(
            policy.volcano.network_topology
        )
    return spec
