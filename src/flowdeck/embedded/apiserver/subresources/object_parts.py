"""Subresources that are parts of an object: `namespaces/finalize`, CSR `approval`, `pods/ephemeralcontainers`.

Source: k8s.io/kubernetes (pkg/registry/core/namespace/strategy.go, pkg/registry/core/pod/strategy.go,
pkg/registry/certificates/certificates/strategy.go).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from flowdeck.embedded.apiserver.bodies import object_of, patch_of
from flowdeck.embedded.apiserver.builtin.strategy import BuiltinStrategy, ValidateUpdate
from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.forms import Negotiator
from flowdeck.embedded.apiserver.negotiation import encode
from flowdeck.embedded.apiserver.queries import write_options
from flowdeck.embedded.apiserver.subresources.binding import unlocked
from flowdeck.embedded.apiserver.verbs import Verbs
from flowdeck.embedded.store.store import Entry
from flowdeck.kube.errors import MethodNotAllowed
from flowdeck.kube.objects import Tree, copy_of, get_in
from flowdeck.kube.patches import apply_json_patch, apply_merge_patch
from flowdeck.kube.strategic import apply_strategic_patch

Path = tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One subresource through which exactly one part of the object is written."""

    verbs: Verbs
    negotiator: Negotiator
    path: Path
    """`("spec", "finalizers")`: what is taken from the body; the rest stays."""
    validate_update: ValidateUpdate | None = None
    """What may change of it; None: everything, and in the status, too."""

    async def handle(self, info: RequestInfo) -> Answer:
        resource, key = info.resource, info.key
        assert resource is not None
        assert key is not None
        form = self.negotiator(info, resource)
        if info.verb == "get":
            obj = self.verbs.get(resource, key).tree
        elif info.verb in ("update", "patch"):
            change = _changed(info)

            async def build(head: Entry) -> Tree:
                current = self.verbs.in_version(resource, head.tree)
                return with_part(current, change(current), self.path)

            obj = await self.verbs.change(
                self._writable(resource), key, build, write_options(info), subresource=info.subresource
            )
        else:
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return Answer(raw=encode(form.one(obj), form.content_type), content_type=form.content_type)

    def _writable(self, resource: Resource) -> Resource:
        if self.validate_update is None:
            return unlocked(resource)
        strategy = resource.strategy
        assert isinstance(strategy, BuiltinStrategy)
        rules = replace(strategy.rules, validate_update=self.validate_update)
        return replace(resource, strategy=replace(strategy, rules=rules))


def with_part(current: Tree, wanted: Tree, path: Path) -> Tree:
    """`current` with one part as `wanted` has it, on the condition of `wanted`'s revision."""
    obj = copy_of(current)
    holder = obj
    for name in path[:-1]:
        holder = holder.setdefault(name, {})
    part = get_in(wanted, *path)
    if part in (None, []):
        holder.pop(path[-1], None)
    else:
        holder[path[-1]] = part
    obj["metadata"].pop("resourceVersion", None)
    if revision := get_in(wanted, "metadata", "resourceVersion"):
        obj["metadata"]["resourceVersion"] = revision
    return obj


def _changed(info: RequestInfo) -> Callable[[Tree], Tree]:
    """From the object as it is to the object as the request wants it."""
    resource = info.resource
    assert resource is not None
    if info.verb == "update":
        body = object_of(info, resource.kind)
        return lambda _: body
    content, patch = patch_of(info)
    match content:
        case "application/json-patch+json":
            return lambda obj: apply_json_patch(_without_revision(obj), patch)
        case "application/merge-patch+json" | "application/apply-patch+yaml":
            return lambda obj: apply_merge_patch(_without_revision(obj), patch)
        case "application/strategic-merge-patch+json":
            return lambda obj: apply_strategic_patch(_without_revision(obj), patch, resource.schema)


def _without_revision(obj: Tree) -> Tree:
    """A patch is made on what is there, whatever its revision."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return {**obj, "metadata": metadata}
