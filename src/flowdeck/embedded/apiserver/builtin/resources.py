"""Which built-in resources are served: names and verbs as a 1.36 server's discovery says, each with its strategy."""

from collections.abc import Mapping, Sequence
from typing import Any

from flowdeck.embedded.apiserver.builtin.conversions import CONVERSIONS
from flowdeck.embedded.apiserver.builtin.rules import Dependencies, rules_of
from flowdeck.embedded.apiserver.builtin.strategy import BuiltinStrategy
from flowdeck.embedded.apiserver.contract import Handler, Resource, Subresource
from flowdeck.kube import openapi
from flowdeck.kube.objects import Kind, Tree

_LEFT_OUT_GROUPS = ("apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io", "resource.k8s.io")
"""Aggregated API servers, request priorities, device claims: nothing here would act on their objects."""
_LEFT_OUT = (
    "ipaddresses.networking.k8s.io",
    "servicecidrs.networking.k8s.io",
    "mutatingadmissionpolicies.admissionregistration.k8s.io",
    "mutatingadmissionpolicybindings.admissionregistration.k8s.io",
)

_LEFT_OUT_SUBRESOURCES = ("pods/resize",)
"""The node gives a running container no other resources."""

SELECTABLE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    "events.events.k8s.io": (
        "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
        "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type",
    ),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "replicationcontrollers": ("status.replicas",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "jobs.batch": ("status.successful",),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
}  # fmt: skip
"""Beside `metadata.name` and `metadata.namespace`. Source: k8s.io/kubernetes (pkg/apis/*/v1/conversion.go)."""

_DEPRECATIONS = {
    "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
    "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
_NEED_REVISIONS = frozenset(
    {
        "leases.coordination.k8s.io", "poddisruptionbudgets.policy", "runtimeclasses.node.k8s.io",
        "customresourcedefinitions.apiextensions.k8s.io", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io",
        "csistoragecapacities.storage.k8s.io", "volumeattachments.storage.k8s.io",
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    }
)  # fmt: skip
"""Source: k8s.io/kubernetes (`AllowUnconditionalUpdate` in pkg/registry/*/strategy.go)."""
_CREATE_ON_UPDATE = frozenset(
    {
        "endpoints", "events", "limitranges", "services", "leases.coordination.k8s.io", "runtimeclasses.node.k8s.io",
        *(f"{name}.rbac.authorization.k8s.io" for name in ("roles", "rolebindings")),
        *(f"{name}.rbac.authorization.k8s.io" for name in ("clusterroles", "clusterrolebindings")),
    }
)  # fmt: skip
"""Source: k8s.io/kubernetes (`AllowCreateOnUpdate` in pkg/registry/*/strategy.go)."""
_STORAGE_VERSIONS = {"horizontalpodautoscalers.autoscaling": "v2"}


def builtin_resources(
    dependencies: Dependencies, *, virtual: Mapping[str, Handler] | None = None
) -> Sequence[Resource]:
    """Every built-in resource; `virtual` answers for those that are not stored: `{"tokenreviews.authentication.k8s.io":
    handler}`. A resource without rules of storage and without a handler is not served."""
    handlers = virtual or {}
    found = [_resource(group, version, entry, dependencies, handlers) for group, version, entry in _entries()]
    return [resource for resource in found if resource.virtual or "get" in resource.verbs]


def _entries() -> Sequence[tuple[str, str, Tree]]:
    return [
        (group["metadata"].get("name", ""), version["version"], entry)
        for document in openapi.discovery().values()
        for group in document["items"]
        for version in group["versions"]
        for entry in version["resources"]
        if _is_served(group["metadata"].get("name", ""), entry["resource"])
    ]


def _is_served(group: str, plural: str) -> bool:
    return group not in _LEFT_OUT_GROUPS and f"{plural}.{group}" not in _LEFT_OUT


def _resource(
    group: str,
    version: str,
    entry: Tree,
    dependencies: Dependencies,
    handlers: Mapping[str, Handler],
) -> Resource:
    kind = Kind(group, version, entry["responseKind"]["kind"], entry["resource"], entry["scope"] == "Namespaced")
    subresources = {
        item["subresource"]: _subresource(item, kind)
        for item in entry.get("subresources") or ()
        if f"{kind.plural}/{item['subresource']}" not in _LEFT_OUT_SUBRESOURCES
    }
    return Resource(
        kind=kind,
        singular=entry["singularResource"],
        short_names=tuple(entry.get("shortNames") or ()),
        categories=tuple(entry.get("categories") or ()),
        verbs=tuple(entry["verbs"]),
        subresources=subresources,
        schema=openapi.schema_for(kind),
        strategy=BuiltinStrategy(kind, rules_of(kind, dependencies, has_status="status" in subresources)),
        storage_version=_STORAGE_VERSIONS.get(kind.resource, version),
        conversion=CONVERSIONS.get(f"{kind.resource}/{version}"),
        deprecation=_DEPRECATIONS.get(kind.resource, ""),
        selectable_fields=SELECTABLE_FIELDS.get(kind.resource, ()),
        needs_revision=kind.resource in _NEED_REVISIONS,
        creates_on_update=kind.resource in _CREATE_ON_UPDATE,
        virtual=handlers.get(kind.resource),
    )


def _subresource(item: Mapping[str, Any], parent: Kind) -> Subresource:
    answer = item["responseKind"]
    kind = Kind(
        answer["group"] or parent.group if answer["version"] == "" else answer["group"],
        answer["version"] or parent.version,
        answer["kind"],
        parent.plural,
        parent.namespaced,
    )
    return Subresource(kind=kind, verbs=tuple(item["verbs"]))
