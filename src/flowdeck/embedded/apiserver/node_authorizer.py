"""What a node may do: its own work, and only with what its own pods need.

Source: kubernetes (plugin/pkg/auth/authorizer/node). What the node may always do stands in the ClusterRole
`system:node` (bootstrap_roles.py); here are the resources that depend on the objects.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from flowdeck.embedded.apiserver.bootstrap_roles import NODE_RULES
from flowdeck.embedded.apiserver.contract import Attributes, Decision, Storage, User
from flowdeck.embedded.apiserver.rbac import Rule
from flowdeck.kube.kinds import PERSISTENT_VOLUME, POD
from flowdeck.kube.objects import ObjectKey, Tree, get_in

NODES = "system:nodes"
PREFIX = "system:node:"
LEASES = "kube-node-lease"
_UNKNOWN = Decision(False)


def is_node(user: User) -> bool:
    return user.name.startswith(PREFIX) and NODES in user.groups


@dataclass(frozen=True)
class NodeAuthorizer:
    """Has an opinion only on users `system:node:NAME` in the group `system:nodes`."""

    storage: Storage

    def authorize(self, attributes: Attributes) -> Decision:
        user = attributes.user
        if not is_node(user):
            return _UNKNOWN
        node = user.name.removeprefix(PREFIX)
        match attributes.group, attributes.resource, attributes.subresource:
            case "", "secrets" | "configmaps", "":
                return self._read(node, attributes, ("get", "list", "watch"))
            case "", "persistentvolumeclaims", "":
                return self._read(node, attributes, ("get",))
            case "", "persistentvolumeclaims", "status":
                return self._read(node, attributes, ("get", "update", "patch"))
            case "", "persistentvolumes", "":
                return self._read(node, attributes, ("get",))
            case "", "serviceaccounts", "token":
                return self._read(node, attributes, ("create",))
            case "coordination.k8s.io", "leases", "":
                return _lease(node, attributes)
        return Decision(any(rule.allows(attributes) for rule in _RULES))

    def _read(self, node: str, attributes: Attributes, verbs: tuple[str, ...]) -> Decision:
        if attributes.verb not in verbs:
            return Decision(False, f"can only {'/'.join(verbs)} this type")
        if not attributes.name:
            return Decision(False, "No Object name found")
        if self._is_needed(node, attributes):
            return Decision(True)
        return Decision(False, f"no relationship found between node '{node}' and this object")

    def _is_needed(self, node: str, attributes: Attributes) -> bool:
        if attributes.resource == "persistentvolumes":
            volume = self.storage.get(PERSISTENT_VOLUME, ObjectKey("", attributes.name))
            claim = get_in(volume, "spec", "claimRef")
            return bool(claim) and self._uses(
                node, claim.get("namespace", ""), "persistentvolumeclaims", claim.get("name", "")
            )
        return self._uses(node, attributes.namespace, attributes.resource, attributes.name)

    def _uses(self, node: str, namespace: str, resource: str, name: str) -> bool:
        needs = self.storage.facts(POD, _NEEDS[resource], namespace)
        return any(name in names for where, names in needs if where == node)


_RULES = tuple(map(Rule.of, NODE_RULES))


def _lease(node: str, attributes: Attributes) -> Decision:
    if attributes.verb not in ("get", "create", "update", "patch", "delete"):
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if attributes.namespace != LEASES:
        return Decision(False, f'can only access leases in the "{LEASES}" system namespace')
    if attributes.verb != "create" and attributes.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return Decision(True)


def _secrets(pod: Tree) -> Iterable[str]:
    for reference in pod["spec"].get("imagePullSecrets") or ():
        yield reference.get("name", "")
    for volume in pod["spec"].get("volumes") or ():
        yield get_in(volume, "secret", "secretName", default="")
        yield from _projected(volume, "secret")
        for source in volume.values():
            if isinstance(source, dict):
                for word in ("secretRef", "nodePublishSecretRef", "nodeStageSecretRef"):
                    yield get_in(source, word, "name", default="")
    yield from _environment(pod, "secretKeyRef", "secretRef")


def _config_maps(pod: Tree) -> Iterable[str]:
    for volume in pod["spec"].get("volumes") or ():
        yield get_in(volume, "configMap", "name", default="")
        yield from _projected(volume, "configMap")
    yield from _environment(pod, "configMapKeyRef", "configMapRef")


def _claims(pod: Tree) -> Iterable[str]:
    for volume in pod["spec"].get("volumes") or ():
        yield get_in(volume, "persistentVolumeClaim", "claimName", default="")
        if volume.get("ephemeral"):
            yield f"{pod['metadata']['name']}-{volume['name']}"


def _accounts(pod: Tree) -> Iterable[str]:
    yield pod["spec"].get("serviceAccountName") or "default"


def _projected(volume: Tree, word: str) -> Iterable[str]:
    for source in get_in(volume, "projected", "sources", default=()):
        yield get_in(source, word, "name", default="")


def _environment(pod: Tree, key_word: str, whole_word: str) -> Iterable[str]:
    for list_name in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod["spec"].get(list_name) or ():
            for variable in container.get("env") or ():
                yield get_in(variable, "valueFrom", key_word, "name", default="")
            for source in container.get("envFrom") or ():
                yield get_in(source, whole_word, "name", default="")


def _needs(names: Callable[[Tree], Iterable[str]]) -> Callable[[Tree], tuple[str, frozenset[str]]]:
    """Where a pod runs, and what it needs there."""
    return lambda pod: (pod["spec"].get("nodeName") or "", frozenset(names(pod)))


_NEEDS: dict[str, Callable[[Tree], tuple[str, frozenset[str]]]] = {
    "secrets": _needs(_secrets),
    "configmaps": _needs(_config_maps),
    "persistentvolumeclaims": _needs(_claims),
    "serviceaccounts": _needs(_accounts),
}
