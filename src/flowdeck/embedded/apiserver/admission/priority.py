"""A pod's priority comes from its PriorityClass; at most one class is the default.

Source: kubernetes (plugin/pkg/admission/priority).
"""

from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, is_new_pod, object_of, refusal, spec_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import PRIORITY_CLASS
from flowdeck.kube.objects import ObjectKey, Tree

SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
"""They always exist."""


@dataclass(frozen=True)
class Priority(Plugin):
    storage: Storage
    concerns: ClassVar = ("pods", "priorityclasses.scheduling.k8s.io")
    name: str = "Priority"

    async def mutate(self, request: AdmissionRequest) -> None:
        if not is_new_pod(request):
            return
        spec = spec_of(request)
        found = self._class(request, spec)
        priority = found["value"] if found else 0
        if spec.get("priority") not in (None, priority):
            raise refusal(
                request,
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority "
                f"admission controller computed {priority} from the given PriorityClass name",
            )
        policy = (found or {}).get("preemptionPolicy") or "PreemptLowerPriority"
        if spec.get("preemptionPolicy") not in (None, policy):
            raise refusal(
                request,
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name",
            )
        spec["priority"], spec["preemptionPolicy"] = priority, policy

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_for(request, PRIORITY_CLASS.plural, PRIORITY_CLASS.group):
            return
        if request.operation == "DELETE":
            if request.key.name in SYSTEM_CLASSES:
                raise refusal(request, "this is a system priority class and cannot be deleted")
            return
        if object_of(request).get("globalDefault"):
            other = self._default()
            if other and other["metadata"]["name"] != request.key.name:
                told = f"PriorityClass {other['metadata']['name']} is already marked as default."
                raise refusal(request, f"{told} Only one default can exist")

    def _class(self, request: AdmissionRequest, spec: Tree) -> Tree | None:
        """The class of a pod; names the default one in a pod that names none."""
        name = spec.get("priorityClassName")
        if not name:
            found = self._default()
            if found:
                spec["priorityClassName"] = found["metadata"]["name"]
            return found
        found = self.storage.get(PRIORITY_CLASS, ObjectKey("", name))
        if found is None and name in SYSTEM_CLASSES:
            return {"value": SYSTEM_CLASSES[name]}
        if found is None:
            raise refusal(request, f"no PriorityClass with name {name} was found")
        return found

    def _default(self) -> Tree | None:
        classes = [item for item in self.storage.list(PRIORITY_CLASS) if item.get("globalDefault")]
        return min(classes, key=lambda item: item["value"], default=None)
