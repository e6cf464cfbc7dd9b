"""`pods/binding` and `bindings`: a scheduler gives a pod its node.

Source: k8s.io/kubernetes (pkg/registry/core/pod/storage/storage.go, BindingREST).
"""

from dataclasses import dataclass, replace

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.bodies import object_of
from flowdeck.embedded.apiserver.builtin.strategy import BuiltinStrategy
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.queries import write_options
from flowdeck.embedded.apiserver.subresources.eviction import SUCCESS
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.store.store import Entry
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.errors import BadRequest, conflict, invalid_object, not_supported, required
from flowdeck.kube.kinds import BINDING, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of, get_in

_POD_BINDING = Kind("", "v1", "Binding", "pods/binding")


@dataclass(frozen=True)
class Bindings:
    """Answers `pods/binding` and creations of `bindings`."""

    verbs: Verbs
    pods: Resource
    clock: Clock

    async def handle(self, info: RequestInfo) -> Answer:
        """Raises `Invalid`, `NotFound`, and `Conflict` when the pod has a node or is going."""
        assert info.key is not None
        binding = object_of(info, BINDING)
        name = info.key.name or get_in(binding, "metadata", "name", default="")
        key = ObjectKey(info.key.namespace, name)
        _check(binding, name)

        async def build(head: Entry) -> Tree:
            return bound(head.tree, binding, key, self.clock)

        options = write_options(info)
        # upstream writes it below the machinery that knows owners of fields
        await self.verbs.change(unlocked(self.pods), key, build, options, subresource="binding", applied=True)
        return Answer(obj=SUCCESS, code=201)


def unlocked(resource: Resource) -> Resource:
    """The resource for a subresource that may change what updates may not, status included."""
    strategy = resource.strategy
    assert isinstance(strategy, BuiltinStrategy)
    rules = replace(strategy.rules, validate_update=None, on_update=None, keeps_status=False, counts_generations=False)
    return replace(resource, strategy=replace(strategy, rules=rules))


def _check(binding: Tree, name: str) -> None:
    target = binding.get("target") or {}
    if get_in(binding, "metadata", "name", default=name) != name:
        raise BadRequest("name in URL does not match name in Binding object")
    errors = []
    if target.get("kind") not in (None, "", "Node", "Minion"):
        errors.append(not_supported("target.kind", target["kind"], ("Node", "<empty>")))
    if not target.get("name"):
        errors.append(required("target.name"))
    if errors:
        raise invalid_object(BINDING, name, errors)


def bound(pod: Tree, binding: Tree, key: ObjectKey, clock: Clock) -> Tree:
    """The pod with its node; raises `Conflict` where it cannot have one."""
    why = ""
    if pod["metadata"].get("deletionTimestamp"):
        why = f"pod {key.name} is being deleted, cannot be assigned to a host"
    elif pod["spec"].get("nodeName"):
        why = f'pod {key.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
    elif pod["spec"].get("schedulingGates"):
        why = f"pod {key.name} has non-empty .spec.schedulingGates"
    if why:
        raise conflict(_POD_BINDING, key.name, why)
    changed = copy_of(pod)
    meta, asked = changed["metadata"], binding.get("metadata") or {}
    meta.pop("resourceVersion", None)
    for name in ("uid", "resourceVersion"):
        if asked.get(name) and asked[name] != pod["metadata"].get(name):
            raise conflict(POD, key.name, f"Precondition failed: {name} in precondition: {asked[name]}")
    for name in ("annotations", "labels"):
        if asked.get(name):
            meta[name] = {**(meta.get(name) or {}), **asked[name]}
    changed["spec"]["nodeName"] = binding["target"]["name"]
    status = changed.setdefault("status", {})
    status.pop("nominatedNodeName", None)
    scheduled = Condition(type="PodScheduled", status="True", reason="")
    conditions = status.setdefault("conditions", [])
    if set_condition(conditions, scheduled, now=clock.now()):
        _without_empty(conditions)
    return changed


def _without_empty(conditions: list[Tree]) -> None:
    for condition in conditions:
        for name in ("reason", "message"):
            if condition.get(name) == "":
                del condition[name]
