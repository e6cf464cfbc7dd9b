"""API objects as JSON trees, and the few questions everybody asks of them.

An API object travels through Flowdeck as the JSON tree it is on the wire (`Tree`), so a field that we do not know is
never lost. Trees that come from a `Reader` are shared: treat them as read-only, `copy_of` before you change one.
Components convert a tree to the structs of their `types.py` where they decide.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

Tree = dict[str, Any]
"""One JSON object as `orjson.loads` gives it."""


class ObjectKey(NamedTuple):
    """Namespace and name of an object; the namespace is `""` for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Kind:
    """One served resource: how it is named in URLs and in objects."""

    group: str
    """API group, `""` for the core group."""
    version: str
    kind: str
    """CamelCase singular, as in `kind:`."""
    plural: str
    """Lower-case plural, as in the URL."""
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`, as in `apiVersion:`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def path(self) -> str:
        """URL prefix of the group version: `/api/v1` or `/apis/apps/v1`."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def resource(self) -> str:
        """`deployments.apps`, or `pods` in the core group: the name that messages and RBAC use."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def url(self, key: ObjectKey | None = None, *, namespace: str = "", subresource: str = "") -> str:
        """The URL of an object (with `key`) or of a collection (in `namespace`, or over all of them)."""
        space = key.namespace if key else namespace
        parts = [self.path]
        if self.namespaced and space:
            parts.append(f"namespaces/{space}")
        parts.append(self.plural)
        if key:
            parts.append(key.name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


def copy_of(obj: Tree) -> Tree:
    """A deep copy that may be changed."""
    copied: Tree = orjson.loads(orjson.dumps(obj))
    return copied


def key_of(obj: Mapping[str, Any]) -> ObjectKey:
    meta = obj["metadata"]
    return ObjectKey(meta.get("namespace") or "", meta["name"])


def uid_of(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def finalizers_of(obj: Mapping[str, Any]) -> list[str]:
    return list((obj.get("metadata") or {}).get("finalizers") or [])


def is_being_deleted(obj: Mapping[str, Any]) -> bool:
    """True from the moment a delete was accepted until finalizers and grace period let the object go."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Mapping[str, Any]) -> Tree | None:
    """The owner reference with `controller: true`, if any."""
    for ref in obj["metadata"].get("ownerReferences") or ():
        if ref.get("controller"):
            return dict(ref)
    return None


def is_controlled_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    ref = controller_of(obj)
    return ref is not None and ref.get("uid") == uid_of(owner)


def owner_reference(owner: Mapping[str, Any], *, controller: bool = True, block_deletion: bool = True) -> Tree:
    """The reference that makes an object belong to `owner`; the owner must carry apiVersion, kind and uid."""
    ref: Tree = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    if controller:
        ref["controller"] = True
    if block_deletion:
        ref["blockOwnerDeletion"] = True
    return ref


def get_in(obj: Any, *path: str | int, default: Any = None) -> Any:
    """The value at a path of keys and indices, or `default` where any step is missing or null."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(obj, list) or not -len(obj) <= step < len(obj):
                return default
            obj = obj[step]
        else:
            if not isinstance(obj, Mapping):
                return default
            obj = obj.get(step)
        if obj is None:
            return default
    return obj


def by_name(items: Iterable[Tree] | None) -> dict[str, Tree]:
    """Containers, volumes, env and the like, looked up by their `name`."""
    return {item["name"]: item for item in items or ()}
