"""Quotas: refuses what would use more of a namespace than its ResourceQuotas allow.

What is used is summed up anew from what each object in memory uses, and what other requests on their way have been
allowed is added, so that concurrent creates cannot pass a quota together. `status.used` is for people: the quota
controller writes it. Source: k8s.io/apiserver (pkg/admission/plugin/resourcequota/controller.go).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from flowdeck.embedded.apiserver.admission.plugin import Plugin, is_new_pod, object_of, refusal
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM, POD, RESOURCE_QUOTA, SERVICE
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, key_of
from flowdeck.kube.pod_resources import Amounts, add, amounts_of, subtract
from flowdeck.kube.quantity import ZERO, Quantity
from flowdeck.kube.quota import limits_kind, missing_requirements, selects, usage_of

_CHANGING = (SERVICE, PERSISTENT_VOLUME_CLAIM)
"""Kinds whose use may grow by an update."""


@dataclass(frozen=True, eq=False)
class Reservation:
    """What a request has been allowed and has not stored yet."""

    key: ObjectKey
    obj: Tree
    old_version: str
    """resourceVersion of the object that the request changes; `""` for a create."""
    usage: Amounts


@dataclass(frozen=True, eq=False)
class Use:
    """What an object uses."""

    key: ObjectKey
    version: str
    """Its resourceVersion."""
    amounts: Amounts
    scoped: Tree
    """As much of it as a quota's scopes ask for."""


@cache
def _use_of(kind: Kind) -> Callable[[Tree], Use]:
    def use(obj: Tree) -> Use:
        version = obj["metadata"].get("resourceVersion", "")
        return Use(key_of(obj), version, usage_of(kind, obj), {"spec": obj["spec"]} if kind == POD else {})

    return use


@dataclass(frozen=True)
class ResourceQuota(Plugin):
    storage: Storage
    name: str = "ResourceQuota"
    _reserved: dict[str, list[Reservation]] = field(default_factory=dict)

    async def validate(self, request: AdmissionRequest) -> None:
        """No await in here: between counting and reserving nobody else gets a turn."""
        namespace = request.key.namespace
        if not namespace or request.subresource or request.operation not in ("CREATE", "UPDATE"):
            return
        kind = request.resource.kind
        if request.operation == "UPDATE" and kind not in _CHANGING:
            return
        quotas = self.storage.list(RESOURCE_QUOTA, namespace)
        if not quotas:
            return
        obj = object_of(request)
        concerned = [quota for quota in quotas if limits_kind(quota, kind) and selects(quota, kind, obj)]
        if not concerned:
            return
        growth = _growth(kind, obj, request.old)
        for quota in sorted(concerned, key=lambda item: item["metadata"]["name"]):
            if is_new_pod(request):
                _check_told(request, quota, obj)
            self._check_room(request, quota, growth)
        if not request.dry_run:
            self._reserve(request, growth)

    def _check_room(self, request: AdmissionRequest, quota: Tree, growth: Amounts) -> None:
        hard = amounts_of(get_in(quota, "spec", "hard"))
        asked = {name: amount for name, amount in growth.items() if name in hard and amount > ZERO}
        if not asked:
            return
        used = self._used(request.resource.kind, request.key.namespace, quota)
        over = [name for name in asked if hard[name] < used.get(name, ZERO) + asked[name]]
        if over:
            raise refusal(
                request,
                f"exceeded quota: {quota['metadata']['name']}, requested: {_told(over, asked)}, "
                f"used: {_told(over, used)}, limited: {_told(over, hard)}",
            )

    def _used(self, kind: Kind, namespace: str, quota: Tree) -> Amounts:
        total: Amounts = {}
        versions: dict[ObjectKey, str] = {}
        for use in self.storage.facts(kind, _use_of(kind), namespace):
            versions[use.key] = use.version
            if selects(quota, kind, use.scoped):
                total = add(total, use.amounts)
        for reservation in self._reserved.get(kind.resource, ()):
            is_counted = versions.get(reservation.key, "") != reservation.old_version
            if reservation.key.namespace != namespace or is_counted:
                continue  # what is stored was counted above, though its request may not have ended yet
            if selects(quota, kind, reservation.obj):
                total = add(total, reservation.usage)
        return total

    def _reserve(self, request: AdmissionRequest, growth: Amounts) -> None:
        old_version = (request.old or {}).get("metadata", {}).get("resourceVersion", "")
        reservation = Reservation(request.key, object_of(request), old_version, growth)
        reserved = self._reserved.setdefault(request.resource.kind.resource, [])
        reserved.append(reservation)
        request.cleanups.append(lambda: reserved.remove(reservation))


def _growth(kind: Kind, obj: Tree, old: Tree | None) -> Amounts:
    usage = usage_of(kind, obj)
    return subtract(usage, usage_of(kind, old)) if old is not None else usage


def _check_told(request: AdmissionRequest, quota: Tree, pod: Tree) -> None:
    missing = missing_requirements(quota, pod)
    if missing:
        raise refusal(request, f"failed quota: {quota['metadata']['name']}: {missing}")


def _told(names: Sequence[str], amounts: Mapping[str, Quantity]) -> str:
    return ",".join(f"{name}={amounts.get(name, ZERO)}" for name in sorted(names))
