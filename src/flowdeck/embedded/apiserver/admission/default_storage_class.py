"""A claim that names no storage class gets the default one.

Source: kubernetes (plugin/pkg/admission/storage/storageclass/setdefault, pkg/volume/util/storageclass.go).
"""

from dataclasses import dataclass
from typing import ClassVar

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_for, object_of, spec_of
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import STORAGE_CLASS
from flowdeck.kube.objects import Tree, annotations_of

IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_OLD_IS_DEFAULT = "storageclass.beta.kubernetes.io/is-default-class"
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


@dataclass(frozen=True)
class DefaultStorageClass(Plugin):
    storage: Storage
    concerns: ClassVar = ("persistentvolumeclaims",)
    name: str = "DefaultStorageClass"

    async def mutate(self, request: AdmissionRequest) -> None:
        if request.operation != "CREATE" or not is_for(request, "persistentvolumeclaims"):
            return
        claim = object_of(request)
        spec = spec_of(request)
        if _OLD_CLASS in annotations_of(claim) or spec.get("storageClassName") is not None:
            return
        found = default_class(self.storage)
        if found:
            spec["storageClassName"] = found["metadata"]["name"]


def default_class(storage: Storage) -> Tree | None:
    """The newest StorageClass that is marked as default; of several as new, the first by name."""
    marked = [item for item in storage.list(STORAGE_CLASS) if _is_default(item)]
    marked.sort(key=lambda item: item["metadata"]["name"])
    return max(marked, key=lambda item: str(item["metadata"].get("creationTimestamp", "")), default=None)


def _is_default(storage_class: Tree) -> bool:
    annotations = annotations_of(storage_class)
    return "true" in (annotations.get(IS_DEFAULT), annotations.get(_OLD_IS_DEFAULT))
