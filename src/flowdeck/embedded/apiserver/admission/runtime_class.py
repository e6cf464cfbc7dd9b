"""A pod's RuntimeClass exists, and brings its overhead, node selector and tolerations.

Source: kubernetes (plugin/pkg/admission/runtimeclass).
"""

from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_new_pod, refusal, spec_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import RUNTIME_CLASS
from flowdeck.kube.objects import ObjectKey, Tree, get_in
from flowdeck.kube.pod_resources import amounts_of


@dataclass(frozen=True)
class RuntimeClass(Plugin):
    storage: Storage
    concerns: ClassVar = ("pods",)
    name: str = "RuntimeClass"

    async def mutate(self, request: AdmissionRequest) -> None:
        if not is_new_pod(request):
            return
        spec = spec_of(request)
        found = self._class(request, spec)
        if found is None:
            return
        overhead = get_in(found, "overhead", "podFixed")
        if overhead and not spec.get("overhead"):
            spec["overhead"] = dict(overhead)
        scheduling = found.get("scheduling") or {}
        if scheduling.get("nodeSelector"):
            spec["nodeSelector"] = _merged(request, scheduling["nodeSelector"], spec.get("nodeSelector") or {})
        new = [item for item in scheduling.get("tolerations") or () if item not in (spec.get("tolerations") or ())]
        if new:
            spec["tolerations"] = [*(spec.get("tolerations") or ()), *map(dict, new)]

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_new_pod(request):
            return
        spec = spec_of(request)
        found = self._class(request, spec)
        overhead = get_in(found, "overhead", "podFixed") if found else None
        if not spec.get("overhead"):
            return
        if not overhead:
            raise refusal(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        if amounts_of(spec["overhead"]) != amounts_of(overhead):
            raise refusal(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")

    def _class(self, request: AdmissionRequest, spec: Tree) -> Tree | None:
        name = spec.get("runtimeClassName")
        if not name:
            return None
        found = self.storage.get(RUNTIME_CLASS, ObjectKey("", name))
        if found is None:
            raise refusal(request, f'pod rejected: RuntimeClass "{name}" not found')
        return found


def _merged(request: AdmissionRequest, wanted: dict[str, str], had: dict[str, str]) -> dict[str, str]:
    for key, value in wanted.items():
        if had.get(key, value) != value:
            raise refusal(
                request,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {had[key]}",
            )
    return {**had, **wanted}
