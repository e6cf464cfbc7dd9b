"""The coscheduling plug-in of kube-scheduler (scheduler-plugins).

Source: kubeflow/trainer (pkg/runtime/framework/plugins/coscheduling)
"""

from collections.abc import Sequence

from flowdeck.components.training.draft import Draft
from flowdeck.components.training.gang._base import pod_group, pod_metadata_of
from flowdeck.kube.errors import FieldError
from flowdeck.kube.objects import Kind

POD_GROUP = Kind("scheduling.x-k8s.io", "v1alpha1", "PodGroup", "podgroups")
LABEL = "scheduling.x-k8s.io/pod-group"


class Coscheduling:
    """`podGroupPolicy.coscheduling`."""

    def applies(self, draft: Draft) -> bool:
        policy = draft.runtime.spec.pod_group_policy
        return policy is not None and policy.coscheduling is not None

    def check(self, draft: Draft) -> Sequence[FieldError]:
        return ()

    def shape(self, draft: Draft) -> None:
        policy = draft.runtime.spec.pod_group_policy
        timeout = policy.coscheduling.schedule_timeout_seconds if policy and policy.coscheduling else None
        for job in draft.jobs:
            metadata = pod_metadata_of(job)
            metadata["labels"] = (metadata.get("labels") or {}) | {LABEL: draft.name}
        spec = {"scheduleTimeoutSeconds": 60 if timeout is None else timeout}
        draft.objects.append(pod_group(draft, POD_GROUP, spec))
