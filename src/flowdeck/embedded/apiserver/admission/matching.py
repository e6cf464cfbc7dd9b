"""Which requests a webhook or a policy is asked about: rules, namespace and object selectors, match conditions.

Source: k8s.io/apiserver (pkg/admission/plugin/webhook/predicates, .../matchconditions).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flowdeck.embedded.apiserver.admission.owner_references_permission import FindKind
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube import cel
from flowdeck.kube.kinds import NAMESPACE
from flowdeck.kube.objects import Kind, ObjectKey, Tree, labels_of
from flowdeck.kube.selectors import label_selector_of

VARIABLES = ("object", "oldObject", "request", "namespaceObject", "params", "variables")
"""What expressions may name."""
_NEVER_ASKED = frozenset(
    (
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    )
)
"""So that nobody can lock out the repair of what he broke."""


def is_askable(request: AdmissionRequest) -> bool:
    """False for the objects that configure admission itself."""
    kind = request.resource.kind
    return kind.plural not in _NEVER_ASKED or kind.group != "admissionregistration.k8s.io"


def as_matched(
    rules: Sequence[Tree], request: AdmissionRequest, find_kind: FindKind, match_policy: str | None
) -> AdmissionRequest | None:
    """The request as the rules want to see it, or None when they do not want to.

    With `matchPolicy: Equivalent` (the default) a rule that names another served version of the resource sees the
    object in that version. All versions of a resource look alike here but for their name.
    """
    if matches_rules(rules, request):
        return request
    if match_policy == "Exact":
        return None
    kind = request.resource.kind
    versions = {version for rule in rules for version in rule.get("apiVersions") or ()} - {kind.version, "*"}
    for version in sorted(versions):
        other = find_kind(kind.group, version, kind.kind)
        if other is not None and other.plural == kind.plural:
            seen = _in_version(request, other)
            if matches_rules(rules, seen):
                return seen
    return None


def _in_version(request: AdmissionRequest, kind: Kind) -> AdmissionRequest:
    obj = None if request.obj is None else {**request.obj, "apiVersion": kind.api_version}
    old = None if request.old is None else {**request.old, "apiVersion": kind.api_version}
    return replace(request, resource=replace(request.resource, kind=kind), obj=obj, old=old)


def matches_rules(rules: Sequence[Tree], request: AdmissionRequest) -> bool:
    return any(_matches_rule(rule, request) for rule in rules)


def _matches_rule(rule: Tree, request: AdmissionRequest) -> bool:
    kind = request.resource.kind
    names = rule.get("resourceNames")
    return (
        _has(rule.get("operations"), request.operation)
        and _has(rule.get("apiGroups"), kind.group)
        and _has(rule.get("apiVersions"), kind.version)
        and any(_matches_resource(entry, kind.plural, request.subresource) for entry in rule.get("resources") or ())
        and rule.get("scope", "*") in ("*", "Namespaced" if kind.namespaced else "Cluster")
        and (not names or request.key.name in names)
    )


def _has(allowed: Sequence[str] | None, value: str) -> bool:
    return bool(allowed) and ("*" in (allowed or ()) or value in (allowed or ()))


def _matches_resource(entry: str, plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `*`, `*/*`, `pods/*`, `*/scale`."""
    resource, _, sub = entry.partition("/")
    return resource in ("*", plural) and sub in ("*", subresource)


def matches_selectors(tree: Tree, request: AdmissionRequest, storage: Storage) -> bool:
    """Whether `namespaceSelector` and `objectSelector` of a webhook or policy select the request."""
    objects = tree.get("objectSelector")
    if objects:
        selector = label_selector_of(objects)
        versions = [obj for obj in (request.obj, request.old) if obj is not None]
        if not any("metadata" in obj and selector.matches(labels_of(obj)) for obj in versions):
            return False
    namespaces = tree.get("namespaceSelector")
    if not namespaces:
        return True
    labels = _namespace_labels(request, storage)
    return labels is None or label_selector_of(namespaces).matches(labels)


def _namespace_labels(request: AdmissionRequest, storage: Storage) -> Mapping[str, str] | None:
    """Labels of the request's namespace, or of the namespace that it is about; None for other cluster objects."""
    kind = request.resource.kind
    if kind.plural == NAMESPACE.plural and not kind.group:
        return labels_of(request.obj or request.old or {})
    if not request.key.namespace:
        return None
    return labels_of(storage.get(NAMESPACE, ObjectKey("", request.key.namespace)) or {})


def failing_condition(conditions: Sequence[Tree], values: Mapping[str, Any]) -> bool:
    """Whether some `matchConditions` entry says no. Raises `cel.EvaluationError` when none does and one fails."""
    errors = []
    for condition in conditions:
        try:
            if evaluate(condition["expression"], values) is not True:
                return True
        except cel.EvaluationError as error:
            errors.append(str(error))
    if errors:
        raise cel.EvaluationError("[" + ", ".join(errors) + "]" if len(errors) > 1 else errors[0])
    return False


def evaluate(expression: str, values: Mapping[str, Any]) -> Any:
    """The value of an expression over `VARIABLES`. Raises `cel.EvaluationError`, also for what does not compile."""
    try:
        return cel.compile_program(expression, VARIABLES).evaluate(values)
    except cel.CompileError as error:
        raise cel.EvaluationError(f"expression '{expression}' resulted in error: {error}") from error
    except cel.EvaluationError as error:
        raise cel.EvaluationError(f"expression '{expression}' resulted in error: {error}") from error


def values_of(request: AdmissionRequest, storage: Storage, request_tree: Tree) -> dict[str, Any]:
    """The variables that every expression sees; `params` and `variables` are empty."""
    namespace = None
    if request.key.namespace:
        namespace = storage.get(NAMESPACE, ObjectKey("", request.key.namespace))
    return {
        "object": request.obj,
        "oldObject": request.old,
        "request": request_tree,
        "namespaceObject": namespace,
        "params": None,
        "variables": {},
    }
