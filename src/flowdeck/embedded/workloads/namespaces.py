"""Empties a namespace that is being deleted, then lets it go.

Reads   Namespace, and everything inside, straight from the store
Writes  deletions of all that is inside; Namespace.status.conditions; its finalizer `kubernetes`

Source: Kubernetes (pkg/controller/namespace/deletion).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.acts import carry_out
from flowdeck.controller.contract import DONE, Feeds, Result
from flowdeck.controller.status import write_status
from flowdeck.embedded.apiserver.contract import Resource
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.store.store import Change, Store, StoreKey
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.kinds import NAMESPACE
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of, finalizers_of, get_in, is_being_deleted, key_of

FINALIZER = "kubernetes"


@dataclass(frozen=True, kw_only=True)
class NamespaceController:
    client: Client
    clock: Clock
    store: Store
    registry: Registry
    name: str = "namespace"
    kind: Kind = NAMESPACE

    @property
    def watches(self) -> Sequence[Feeds]:
        return (Feeds(self._connect),)

    def _connect(self, add: Callable[[ObjectKey], None]) -> None:
        """Whatever leaves a namespace that is on its way out brings it closer to its end."""

        def note(change: Change) -> None:
            name = change.entry.key.namespace
            if name and change.is_deletion and self._is_terminating(name):
                add(ObjectKey("", name))

        self.store.on_change(note)

    def _is_terminating(self, name: str) -> bool:
        entry = self.store.get(StoreKey(NAMESPACE.resource, "", name))
        return entry is not None and is_being_deleted(entry.tree)

    async def reconcile(self, key: ObjectKey) -> Result:
        namespace = await self.client.find(NAMESPACE, key)
        if namespace is None or not is_being_deleted(namespace):
            return DONE
        if FINALIZER not in get_in(namespace, "spec", "finalizers", default=()):
            return DONE
        await self._empty(key.name)
        left = list(self._content(key.name))
        namespace = await write_status(self.client, NAMESPACE, namespace, self._status(namespace, left))
        if not left:
            await self._let_go(namespace)
        return DONE

    async def _empty(self, name: str) -> None:
        await carry_out(
            self.client.delete(resource.kind, key_of(obj), propagation="Background", missing_ok=True)
            for resource, obj in list(self._content(name))
            if not is_being_deleted(obj)
        )

    def _content(self, name: str) -> Iterator[tuple[Resource, Tree]]:
        for resource in self._deletable():
            for entry in self.store.scan(resource.kind.resource, name):
                yield resource, entry.tree

    def _deletable(self) -> Iterator[Resource]:
        """One version of each namespaced resource that is stored."""
        seen = set()
        for resource in self.registry:
            name = resource.kind.resource
            if (
                resource.kind.namespaced
                and resource.virtual is None
                and "delete" in resource.verbs
                and name not in seen
            ):
                seen.add(name)
                yield resource

    def _status(self, namespace: Tree, left: Sequence[tuple[Resource, Tree]]) -> Tree:
        status = copy_of(namespace.get("status") or {})
        conditions = status.setdefault("conditions", [])
        for condition in _conditions(left):
            set_condition(conditions, condition, now=self.clock.now())
        return {**status, "phase": "Terminating"}

    async def _let_go(self, namespace: Tree) -> None:
        kept = [name for name in namespace["spec"]["finalizers"] if name != FINALIZER]
        body = {**namespace, "spec": {**namespace["spec"], "finalizers": kept}}
        await self.client.raw("PUT", NAMESPACE.url(key_of(namespace), subresource="finalize"), body=body)


def _conditions(left: Sequence[tuple[Resource, Tree]]) -> list[Condition]:
    """What upstream says of a namespace that is being emptied, word for word."""
    resources = Counter(resource.kind.resource for resource, _ in left)
    finalizers = Counter(name for _, obj in left for name in finalizers_of(obj))
    counted = ", ".join(f"{name}. has {count} resource instances" for name, count in sorted(resources.items()))
    guarded = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
    return [
        Condition(
            type="NamespaceDeletionDiscoveryFailure",
            status="False",
            reason="ResourcesDiscovered",
            message="All resources successfully discovered",
        ),
        Condition(
            type="NamespaceDeletionGroupVersionParsingFailure",
            status="False",
            reason="ParsedGroupVersions",
            message="All legacy kube types successfully parsed",
        ),
        Condition(
            type="NamespaceDeletionContentFailure",
            status="False",
            reason="ContentDeleted",
            message="All content successfully deleted, may be waiting on finalization",
        ),
        Condition(
            type="NamespaceContentRemaining",
            status="True" if left else "False",
            reason="SomeResourcesRemain" if left else "ContentRemoved",
            message=f"Some resources are remaining: {counted}" if left else "All content successfully removed",
        ),
        Condition(
            type="NamespaceFinalizersRemaining",
            status="True" if finalizers else "False",
            reason="SomeFinalizersRemain" if finalizers else "ContentHasNoFinalizers",
            message=f"Some content in the namespace has finalizers remaining: {guarded}"
            if finalizers
            else "All content-preserving finalizers finished",
        ),
    ]
