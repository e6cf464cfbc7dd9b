"""ValidatingAdmissionPolicy: rules of users, written in CEL, bound to what they are for.

Source: k8s.io/apiserver (pkg/admission/plugin/policy/validating). `authorizer` is not available to expressions; audit
annotations and the `Audit` action are accepted and do nothing: there is no audit log.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowdeck.embedded.apiserver.admission.admission_review import request_tree
from flowdeck.embedded.apiserver.admission.matching import (
    as_matched,
    evaluate,
    failing_condition,
    is_askable,
    matches_selectors,
    values_of,
)
from flowdeck.embedded.apiserver.admission.owner_references_permission import FindKind
from flowdeck.embedded.apiserver.admission.plugin import Plugin, refusal
from flowdeck.embedded.apiserver.contract import AdmissionRequest, Storage
from flowdeck.kube import cel
from flowdeck.kube.errors import ApiError, Cause, Forbidden, Invalid, RequestEntityTooLarge, Unauthorized
from flowdeck.kube.kinds import VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING
from flowdeck.kube.objects import Kind, ObjectKey, Tree, labels_of
from flowdeck.kube.selectors import label_selector_of

_ERRORS: Mapping[str, type[ApiError]] = {
    "Unauthorized": Unauthorized,
    "Forbidden": Forbidden,
    "RequestEntityTooLarge": RequestEntityTooLarge,
}
"""By a validation's `reason`; `Invalid` for every other."""
_VARIABLE = re.compile(r"\bvariables\.(\w+)")


@dataclass(frozen=True)
class Finding:
    """One rule that does not hold."""

    policy: str
    binding: str
    actions: tuple[str, ...]
    message: str
    reason: str = "Invalid"


@dataclass(frozen=True)
class Bound:
    """A policy and one of its bindings."""

    policy: Tree
    binding: Tree

    @property
    def names(self) -> tuple[str, str]:
        return self.policy["metadata"]["name"], self.binding["metadata"]["name"]

    @property
    def actions(self) -> tuple[str, ...]:
        return tuple(self.binding["spec"].get("validationActions") or ("Deny",))


class _ParamsMissing(Exception):
    """The parameters of a binding are not there, and that is an error."""


@dataclass(frozen=True)
class ValidatingAdmissionPolicies(Plugin):
    storage: Storage
    find_kind: FindKind
    name: str = "ValidatingAdmissionPolicy"
    _known: dict[tuple[int, int], Sequence[Bound]] = field(default_factory=dict)

    async def validate(self, request: AdmissionRequest) -> None:
        bound = self._bound()
        if not bound or not is_askable(request):
            return
        findings = [finding for item in bound for finding in self._findings(item, request)]
        for finding in findings:
            if "Warn" in finding.actions:
                request.warnings.append(
                    f"Validation failed for ValidatingAdmissionPolicy '{finding.policy}' with binding "
                    f"'{finding.binding}': {finding.message}"
                )
        fatal = [finding for finding in findings if "Deny" in finding.actions]
        if fatal:
            raise _refusal(request, fatal)

    def _bound(self) -> Sequence[Bound]:
        kinds = (VALIDATING_ADMISSION_POLICY, VALIDATING_ADMISSION_POLICY_BINDING)
        revisions = (self.storage.revision(kinds[0]), self.storage.revision(kinds[1]))
        if revisions not in self._known:
            policies = {item["metadata"]["name"]: item for item in self.storage.list(kinds[0])}
            pairs = [
                Bound(policies[binding["spec"]["policyName"]], binding)
                for binding in self.storage.list(kinds[1])
                if binding["spec"].get("policyName") in policies
            ]
            self._known.clear()
            self._known[revisions] = sorted(pairs, key=lambda pair: pair.names)
        return self._known[revisions]

    def _findings(self, bound: Bound, request: AdmissionRequest) -> Iterator[Finding]:
        spec, binding = bound.policy["spec"], bound.binding["spec"]
        asked = request.resource.kind
        for tree in (spec.get("matchConstraints") or {}, binding.get("matchResources") or {}):
            seen = self._seen(tree, request)
            if seen is None:
                return
            request = seen
        try:
            for params in self._params(spec, binding, request):
                yield from self._violations(bound, request, asked, params)
        except (_ParamsMissing, cel.EvaluationError) as error:
            if spec.get("failurePolicy") != "Ignore":
                yield Finding(*bound.names, bound.actions, str(error))

    def _seen(self, tree: Tree, request: AdmissionRequest) -> AdmissionRequest | None:
        """The request as a policy or a binding sees it; None when it is not for it."""
        if not matches_selectors(tree, request, self.storage):
            return None
        policy = tree.get("matchPolicy")
        if as_matched(tree.get("excludeResourceRules") or (), request, self.find_kind, policy) is not None:
            return None
        rules = tree.get("resourceRules")
        return as_matched(rules, request, self.find_kind, policy) if rules else request

    def _params(self, spec: Tree, binding: Tree, request: AdmissionRequest) -> Sequence[Tree | None]:
        """The parameter objects of a binding: its rules are judged with each."""
        param_kind, reference = spec.get("paramKind"), binding.get("paramRef")
        if not param_kind or not reference:
            return [None]
        group, _, version = param_kind.get("apiVersion", "").rpartition("/")
        kind = self.find_kind(group, version, param_kind.get("kind", ""))
        if kind is None:
            raise _ParamsMissing(f"failed to find resource referenced by paramKind: '{param_kind}'")
        namespace = (reference.get("namespace") or request.key.namespace) if kind.namespaced else ""
        if reference.get("name"):
            one = self.storage.get(kind, ObjectKey(namespace, reference["name"]))
            found = [one] if one else []
        else:
            selector = label_selector_of(reference.get("selector"))
            found = [item for item in self.storage.list(kind, namespace) if selector.matches(labels_of(item))]
        if not found and reference.get("parameterNotFoundAction") != "Allow":
            raise _ParamsMissing("no params found for policy binding with `Deny` parameterNotFoundAction")
        return found

    def _violations(
        self, bound: Bound, request: AdmissionRequest, asked: Kind, params: Tree | None
    ) -> Iterator[Finding]:
        spec = bound.policy["spec"]
        values = values_of(request, self.storage, request_tree(request, asked=asked)) | {"params": params}
        if failing_condition(spec.get("matchConditions") or (), values):
            return
        variables = {item["name"]: item["expression"] for item in spec.get("variables") or ()}
        for rule in spec.get("validations") or ():
            try:
                if _value(rule["expression"], values, variables) is True:
                    continue
                message = _message(rule, values, variables)
            except cel.EvaluationError as error:
                if spec.get("failurePolicy") == "Ignore":
                    continue
                message = str(error)
            yield Finding(*bound.names, bound.actions, message, rule.get("reason") or "Invalid")


def _value(expression: str, values: dict[str, Any], variables: Mapping[str, str]) -> Any:
    """The value of an expression; the variables that it names are evaluated first, each once a request.

    A variable sees those that come before it.
    """
    for name in _VARIABLE.findall(expression):
        if name in variables and name not in values["variables"]:
            earlier = dict(itertools.islice(variables.items(), list(variables).index(name)))
            value = _value(variables[name], values, earlier)
            values["variables"] = {**values["variables"], name: value}
    return evaluate(expression, values)


def _message(rule: Tree, values: dict[str, Any], variables: Mapping[str, str]) -> str:
    if rule.get("messageExpression"):
        try:
            text = _value(rule["messageExpression"], values, variables)
        except cel.EvaluationError:
            text = None  # as upstream: the fixed message is told instead
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text.strip()
    return rule.get("message") or f"failed expression: {rule['expression'].strip()}"


def _refusal(request: AdmissionRequest, fatal: Sequence[Finding]) -> ApiError:
    told = [
        f"ValidatingAdmissionPolicy '{item.policy}' with binding '{item.binding}' denied request: {item.message}"
        for item in fatal
    ]
    error = refusal(request, told[0])
    cls = _ERRORS.get(fatal[0].reason, Invalid)
    return cls(
        error.message, causes=[Cause("", text) for text in told], group=error.group, kind=error.kind, name=error.name
    )
