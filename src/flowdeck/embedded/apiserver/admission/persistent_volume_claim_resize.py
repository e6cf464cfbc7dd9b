"""A claim may grow only where its storage class allows it.

Source: kubernetes (plugin/pkg/admission/storage/persistentvolume/resize).
"""

from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, object_of, refusal
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import STORAGE_CLASS
from flowdeck.kube.objects import ObjectKey, Tree, get_in
from flowdeck.kube.quantity import ZERO, Quantity, parse_quantity


@dataclass(frozen=True)
class PersistentVolumeClaimResize(Plugin):
    storage: Storage
    concerns: ClassVar = ("persistentvolumeclaims",)
    name: str = "PersistentVolumeClaimResize"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.operation != "UPDATE" or not is_for(request, "persistentvolumeclaims") or request.old is None:
            return
        claim = object_of(request)
        if _size(claim) <= _size(request.old):
            return
        if get_in(request.old, "status", "phase") != "Bound":
            raise refusal(request, "Only bound persistent volume claims can be expanded")
        name = get_in(claim, "spec", "storageClassName", default="")
        found = self.storage.get(STORAGE_CLASS, ObjectKey("", name)) if name else None
        if not (found or {}).get("allowVolumeExpansion"):
            raise refusal(
                request,
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize",
            )


def _size(claim: Tree) -> Quantity:
    text = get_in(claim, "spec", "resources", "requests", "storage")
    return parse_quantity(text) if text is not None else ZERO
