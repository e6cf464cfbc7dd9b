"""What an autoscaler scales: anything with a `scale` subresource."""

from dataclasses import dataclass
from typing import Any

import orjson

from flowdeck.client.base import Client, PatchType
from flowdeck.kube.errors import ApiError, NotFound
from flowdeck.kube.kinds import (
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in, key_of

BUILT_IN = (DEPLOYMENT, REPLICA_SET, STATEFUL_SET, REPLICATION_CONTROLLER)


@dataclass(frozen=True)
class Target:
    """The `scale` of one object."""

    kind: Kind
    key: ObjectKey
    scale: Tree

    @property
    def replicas(self) -> int:
        return int(get_in(self.scale, "spec", "replicas", default=0))

    @property
    def selector(self) -> str:
        """The text form of the pods' label selector; `""` when the object does not say."""
        return str(get_in(self.scale, "status", "selector", default=""))

    @property
    def status_replicas(self) -> int:
        return int(get_in(self.scale, "status", "replicas", default=0))


async def find_target(client: Client, autoscaler: Tree) -> Target:
    """The object that `scaleTargetRef` names; raises the `ApiError` that the server answers."""
    ref = autoscaler["spec"]["scaleTargetRef"]
    kind = await _kind_of(client, ref)
    key = ObjectKey(key_of(autoscaler).namespace, ref["name"])
    return Target(kind, key, orjson.loads(await client.raw("GET", kind.url(key, subresource="scale"))))


async def _kind_of(client: Client, ref: Tree) -> Kind:
    group, _, version = ref.get("apiVersion", "").rpartition("/")
    for kind in BUILT_IN:
        if (kind.group, kind.kind) == (group, ref["kind"]):
            return kind
    for crd in (await client.list(CUSTOM_RESOURCE_DEFINITION)).items:
        spec: Any = crd["spec"]
        if spec["group"] == group and spec["names"]["kind"] == ref["kind"]:
            return Kind(group, version, ref["kind"], spec["names"]["plural"], spec["scope"] == "Namespaced")
    raise NotFound(f'no matches for kind "{ref["kind"]}" in group "{group}"')


async def resize(client: Client, target: Target, replicas: int) -> ApiError | None:
    """Sets the replicas through the `scale` subresource; gives the error, if any."""
    patch: Tree = {"spec": {"replicas": replicas}}
    try:
        await client.patch(target.kind, target.key, patch, type=PatchType.MERGE, subresource="scale")
    except ApiError as error:
        return error
    return None
