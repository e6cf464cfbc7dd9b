"""`pods/eviction`: deletes a pod if its disruption budget lets it go.

Source: k8s.io/kubernetes (pkg/registry/core/pod/storage/eviction.go).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.bodies import object_of
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource, Storage
from flowdeck.embedded.apiserver.deletion import DeleteOptions
from flowdeck.embedded.apiserver.queries import write_options
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.apiserver.writes import WriteOptions
from flowdeck.embedded.store.store import Entry
from flowdeck.kube.conditions import Condition, find_condition, is_true, set_condition
from flowdeck.kube.errors import BadRequest, Cause, Forbidden, InternalError, TooManyRequests
from flowdeck.kube.kinds import POD_DISRUPTION_BUDGET
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of, get_in, labels_of
from flowdeck.kube.selectors import label_selector_of
from flowdeck.kube.times import format_time

EVICTION = Kind("policy", "v1", "Eviction", "evictions")
SUCCESS: Tree = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_MAX_DISRUPTED = 2000


@dataclass(frozen=True)
class Evictions:
    """Answers `pods/eviction`."""

    verbs: Verbs
    registry: Registry
    storage: Storage
    clock: Clock

    async def handle(self, info: RequestInfo) -> Answer:
        """Raises `TooManyRequests` when a budget forbids it now."""
        resource, key = info.resource, info.key
        assert resource is not None
        assert key is not None
        body = object_of(info, EVICTION)
        name = get_in(body, "metadata", "name", default="")
        if name and name != key.name:
            raise BadRequest("name in URL does not match name in Eviction object")
        options, wanted = write_options(info), DeleteOptions.parse(body.get("deleteOptions"), {})
        if get_in(body, "deleteOptions", "dryRun"):
            options = replace(options, dry_run=True)
        pod = self.verbs.get(resource, key).tree
        if not _is_free_to_go(pod):
            wanted = await self._ask_budget(key, pod, wanted, options)
        await self._mark(resource, key, options)
        await self.verbs.delete(resource, key, wanted, options)
        return Answer(obj=SUCCESS, code=201)

    async def _ask_budget(
        self, key: ObjectKey, pod: Tree, wanted: DeleteOptions, options: WriteOptions
    ) -> DeleteOptions:
        budgets = self._budgets(key, pod)
        if len(budgets) > 1:
            raise InternalError(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        if budgets and not _lets_unhealthy_go(budgets[0], pod):
            await self._decrement(budgets[0], key, options)
        return wanted

    def _budgets(self, key: ObjectKey, pod: Tree) -> Sequence[Tree]:
        labels = labels_of(pod)
        return [
            budget
            for budget in self.storage.list(POD_DISRUPTION_BUDGET, key.namespace)
            if (selector := get_in(budget, "spec", "selector")) is not None
            and label_selector_of(selector).matches(labels)
        ]

    async def _decrement(self, budget: Tree, pod: ObjectKey, options: WriteOptions) -> None:
        resource = self.registry.of_kind(POD_DISRUPTION_BUDGET)
        assert resource is not None

        async def build(head: Entry) -> Tree:
            changed = copy_of(head.tree)
            changed["metadata"].pop("resourceVersion", None)
            check_budget(changed)
            status = changed["status"]
            status["disruptionsAllowed"] -= 1
            status.setdefault("disruptedPods", {})[pod.name] = format_time(self.clock.now())
            return changed

        key = ObjectKey(pod.namespace, budget["metadata"]["name"])
        await self.verbs.change(resource, key, build, options, subresource="status")

    async def _mark(self, resource: Resource, key: ObjectKey, options: WriteOptions) -> None:
        """The pod says why it goes."""
        why = Condition(
            type="DisruptionTarget", status="True", reason="EvictionByEvictionAPI", message="Eviction API: evicting"
        )

        async def build(head: Entry) -> Tree:
            changed = copy_of(head.tree)
            changed["metadata"].pop("resourceVersion", None)
            conditions = changed.setdefault("status", {}).setdefault("conditions", [])
            set_condition(conditions, why, now=self.clock.now())
            return changed

        await self.verbs.change(resource, key, build, options, subresource="status")


def _is_free_to_go(pod: Tree) -> bool:
    """Pods that do no work (any more) are nobody's loss."""
    phase = get_in(pod, "status", "phase", default="")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _lets_unhealthy_go(budget: Tree, pod: Tree) -> bool:
    if is_true(pod, "Ready"):
        return False
    if get_in(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    desired = status.get("desiredHealthy") or 0
    return bool(desired > 0 and (status.get("currentHealthy") or 0) >= desired)


def check_budget(budget: Tree) -> None:
    """Raises what forbids one more disruption."""
    name, status = budget["metadata"]["name"], budget.get("status") or {}
    if (status.get("observedGeneration") or 0) < (budget["metadata"].get("generation") or 0):
        raise _too_many(f"The disruption budget {name} is still being processed by the server.", retry_after_s=10)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        raise Forbidden(f'poddisruptionbudgets.policy "{name}" is forbidden: pdb disruptions allowed is negative')
    if len(status.get("disruptedPods") or ()) > _MAX_DISRUPTED:
        raise Forbidden(
            f'poddisruptionbudgets.policy "{name}" is forbidden: DisruptedPods map too big - too many evictions not '
            "confirmed by PDB controller"
        )
    if allowed == 0:
        raise _too_many(_why_not(budget, name, status))


def _why_not(budget: Tree, name: str, status: Tree) -> str:
    condition = find_condition(budget, "DisruptionAllowed") or {}
    told = condition.get("message") if condition.get("status") == "False" else ""
    current, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    if told and condition.get("reason") == "SyncFailed":
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {told}"
    if current <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {current} currently"
    if told:
        return f"The disruption budget {name} does not allow evicting pods currently ({condition['reason']}): {told}"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _too_many(why: str, *, retry_after_s: int = 0) -> TooManyRequests:
    return TooManyRequests(_VIOLATES, causes=[Cause("DisruptionBudget", why)], retry_after_s=retry_after_s)
