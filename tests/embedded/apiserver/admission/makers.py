"""Makers of admission requests, and running one through a plug-in."""

from typing import Any

from flowdeck.embedded.apiserver.contract import AdmissionPlugin, AdmissionRequest, Operation, Resource, User
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of
from flowdeck.kube.schema import Schema

BOB = User("bob", groups=("dev", "system:authenticated"))
_SCHEMA = Schema.compile({"type": "object"})


def a_pod(name: str = "p", namespace: str = "team", **spec: Any) -> Tree:
    spec.setdefault("containers", [{"name": "c", "image": "busybox"}])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def a_resource(kind: Kind) -> Resource:
    return Resource(
        kind=kind, singular="", verbs=(), schema=_SCHEMA, strategy=None, storage_version=kind.version  # type: ignore[arg-type]
    )  # fmt: skip


def a_request(
    obj: Tree | None,
    kind: Kind = POD,
    *,
    operation: Operation = "CREATE",
    user: User = BOB,
    old: Tree | None = None,
    **more: Any,
) -> AdmissionRequest:
    whole = obj if obj is not None else old
    key = key_of(whole) if whole is not None else ObjectKey("", "")
    more.setdefault("subresource", "")
    return AdmissionRequest(user, operation, a_resource(kind), key=key, obj=obj, old=old, **more)


async def admit(plugin: AdmissionPlugin, request: AdmissionRequest) -> Tree:
    """The object after the plug-in; raises what the plug-in raises."""
    if request.operation != "DELETE":
        await plugin.mutate(request)
    await plugin.validate(request)
    return request.obj or {}
