"""Deletes the objects of a custom kind before its definition goes.

Reads   CustomResourceDefinition, the objects of its kind
Writes  those objects (delete), the definition's condition Terminating and its finalizer
Source: k8s.io/apiextensions-apiserver (pkg/controller/finalizer)
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result, look_again_in
from flowdeck.controller.status import write_status
from flowdeck.embedded.apiserver.builtin.definitions import CLEANUP
from flowdeck.embedded.apiserver.crds import kind_of
from flowdeck.kube.conditions import Condition, is_true, set_condition
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.kube.objects import Kind, ObjectKey, Tree, finalizers_of, get_in, is_being_deleted, key_of

_DELETING = Condition(
    type="Terminating",
    status="True",
    reason="InstanceDeletionInProgress",
    message="CustomResource deletion is in progress",
)
_DELETED = Condition(
    type="Terminating", status="False", reason="InstanceDeletionCompleted", message="removed all instances"
)


@dataclass(frozen=True, kw_only=True)
class CustomKindCleanup:
    """Deletes a definition's objects before the definition goes, by its finalizer."""

    client: Client
    clock: Clock
    name: str = "custom-kind-cleanup"
    kind: Kind = CUSTOM_RESOURCE_DEFINITION
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        definition = await self.client.find(self.kind, key)
        if definition is None or not is_being_deleted(definition) or CLEANUP not in finalizers_of(definition):
            return DONE
        left = await self._delete_objects(definition)
        await self._tell(definition, left)
        if left:
            return look_again_in(1.0)
        remaining = [name for name in finalizers_of(definition) if name != CLEANUP]
        await self.client.patch(self.kind, key, {"metadata": {"finalizers": remaining or None}})
        return DONE

    async def _delete_objects(self, definition: Tree) -> int:
        """Deletes all objects; says how many are still there, held by finalizers of their own."""
        version = next((v["name"] for v in definition["spec"]["versions"] if v["served"]), "")
        if not version or not is_true(definition, "Established"):
            return 0
        kind = kind_of(definition, version)
        found = await self.client.list(kind)
        for obj in found.items:
            if not is_being_deleted(obj):
                await self.client.delete(kind, key_of(obj), missing_ok=True)
        return len((await self.client.list(kind)).items)

    async def _tell(self, definition: Tree, left: int) -> None:
        conditions = list(get_in(definition, "status", "conditions", default=[]))
        set_condition(conditions, _DELETING if left else _DELETED, now=self.clock.now())
        status = {**(definition.get("status") or {}), "conditions": conditions}
        await write_status(self.client, self.kind, definition, status)
