"""Custom resource definitions: what they make the server serve.

A definition's names are accepted as it is written (`builtin/definitions.py`), its resources are served from the moment
it is stored (`CustomKinds`). A controller deletes its objects before it goes (`workloads/custom_kind_cleanup.py`).

Not done: conversion webhooks (objects of all versions differ in `apiVersion` only; a warning says so), and taking a
name over when the definition that it clashed with goes away.

Source: k8s.io/apiextensions-apiserver (pkg/controller/{status,establish}, pkg/apiserver).
"""

from collections.abc import Mapping, Sequence

from flowdeck.embedded.apiserver.contract import Resource, Storage, Subresource
from flowdeck.embedded.apiserver.custom_strategy import CustomStrategy
from flowdeck.embedded.apiserver.registry import Registry
from flowdeck.embedded.store.store import Change
from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.kube.objects import Kind, Tree, get_in, is_being_deleted
from flowdeck.kube.schema import Schema

_SCALE = Kind("autoscaling", "v1", "Scale", "")
_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_SUB_VERBS = ("get", "patch", "update")


def resources_of(definition: Tree) -> Sequence[Resource]:
    """The resources that a definition brings, one a served version; none before its names are accepted."""
    if not is_true(definition, "Established"):
        return ()
    versions = definition["spec"]["versions"]
    storage = next(version["name"] for version in versions if version["storage"])
    return [_resource(definition, version, storage) for version in versions if version["served"]]


def kind_of(definition: Tree, version: str) -> Kind:
    spec = definition["spec"]
    names = spec["names"]
    return Kind(spec["group"], version, names["kind"], names["plural"], spec["scope"] == "Namespaced")


def _resource(definition: Tree, version: Tree, storage: str) -> Resource:
    kind = kind_of(definition, version["name"])
    names = definition["spec"]["names"]
    subresources = version.get("subresources") or {}
    schema = Schema.compile(get_in(version, "schema", "openAPIV3Schema", default={"type": "object"}))
    scale = subresources.get("scale")
    verbs = tuple(verb for verb in _VERBS if verb != "create") if is_being_deleted(definition) else _VERBS
    return Resource(
        kind=kind,
        singular=names.get("singular") or kind.kind.lower(),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=verbs,
        subresources=_subresources(kind, subresources),
        schema=schema,
        strategy=CustomStrategy(kind, schema, has_status="status" in subresources, scale=scale),
        storage_version=storage,
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        scale=scale,
        is_custom=True,
        needs_revision=True,
        deprecation=_deprecation(kind, version),
        selectable_fields=tuple(field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or ()),
    )


def _subresources(kind: Kind, declared: Tree) -> Mapping[str, Subresource]:
    found = {}
    if "status" in declared:
        found["status"] = Subresource(kind=kind, verbs=_SUB_VERBS)
    if "scale" in declared:
        found["scale"] = Subresource(kind=_SCALE, verbs=_SUB_VERBS)
    return found


def _deprecation(kind: Kind, version: Tree) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{kind.api_version} {kind.kind} is deprecated"


# -- serving


class CustomKinds:
    """Keeps the registry in step with the stored definitions."""

    def __init__(self, registry: Registry, storage: Storage) -> None:
        self._registry = registry
        self._storage = storage
        self._served: dict[str, Tree] = {}

    def load(self) -> None:
        """Serves what is stored already; once, at start."""
        for definition in self._storage.list(CUSTOM_RESOURCE_DEFINITION):
            self._serve(definition)

    def note(self, change: Change) -> None:
        """A listener of the store's changes."""
        if change.entry.key.resource != CUSTOM_RESOURCE_DEFINITION.resource:
            return
        if change.is_deletion:
            self._served.pop(change.entry.key.name, None)
            self._registry.set_custom(change.entry.key.name, ())
        else:
            self._serve(change.entry.tree)

    def _serve(self, definition: Tree) -> None:
        name = definition["metadata"]["name"]
        was = self._served.get(name)
        if was is not None and _what_counts(was) == _what_counts(definition):
            return
        self._served[name] = definition
        self._registry.set_custom(name, resources_of(definition))


def _what_counts(definition: Tree) -> tuple[object, ...]:
    return definition["spec"], is_true(definition, "Established"), is_being_deleted(definition)
