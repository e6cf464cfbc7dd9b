"""Keeps `status.used` of ResourceQuotas in step with the objects that they count.

Admission raises `used` before it lets an object in; this controller finds out what is true: after deletions, after pods
finished, after a quota changed.

Reads   ResourceQuota, and the kinds that its names count
Writes  ResourceQuota status
Source: kubernetes (pkg/controller/resourcequota)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.status import write_status
from flowdeck.kube import kinds
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, is_being_deleted, key_of
from flowdeck.kube.pod_resources import Amounts, add, amounts_of
from flowdeck.kube.quantity import ZERO
from flowdeck.kube.quota import limits_kind, selects, usage_of

COUNTABLE = (
    kinds.CONFIG_MAP,
    kinds.CRON_JOB,
    kinds.DAEMON_SET,
    kinds.DEPLOYMENT,
    kinds.JOB,
    kinds.PERSISTENT_VOLUME_CLAIM,
    kinds.POD,
    kinds.REPLICA_SET,
    kinds.REPLICATION_CONTROLLER,
    kinds.RESOURCE_QUOTA,
    kinds.SECRET,
    kinds.SERVICE,
    kinds.SERVICE_ACCOUNT,
    kinds.STATEFUL_SET,
)
"""Kinds that are counted. `count/<custom resource>` stays at what admission says."""


def used_by(quota: Tree, objects: Mapping[Kind, Sequence[Tree]]) -> Amounts:
    """What the objects of the quota's namespace use of the names in `spec.hard`.

    A name that counts none of these kinds keeps the amount that the status has.
    """
    before = amounts_of(get_in(quota, "status", "used"))
    total: Amounts = {}
    for name in get_in(quota, "spec", "hard", default={}):
        is_counted = any(limits_kind({"spec": {"hard": {name: ""}}}, kind) for kind in objects)
        total[name] = ZERO if is_counted else before.get(name, ZERO)
    for kind, found in objects.items():
        for obj in found:
            if selects(quota, kind, obj):
                usage = usage_of(kind, obj)
                total = add(total, {name: usage[name] for name in total if name in usage})
    return total


@dataclass(frozen=True, kw_only=True)
class ResourceQuotaController:
    """Keeps the numbers of quotas."""

    client: Client
    served: Sequence[Kind] = COUNTABLE
    name: str = "resourcequota"
    kind: Kind = kinds.RESOURCE_QUOTA
    _quotas: dict[str, dict[ObjectKey, frozenset[Kind]]] = field(default_factory=dict)
    """Namespace -> quota -> the kinds it counts: most changes concern no quota at all."""

    @property
    def watches(self) -> Sequence[Maps]:
        return [self._watch(kind) for kind in self.served]

    def _watch(self, kind: Kind) -> Maps:
        def to_quotas(obj: Tree) -> Iterable[ObjectKey]:
            quotas = self._quotas.get(key_of(obj).namespace, {})
            return [key for key, counted in quotas.items() if kind in counted]

        return Maps(kind, to_quotas)

    async def reconcile(self, key: ObjectKey) -> Result:
        quota = await self.client.find(kinds.RESOURCE_QUOTA, key)
        if quota is None or is_being_deleted(quota):
            self._quotas.get(key.namespace, {}).pop(key, None)
            return DONE
        hard = get_in(quota, "spec", "hard", default={})
        counted = [kind for kind in self.served if limits_kind(quota, kind)]
        self._quotas.setdefault(key.namespace, {})[key] = frozenset(counted)
        objects = {kind: (await self.client.list(kind, namespace=key.namespace)).items for kind in counted}
        used = used_by(quota, objects)
        if get_in(quota, "status", "hard") != hard or amounts_of(get_in(quota, "status", "used")) != used:
            texts = {name: str(amount) for name, amount in used.items()}
            status = {"hard": hard, "used": texts}
            # admission may have counted something in between
            await write_status(self.client, self.kind, quota, status, if_unchanged=True)
        return DONE
