"""ValidatingAdmissionPolicy and its bindings: expressions, parameters, actions, and what is refused of policies."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import an_object, config_map, deployment
from tests.kubernetes.differential.scenario import (
    Scenario,
    Step,
    create,
    delete,
    get,
    merge,
    scenario,
    until_status,
    update,
)

_POLICIES, _BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
_API = "admissionregistration.k8s.io/v1"
_CONFIG_MAPS: Tree = {
    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]
}
_PARAM_KIND: Tree = {"apiVersion": "v1", "kind": "ConfigMap"}


def _policy(*validations: Tree | str, name: str = "{ns}-a", **spec: Any) -> Tree:
    rules = [{"expression": each} if isinstance(each, str) else each for each in validations]
    return an_object(
        _API, "ValidatingAdmissionPolicy", name, spec={"matchConstraints": _CONFIG_MAPS, "validations": rules, **spec}
    )


def _binding(name: str = "{ns}-a", *, actions: Sequence[str] = ("Deny",), policy: str = "{ns}-a", **spec: Any) -> Tree:
    """Of the scenario's namespace."""
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "{ns}"}}}
    given = {"policyName": policy, "validationActions": list(actions), "matchResources": where, **spec}
    return an_object(_API, "ValidatingAdmissionPolicyBinding", name, spec=given)


def _bound(*validations: Tree | str, binding: Tree | None = None, **spec: Any) -> Sequence[Step]:
    """A policy that the server knows of: it refuses the probe, which no other rule looks at."""
    seen = "!has(object.metadata.name) || object.metadata.name != 'probe'"
    probe = {"expression": f"object == null || {seen}"}
    return [
        create(_POLICIES, _policy(*validations, probe, **spec)),
        create(_BINDINGS, binding or _binding()),
        until_status(422, create("configmaps", config_map("probe"), dryRun="All")).unseen(),
    ]


def _refused(name: str, *policies: Tree) -> Scenario:
    return scenario(name, *(create(_POLICIES, policy, dryRun="All") for policy in policies))


_SMALL = "object == null || !has(object.data) || size(object.data) < 2"
_TWO: Tree = {"a": "1", "b": "2"}

SCENARIOS: Sequence[Scenario] = [
    scenario(
        "a policy",
        _bound(_SMALL),
        create("configmaps", config_map()),
        create("configmaps", config_map("b", data=_TWO)),
        merge("configmaps/a", {"data": {"x": "y"}}),
        merge("configmaps/a", {"metadata": {"labels": {"x": "y"}}}),
        update("configmaps/a", config_map(data=_TWO)),
        create("configmaps", config_map("b", data=_TWO), dryRun="All"),
        create("configmaps", config_map("b", data=_TWO)).by("alice", "system:masters"),
        delete("configmaps/a"),
        merge(f"{_BINDINGS}/{{ns}}-a", {"spec": {"validationActions": ["Warn"]}}).unseen(),
        until_status(201, create("configmaps", config_map("c", data=_TWO), dryRun="All")),
    ),
    scenario(
        "messages and reasons",
        _bound(
            {"expression": "object.metadata.name != 'message'", "message": "not this one"},
            {"expression": "object.metadata.name != 'told'", "messageExpression": "'name is ' + object.metadata.name"},
            {
                "expression": "object.metadata.name != 'fails'",
                "messageExpression": "string(object.data.none)",
                "message": "x",
            },
            {"expression": "object.metadata.name != 'blank'", "messageExpression": "'  '"},
            {"expression": "object.metadata.name != 'lines'", "messageExpression": "'a\\nb'"},
            *(
                {"expression": f"object.metadata.name != '{reason.lower()}'", "reason": reason, "message": "m"}
                for reason in ("Forbidden", "Invalid", "RequestEntityTooLarge")
            ),
            {"expression": "object.metadata.name != 'several'", "message": "one"},
            {"expression": "object.metadata.name != 'several'", "message": "two", "reason": "Forbidden"},
        ),
        *(
            create("configmaps", config_map(name))
            for name in (
                "message",
                "told",
                "fails",
                "blank",
                "lines",
                "forbidden",
                "invalid",
                "requestentitytoolarge",
                "several",
                "fine",
            )
        ),
    ),
    scenario(
        "variables",
        _bound(
            {"expression": "!variables.isBig", "messageExpression": "'size ' + string(variables.size)"},
            "variables.never || object.metadata.name != 'lazy'",
            variables=[
                {"name": "size", "expression": "has(object.data) ? size(object.data) : 0"},
                {"name": "isBig", "expression": "variables.size > 1"},
                {"name": "never", "expression": "1 / 0 > 0"},
            ],
        ),
        create("configmaps", config_map("b", data=_TWO)),
        create("configmaps", config_map("lazy")),
        create("configmaps", config_map("fine")),
    ),
    scenario(
        "errors of expressions",
        _bound(
            "object.metadata.name != 'missing' || object.data.none == 'x'",
            "object.metadata.name != 'zero' || 1 / (size(object.data) - 1) > 0",
        ),
        create("configmaps", config_map("missing")),
        create("configmaps", config_map("zero")),
        create("configmaps", config_map("fine")),
    ),
    scenario(
        "errors that are ignored",
        _bound("object.metadata.name != 'missing' || object.data.none == 'x'", failurePolicy="Ignore"),
        create("configmaps", config_map("missing")),
    ),
    scenario(
        "actions",
        _bound(_SMALL, binding=_binding(actions=["Deny", "Audit"])),
        create(_BINDINGS, _binding("{ns}-w", actions=["Warn", "Audit"])).unseen(),
        create(_BINDINGS, _binding("{ns}-x", actions=["Audit"])).unseen(),
        create("configmaps", config_map("settle")).unseen(),
        merge(f"{_BINDINGS}/{{ns}}-a", {"spec": {"validationActions": ["Warn"]}}).unseen(),
        until_status(201, create("configmaps", config_map("c", data=_TWO), dryRun="All")).unseen(),
        create("configmaps", config_map("b", data=_TWO)),
    ),
    scenario(
        "match conditions",
        _bound(
            "object.metadata.name == 'probe' || false",
            matchConditions=[
                {"name": "named", "expression": "object != null && object.metadata.name in ['probe', 'hit', 'boom']"},
                {"name": "fails", "expression": "object.metadata.name != 'boom' || object.data.none == 'x'"},
                {"name": "user", "expression": "request.userInfo.username != 'alice'"},
            ],
        ),
        create("configmaps", config_map("hit")),
        create("configmaps", config_map("hit")).by("alice", "system:masters"),
        create("configmaps", config_map("miss")),
        create("configmaps", config_map("boom")),
    ),
    scenario(
        "what expressions see",
        _bound(
            {
                "expression": "object == null || object.metadata.name == 'probe'",
                "messageExpression": "request.operation + ' ' + request.name + ' ' + request.namespace + ' ' + "
                "request.kind.kind + ' ' + request.resource.resource + ' ' + request.userInfo.username + ' ' + "
                "string(request.dryRun) + ' ' + namespaceObject.metadata.name + ' ' + "
                "(oldObject == null ? 'new' : oldObject.metadata.name)",
            },
        ),
        create("configmaps", config_map()),
        create("configmaps", config_map(), dryRun="All").by("alice", "system:masters"),
        create("configmaps", config_map(metadata={"name": None, "generateName": "made-"})),
    ),
    scenario(
        "authorizer",
        _bound(
            {
                "expression": "object == null || object.metadata.name != 'may' || "
                "authorizer.group('').resource('configmaps').namespace(object.metadata.namespace).check('delete').allowed()",
                "message": "may not",
            },
            {
                "expression": "object == null || object.metadata.name != 'path' || "
                "authorizer.path('/healthz').check('get').allowed()",
                "message": "no path",
            },
            {
                "expression": "object == null || object.metadata.name != 'self' || "
                "authorizer.requestResource.check('update').allowed()",
                "message": "no update",
            },
        ),
        *(create("configmaps", config_map(name)) for name in ("may", "path", "self")),
        create(
            "rolebindings",
            an_object(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maker"},
                subjects=[{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "maker"}],
            ),
        ).unseen(),
        create(
            "roles",
            an_object(
                "rbac.authorization.k8s.io/v1",
                "Role",
                "maker",
                rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}],
            ),
        ).unseen(),
        until_status(201, create("configmaps", config_map("ready"), dryRun="All").by("maker")).unseen(),
        *(create("configmaps", config_map(name), dryRun="All").by("maker") for name in ("may", "path", "self", "fine")),
    ),
    scenario(
        "parameters",
        create("configmaps", config_map("limits", labels={"limits": "yes"}, data={"max": "1", "word": "low"})).unseen(),
        _bound(
            {
                "expression": "object == null || !has(object.data) || size(object.data) <= int(params.data.max)",
                "messageExpression": "'no more than ' + params.data.max + ' (' + params.data.word + ')'",
            },
            paramKind=_PARAM_KIND,
            binding=_binding(paramRef={"name": "limits", "parameterNotFoundAction": "Deny"}),
        ),
        create("configmaps", config_map("b", data=_TWO)),
        create("configmaps", config_map("a")),
        create("configmaps", config_map("more", labels={"limits": "yes"}, data={"max": "0"})),
        delete("configmaps/limits").unseen(),
        until_status(422, create("configmaps", config_map("c"), dryRun="All")),
        merge(f"{_BINDINGS}/{{ns}}-a", {"spec": {"paramRef": {"parameterNotFoundAction": "Allow"}}}).unseen(),
        until_status(201, create("configmaps", config_map("c"), dryRun="All")),
    ),
    scenario(
        "parameters by selector",
        create("configmaps", config_map("one", labels={"limits": "yes"}, data={"max": "1"})).unseen(),
        create("configmaps", config_map("two", labels={"limits": "yes"}, data={"max": "1", "not": "b"})).unseen(),
        _bound(
            "object == null || !has(object.data) || size(object.data) <= int(params.data.max)",
            {"expression": "!('not' in params.data) || object.metadata.name != params.data['not']", "message": "named"},
            paramKind=_PARAM_KIND,
            binding=_binding(
                paramRef={"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}
            ),
        ),
        create("configmaps", config_map("a")),
        create("configmaps", config_map("b")),
        create("configmaps", config_map("c", data=_TWO)),
    ),
    scenario(
        "what a policy is for",
        create("deployments", deployment()).unseen(),
        _bound(
            "object.metadata.name == 'probe' || !has(object.metadata.labels) || !('bad' in object.metadata.labels)",
            matchConstraints={
                "resourceRules": [
                    {
                        "apiGroups": ["", "apps"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["configmaps", "deployments", "deployments/status"],
                    },
                ],
                "excludeResourceRules": [
                    {"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["*"]},
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["*"],
                        "resources": ["configmaps"],
                        "resourceNames": ["free"],
                    },
                ],
                "objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]},
            },
        ),
        create("configmaps", config_map(labels={"bad": "1"})),
        create("configmaps", config_map("free", labels={"bad": "1"})),
        create("configmaps", config_map("skips", labels={"bad": "1", "skip": "1"})),
        merge("deployments/a", {"metadata": {"labels": {"bad": "1"}}}),
        create("deployments", deployment("b", {"labels": {"bad": "1"}})),
        merge("deployments/a/status", {"status": {"replicas": 1}}),
        delete("configmaps/free"),
    ),
    scenario(
        "policies whose types do not fit",
        create(
            _POLICIES,
            _policy(
                "object.spec.replicas > 'x'",
                "object.spec.none == 1",
                matchConstraints={
                    "resourceRules": [
                        {
                            "apiGroups": ["apps"],
                            "apiVersions": ["v1"],
                            "operations": ["*"],
                            "resources": ["deployments"],
                        }
                    ]
                },
            ),
        ),
        get(f"{_POLICIES}/{{ns}}-a"),
    ),
    _refused(
        "policies that are wrong",
        _policy("object."),
        _policy("unknown == 1"),
        _policy("1 + 1"),
        _policy("variables.none"),
        _policy("params.x == 1"),
        _policy(""),
        _policy(),
        _policy("true", matchConstraints=None),
        _policy("true", matchConstraints={}),
        _policy(
            "true",
            matchConstraints={
                "resourceRules": [{"apiGroups": [], "apiVersions": [], "operations": [], "resources": []}]
            },
        ),
        _policy("true", failurePolicy="Maybe"),
        _policy("true", paramKind={"apiVersion": "a/b/c", "kind": "Bad Kind"}),
        _policy("true", paramKind={"apiVersion": "", "kind": ""}),
        _policy({"expression": "true", "message": "a\nb"}),
        _policy({"expression": "true", "message": " "}),
        _policy({"expression": "true", "messageExpression": "1"}),
        _policy({"expression": "true", "messageExpression": "object +"}),
        _policy({"expression": "true", "reason": "Other"}),
        _policy("true", variables=[{"name": "", "expression": ""}]),
        _policy("true", variables=[{"name": "a b", "expression": "1"}]),
        _policy("true", variables=[{"name": "a", "expression": "1"}, {"name": "a", "expression": "2"}]),
        _policy("true", variables=[{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]),
        _policy("variables.a == 'x'", variables=[{"name": "a", "expression": "1"}]),
        _policy("true", matchConditions=[{"name": "a b", "expression": "1"}]),
        _policy("true", auditAnnotations=[{"key": "", "valueExpression": ""}]),
        _policy("true", auditAnnotations=[{"key": "a b", "valueExpression": "'x'"}]),
        _policy("true", auditAnnotations=[{"key": "a", "valueExpression": "1"}]),
        _policy(auditAnnotations=[{"key": "a", "valueExpression": "'x' + object.metadata.name"}]),
        _policy("object.metadata.name.all(x, true)"),
    ),
    scenario(
        "bindings that are wrong",
        *(
            create(_BINDINGS, bad, dryRun="All")
            for bad in (
                _binding(policy=""),
                _binding(policy="none-such"),
                _binding(policy="Bad_"),
                _binding(actions=[]),
                _binding(actions=["Deny", "Deny"]),
                _binding(actions=["Deny", "Warn"]),
                _binding(actions=["Other"]),
                _binding(paramRef={}),
                _binding(paramRef={"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}),
                _binding(paramRef={"name": "a"}),
                _binding(paramRef={"name": "a", "parameterNotFoundAction": "Maybe"}),
                _binding(paramRef={"name": "a b", "namespace": "A_", "parameterNotFoundAction": "Deny"}),
                _binding(matchResources={"namespaceSelector": {"matchLabels": {"a b": "c"}}}),
            )
        ),
    ),
]
