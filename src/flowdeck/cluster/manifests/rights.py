"""RBAC: what the components say that they need, plus what the operator itself needs, and nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from flowdeck.cluster.manifests.objects import an_object
from flowdeck.cluster.names import CERTIFICATES, LEASE, NAME, NAMESPACE
from flowdeck.cluster.operator import configurations
from flowdeck.components.base import Component, Right
from flowdeck.kube import kinds
from flowdeck.kube.objects import Tree

_GROUP = "rbac.authorization.k8s.io"
IN_NAMESPACE = (
    Right(kinds.LEASE, ("create",)),
    Right(kinds.LEASE, ("get", "update"), names=(LEASE.name,)),
    Right(kinds.SECRET, ("create",)),
    Right(kinds.SECRET, ("get", "update"), names=(CERTIFICATES.name,)),
)
"""The operator's own, in its namespace: leader election and certificates. A create cannot be bound to a name."""


def service_account() -> Tree:
    return an_object(kinds.SERVICE_ACCOUNT, NAME) | {"automountServiceAccountToken": False}


def roles(parts: Sequence[Component]) -> Iterator[Tree]:
    """The ServiceAccount's roles, and their bindings."""
    wanted = [*(right for part in parts for right in part.rights()), *_webhook_rights(parts)]
    everywhere = [right for right in wanted if not right.namespace]
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    yield an_object(kinds.CLUSTER_ROLE, NAME, rules=rules(everywhere))
    reference = {"apiGroup": _GROUP, "kind": "ClusterRole", "name": NAME}
    yield an_object(kinds.CLUSTER_ROLE_BINDING, NAME, roleRef=reference, subjects=[subject])
    there: defaultdict[str, list[Right]] = defaultdict(list, {NAMESPACE: list(IN_NAMESPACE)})
    for right in wanted:
        if right.namespace:
            there[right.namespace].append(right)
    for namespace, rights in there.items():
        yield an_object(kinds.ROLE, NAME, namespace=namespace, rules=rules(rights))
        yield an_object(
            kinds.ROLE_BINDING, NAME, namespace=namespace, roleRef=reference | {"kind": "Role"}, subjects=[subject]
        )


def _webhook_rights(parts: Sequence[Component]) -> Iterator[Right]:
    """The leader keeps the authorities in the webhook configurations."""
    for kind, name in configurations([rule for part in parts for rule in part.admission()]):
        yield Right(kind, ("get", "patch"), names=(name,))


def rules(rights: Iterable[Right]) -> list[Tree]:
    """The rights as RBAC rules: one for all resources of a group that need the same verbs on the same names."""
    verbs: dict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for right in rights:
        resource = f"{right.kind.plural}/{right.subresource}" if right.subresource else right.kind.plural
        verbs[right.kind.group, resource, right.names] |= set(right.verbs)
    shared: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, names), wanted in sorted(verbs.items()):
        shared[group, names, tuple(sorted(wanted))].append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(wanted)}
        | ({"resourceNames": list(names)} if names else {})
        for (group, names, wanted), resources in sorted(shared.items())
    ]
