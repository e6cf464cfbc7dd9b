"""Built-in types (PodTemplateSpec, EnvVar, Condition, ...) as parts of a CRD's schema.

The packed OpenAPI facts, spelt as controller-gen spells them: no references, no enums, metadata as a bare object,
quantities and int-or-string with their patterns, defaults only where Kubernetes' types declare them.
Source: sigs.k8s.io/controller-tools (pkg/crd), compared with the CRDs that Kubeflow's parts ship.
"""

from functools import cache

from flowdeck.kube.objects import Tree
from flowdeck.kube.openapi import definitions
from flowdeck.kube.patches import copied

_REF = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
QUANTITY: Tree = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": (
        r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|"
        r"([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
    ),
    "x-kubernetes-int-or-string": True,
}
INT_OR_STRING: Tree = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
CONDITION: Tree = {
    "properties": {
        "lastTransitionTime": {"format": "date-time", "type": "string"},
        "message": {"maxLength": 32768, "type": "string"},
        "observedGeneration": {"format": "int64", "minimum": 0, "type": "integer"},
        "reason": {
            "maxLength": 1024,
            "minLength": 1,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            "type": "string",
        },
        "status": {"enum": ["True", "False", "Unknown"], "type": "string"},
        "type": {
            "maxLength": 316,
            "pattern": (
                r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
            ),
            "type": "string",
        },
    },
    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    "type": "object",
}
_SPECIAL: dict[str, Tree] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": QUANTITY,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": INT_OR_STRING,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": {"x-kubernetes-preserve-unknown-fields": True},
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object"},
    f"{_META}Condition": CONDITION,
    f"{_META}FieldsV1": {"type": "object"},
}
_TEXTS: Tree = {"additionalProperties": {"type": "string"}, "type": "object"}
OBJECT_META: Tree = {
    "properties": {
        "annotations": _TEXTS,
        "finalizers": {"items": {"type": "string"}, "type": "array"},
        "labels": _TEXTS,
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
    "type": "object",
}
"""`metadata` inside a template, as controller-gen writes it with `generateEmbeddedObjectMeta`."""
_CORE = "io.k8s.api.core.v1."
_ATOMIC = frozenset(
    f"{_CORE}{name}"
    for name in (
        "ConfigMapEnvSource",
        "SecretEnvSource",
        "ConfigMapVolumeSource",
        "ConfigMapProjection",
        "SecretProjection",
    )
)
"""Types that embed LocalObjectReference, which makes them atomic for controller-gen, though not for the server."""
_NO_DEFAULTS: dict[str, tuple[str, ...]] = {
    f"{_CORE}AzureDiskVolumeSource": ("cachingMode", "kind"),
    "io.k8s.api.batch.v1.PodFailurePolicyOnPodConditionsPattern": ("status",),
}
"""Fields whose defaults the server's OpenAPI has, and controller-gen has not."""
_KEPT = (
    "format", "nullable", "pattern", "type", "x-kubernetes-list-map-keys", "x-kubernetes-list-type",
    "x-kubernetes-map-type",
)  # fmt: skip


def expanded(name: str, *, embedded_metadata: bool = True) -> Tree:
    """The schema of a built-in type, for a CRD; the caller's own copy. Raises `KeyError` for an unknown name.

    `embedded_metadata`: `metadata` in templates lists its fields (`OBJECT_META`); else it is a bare object.
    """
    tree: Tree = copied(_expanded(name, embedded_metadata))
    return tree


@cache
def _expanded(name: str, embedded_metadata: bool) -> Tree:
    if name == f"{_META}ObjectMeta":
        return OBJECT_META if embedded_metadata else {"type": "object"}
    if name in _SPECIAL:
        return _SPECIAL[name]
    found = _written(definitions()[name], embedded_metadata)
    if name in _ATOMIC:
        found["x-kubernetes-map-type"] = "atomic"
    for field in _NO_DEFAULTS.get(name, ()):
        found["properties"][field].pop("default", None)
    return found


def _written(tree: Tree, embedded_metadata: bool) -> Tree:
    parts = tree.get("allOf")
    ref = tree.get("$ref") or (parts[0].get("$ref") if parts else None)
    if ref:
        found = dict(_expanded(ref.removeprefix(_REF), embedded_metadata))
        return found | {word: value for word, value in tree.items() if word in _KEPT}
    found = {word: value for word, value in tree.items() if word in _KEPT}
    required = tree.get("required", [])
    if "properties" in tree:
        found["properties"] = {
            field: _with_default(_written(child, embedded_metadata), child, is_required=field in required)
            for field, child in tree["properties"].items()
        }
    if required:
        found["required"] = list(required)
    for word in ("items", "additionalProperties"):
        if isinstance(tree.get(word), dict):
            found[word] = _written(tree[word], embedded_metadata)
    return found


def _with_default(written: Tree, tree: Tree, *, is_required: bool) -> Tree:
    default = tree.get("default")
    # The OpenAPI facts give required fields Go's zero values; those are no defaults of the type.
    if default is None or default == {} or (is_required and default in ("", 0, False)):
        return written
    return {**written, "default": default}
