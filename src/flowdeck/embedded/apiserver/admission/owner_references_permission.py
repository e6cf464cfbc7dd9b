"""Who lets an object hold up its owner's deletion must be allowed to touch the owner's finalizers.

Source: kubernetes (plugin/pkg/admission/gc). Upstream also asks for `delete` permission before owner references may be
changed at all; that part is done here as well.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flowdeck.embedded.apiserver.admission.plugin import Plugin, refusal
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Attributes, Authorizer
from flowdeck.embedded.apiserver.rbac import MASTERS
from flowdeck.kube.objects import Kind, Tree

FindKind = Callable[[str, str, str], Kind | None]
"""`(group, version, kind)` of an owner reference -> the served kind."""


@dataclass(frozen=True)
class OwnerReferencesPermission(Plugin):
    authorizer: Authorizer
    find_kind: FindKind
    name: str = "OwnerReferencesPermissionEnforcement"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.obj is None or request.subresource == "status" or MASTERS in request.user.groups:
            return
        new, old = _references(request.obj), _references(request.old)
        if new == old:
            return
        if request.operation == "UPDATE" and not self._may_delete(request):
            raise refusal(
                request, f"cannot set an ownerRef on a resource you can't delete: {self._why(request)}, <nil>"
            )
        before = {ref.get("uid") for ref in old if ref.get("blockOwnerDeletion")}
        for ref in new:
            if ref.get("blockOwnerDeletion") and ref.get("uid") not in before:
                self._check_owner(request, ref)

    def _may_delete(self, request: AdmissionRequest) -> bool:
        return self.authorizer.authorize(self._attributes(request)).allowed

    def _why(self, request: AdmissionRequest) -> str:
        return self.authorizer.authorize(self._attributes(request)).reason

    def _attributes(self, request: AdmissionRequest) -> Attributes:
        kind = request.resource.kind
        return Attributes(
            request.user,
            "delete",
            group=kind.group,
            version=kind.version,
            resource=kind.plural,
            namespace=request.key.namespace,
            name=request.key.name,
        )

    def _check_owner(self, request: AdmissionRequest, ref: Tree) -> None:
        group, _, version = ref.get("apiVersion", "").rpartition("/")
        kind = self.find_kind(group, version, ref.get("kind", ""))
        if kind is None:
            raise refusal(
                request,
                "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion "
                f'{ref.get("apiVersion")} Kind {ref.get("kind")}: no matches for kind "{ref.get("kind")}" in version '
                f'"{ref.get("apiVersion")}"',
            )
        decision = self.authorizer.authorize(
            Attributes(
                request.user,
                "update",
                group=kind.group,
                version=kind.version,
                resource=kind.plural,
                subresource="finalizers",
                namespace=request.key.namespace if kind.namespaced else "",
                name=ref.get("name", ""),
            )
        )
        if not decision.allowed:
            raise refusal(
                request,
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "
                f"{decision.reason}, <nil>",
            )


def _references(obj: Tree | None) -> list[Tree]:
    return list(((obj or {}).get("metadata") or {}).get("ownerReferences") or ())
