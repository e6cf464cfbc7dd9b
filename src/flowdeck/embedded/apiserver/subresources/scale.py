"""`scale`: the replicas of a workload seen as an `autoscaling/v1` Scale, of built-in and of custom kinds.

Source: k8s.io/kubernetes (pkg/registry/apps/deployment/storage), k8s.io/apiextensions-apiserver
(pkg/registry/customresource/etcd.go).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flowdeck.embedded.apiserver.bodies import body_of, media_of, patch_of
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.deletion import SCHEME
from flowdeck.embedded.apiserver.forms import Negotiator
from flowdeck.embedded.apiserver.negotiation import encode
from flowdeck.embedded.apiserver.queries import write_options
from flowdeck.embedded.apiserver.subresources.scale_owners import SCALE_VERSION, of_object, of_scale
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.store.store import Entry
from flowdeck.kube import apply
from flowdeck.kube.errors import BadRequest, MethodNotAllowed, invalid, invalid_object
from flowdeck.kube.json_path import compile_path, set_at
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of, get_in
from flowdeck.kube.openapi import schema_for
from flowdeck.kube.patches import apply_json_patch, apply_merge_patch
from flowdeck.kube.selectors import format_label_selector, label_selector_of

SCALE = Kind("autoscaling", "v1", "Scale", "scales")
_BUILTIN: Tree = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


@dataclass(frozen=True)
class Scales:
    """Answers `scale` of every resource that has it."""

    verbs: Verbs
    negotiator: Negotiator

    async def handle(self, info: RequestInfo) -> Answer:
        """Raises `NotFound`, `Invalid`, `Conflict`."""
        resource, key = info.resource, info.key
        assert resource is not None
        assert key is not None
        form = self.negotiator.of_kind(info, SCALE)
        match info.verb:
            case "get":
                scale = scale_of(resource, self.verbs.get(resource, key).tree)
            case "update":
                body = _read(body_of(info), key)
                scale = await self._change(info, resource, key, lambda _: body)
            case "patch" if media_of(info) == "application/apply-patch+yaml":
                scale = await self._apply(info, resource, key)
            case "patch":
                scale = await self._change(info, resource, key, _patch(info))
            case _:
                raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return Answer(raw=encode(form.one(scale), form.content_type), content_type=form.content_type)

    async def _change(
        self, info: RequestInfo, resource: Resource, key: ObjectKey, wanted: Callable[[Tree], Any]
    ) -> Tree:
        async def build(head: Entry) -> Tree:
            scale = wanted(scale_of(resource, head.tree))
            obj = copy_of(self.verbs.in_version(resource, head.tree))
            set_at(obj, _paths(resource)["specReplicasPath"], _replicas(scale, key.name))
            revision = get_in(scale, "metadata", "resourceVersion")
            obj["metadata"].pop("resourceVersion", None)
            if revision and info.verb == "update":
                obj["metadata"]["resourceVersion"] = revision
            return obj

        changed = await self.verbs.change(resource, key, build, write_options(info), subresource="scale")
        return scale_of(resource, changed)

    async def _apply(self, info: RequestInfo, resource: Resource, key: ObjectKey) -> Tree:
        """Raises also `Conflict` where others own the replicas."""
        content, config = patch_of(info)
        options, schema = write_options(info, content), schema_for(SCALE)
        if isinstance(config, dict) and isinstance(config.get("metadata") or {}, dict):
            apply.check_config(config, SCALE, schema, key.name)
        path = _paths(resource)["specReplicasPath"]

        async def build(head: Entry) -> Tree:
            _read(config, key)
            obj = copy_of(self.verbs.in_version(resource, head.tree))
            owners = obj["metadata"].get("managedFields") or []
            live = scale_of(resource, obj)
            live["metadata"]["managedFields"] = of_scale(owners, path)
            writer = apply.Writer(
                manager=options.manager, api_version=SCALE_VERSION, subresource="scale", now=self.verbs.clock.now()
            )
            scale = apply.apply(live, config, schema, writer, force=options.force)
            set_at(obj, path, _replicas(scale, key.name))
            obj["metadata"].pop("resourceVersion", None)
            now_owners = of_object(owners, scale["metadata"]["managedFields"], path, resource.kind.api_version)
            obj["metadata"]["managedFields"] = now_owners
            return obj

        changed = await self.verbs.change(resource, key, build, options, subresource="scale", applied=True)
        return scale_of(resource, changed)


def _read(body: Any, key: ObjectKey) -> Any:
    """A whole Scale, held against the URL that it was sent to."""
    if not isinstance(body, dict) or not isinstance(body.get("metadata") or {}, dict):
        return body
    sent, version = body.get("kind") or "Scale", body.get("apiVersion") or "autoscaling/v1"
    if (sent, version) != ("Scale", "autoscaling/v1"):
        what = f'{sent} in version "{str(version).rpartition("/")[2]}" cannot be handled as a Scale'
        raise BadRequest(f'{what}: no kind "{sent}" is registered for version "{version}" in scheme "{SCHEME}"')
    name = get_in(body, "metadata", "name")
    if name and name != key.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({key.name})")
    return body


def _patch(info: RequestInfo) -> Callable[[Tree], Any]:
    content, patch = patch_of(info)
    if content == "application/json-patch+json":
        return lambda scale: apply_json_patch(scale, patch)
    return lambda scale: apply_merge_patch(scale, patch)


def _replicas(scale: Any, name: str) -> int:
    if not isinstance(scale, dict) or not isinstance(scale.get("spec") or {}, dict):
        raise BadRequest("the object provided is unrecognized (must be of type Scale)")
    replicas = get_in(scale, "spec", "replicas", default=0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise BadRequest("json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32")
    if replicas < 0:
        error = invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid_object(SCALE, name, [error])
    return replicas


def _paths(resource: Resource) -> Mapping[str, str]:
    return resource.scale or _BUILTIN


def scale_of(resource: Resource, obj: Tree) -> Tree:
    """The Scale of an object."""
    paths, meta = _paths(resource), obj["metadata"]
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    replicas = compile_path(paths["specReplicasPath"]).first(obj, 0)
    status: Tree = {"replicas": compile_path(paths["statusReplicasPath"]).first(obj, 0)}
    if selector := _selector(resource, obj):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in shown if name in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector(resource: Resource, obj: Tree) -> str:
    if resource.scale is not None:
        path = resource.scale.get("labelSelectorPath")
        return str(compile_path(path).first(obj, "")) if path else ""
    selector = get_in(obj, "spec", "selector", default={})
    if resource.kind.kind == "ReplicationController":
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return format_label_selector(label_selector_of(selector))
