"""What is wrong with an expression of a policy or of a webhook's condition: objects are dynamic, the request is not.

    scope = Scope(has_params=True)
    scope.problem("request.operation == 'CREATE'", wants=("bool",))     # ""

Source: k8s.io/apiserver (pkg/admission/plugin/cel/compile.go, composition.go).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.kube.cel import CompileError, parse
from flowdeck.kube.cel_checking.checker import check
from flowdeck.kube.cel_checking.declarations import AUTHORIZER, RESOURCE_CHECK
from flowdeck.kube.cel_checking.expressions import read
from flowdeck.kube.cel_checking.types import BOOL, DYN, ERROR, INT, STRING, TIMESTAMP, Type, list_of, map_of

_TEXTS = list_of(STRING)


def _struct(name: str) -> Type:
    return Type("struct", f"kubernetes.{name}")


def _texts(*names: str) -> Mapping[str, Type]:
    return dict.fromkeys(names, STRING)


_KIND, _RESOURCE, _USER = _struct("GroupVersionKind"), _struct("GroupVersionResource"), _struct("UserInfo")
_REQUEST, _NAMESPACE, _VARIABLES = _struct("AdmissionRequest"), _struct("Namespace"), _struct("variables")
_META, _SPEC, _STATUS = _struct("NamespaceMetadata"), _struct("NamespaceSpec"), _struct("NamespaceStatus")
_CONDITION = _struct("NamespaceCondition")
_STRUCTS: Mapping[str, Mapping[str, Type]] = {
    _KIND.name: _texts("group", "version", "kind"),
    _RESOURCE.name: _texts("group", "version", "resource"),
    _USER.name: {**_texts("username", "uid"), "groups": _TEXTS, "extra": map_of(STRING, _TEXTS)},
    _REQUEST.name: {
        **_texts("subResource", "requestSubResource", "name", "namespace", "operation"),
        "kind": _KIND,
        "requestKind": _KIND,
        "resource": _RESOURCE,
        "requestResource": _RESOURCE,
        "userInfo": _USER,
        "dryRun": BOOL,
        "options": DYN,
    },
    _NAMESPACE.name: {"metadata": _META, "spec": _SPEC, "status": _STATUS},
    _META.name: {
        **_texts("name", "generateName", "namespace", "UID", "resourceVersion"),
        "labels": map_of(STRING, STRING),
        "annotations": map_of(STRING, STRING),
        "creationTimestamp": TIMESTAMP,
        "deletionTimestamp": TIMESTAMP,
        "deletionGracePeriodSeconds": INT,
        "generation": INT,
        "finalizers": _TEXTS,
    },
    _SPEC.name: {"finalizers": _TEXTS},
    _STATUS.name: {"conditions": list_of(_CONDITION), "phase": STRING},
    _CONDITION.name: {**_texts("status", "type", "message", "reason"), "lastTransitionTime": TIMESTAMP},
}


@dataclass
class Scope:
    """What the expressions of one policy or webhook may mention."""

    has_params: bool = False
    has_variables: bool = False
    variables: dict[str, Type] = field(default_factory=dict)
    """The policy's own, as far as they have been checked."""

    def declare(self, name: str, expression: str) -> str:
        """Makes a variable known to the expressions that follow; says what is wrong with it."""
        problem, type_ = self._checked(expression, has_authorizer=True)
        self.variables[name] = type_
        return problem

    def problem(self, expression: str, wants: Sequence[str], *, has_authorizer: bool = True) -> str:
        """What the API says of an expression that cannot be used; `""` when it can. `wants`: types, `null_type`."""
        problem, type_ = self._checked(expression, has_authorizer=has_authorizer)
        name = "null_type" if type_.kind == "null" else str(type_)
        if problem or name in wants:
            return problem
        wanted = wants[0] if len(wants) == 1 else f"one of [{' '.join(wants)}]"
        return f"must evaluate to {wanted} but got {name}"

    def _checked(self, expression: str, *, has_authorizer: bool) -> tuple[str, Type]:
        known = {"object": DYN, "oldObject": DYN, "namespaceObject": _NAMESPACE, "request": _REQUEST}
        if self.has_params:
            known["params"] = DYN
        if self.has_variables:
            known["variables"] = _VARIABLES
        if has_authorizer:
            known |= {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}
        try:
            parsed = read(parse(expression))
        except CompileError as error:
            return f"compilation failed: {error}", ERROR
        structs = {**_STRUCTS, _VARIABLES.name: self.variables}
        found = check(parsed, expression, known, structs.get)
        return (f"compilation failed: {found.problems}", ERROR) if found.problems else ("", found.type)
