"""Nothing is made in a namespace that is not there or is going away; three namespaces stay.

Source: k8s.io/apiserver (pkg/admission/plugin/namespace/lifecycle).
"""

from dataclasses import dataclass

from flowdeck.embedded.apiserver.admission.plugin import Plugin, refusal
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.errors import Cause, Forbidden, not_found
from flowdeck.kube.kinds import NAMESPACE
from flowdeck.kube.objects import ObjectKey

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))


@dataclass(frozen=True)
class NamespaceLifecycle(Plugin):
    storage: Storage
    name: str = "NamespaceLifecycle"

    async def mutate(self, request: AdmissionRequest) -> None:
        """Done first, so that a missing namespace is told before anything else."""
        namespace = request.key.namespace
        if not namespace or request.operation == "DELETE":
            return
        found = self.storage.get(NAMESPACE, ObjectKey("", namespace))
        if found is None:
            raise not_found(NAMESPACE, namespace)
        if request.operation == "CREATE" and found["metadata"].get("deletionTimestamp"):
            told = f"unable to create new content in namespace {namespace} because it is being terminated"
            why = f"namespace {namespace} is being terminated"
            raise refusal(request, told, [Cause("NamespaceTerminating", why, "metadata.namespace")])

    async def validate(self, request: AdmissionRequest) -> None:
        if request.operation != "DELETE" or request.resource.kind.plural != NAMESPACE.plural:
            return
        if request.key.name in IMMORTAL and not request.resource.kind.group:
            raise Forbidden(
                f'namespaces "{request.key.name}" is forbidden: this namespace may not be deleted',
                kind=NAMESPACE.plural,
                name=request.key.name,
            )
