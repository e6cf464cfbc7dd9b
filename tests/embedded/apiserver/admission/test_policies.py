"""Rules of users in CEL: what they refuse, of what they warn, and what happens when they cannot be judged."""

from typing import Any

import pytest

from flowdeck.embedded.apiserver.admission.validating_admission_policy import ValidatingAdmissionPolicies
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import (
    CONFIG_MAP,
    NAMESPACE,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
)
from flowdeck.kube.objects import Kind, Tree
from tests.embedded.apiserver.admission.makers import a_pod, a_request, admit
from tests.embedded.apiserver.in_memory import InMemoryStorage

RULES = [{"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
TOLD = "ValidatingAdmissionPolicy 'policy' with binding 'binding' denied request: "


def a_policy(*validations: Tree, binding: Tree | None = None, **spec: Any) -> ValidatingAdmissionPolicies:
    storage = InMemoryStorage(
        (NAMESPACE, {"metadata": {"name": "team", "labels": {"env": "prod"}}}),
        (CONFIG_MAP, {"metadata": {"name": "limits", "namespace": "team"}, "data": {"max": "1"}}),
    )
    spec = {"matchConstraints": {"resourceRules": RULES}, "validations": list(validations)} | spec
    storage.put(VALIDATING_ADMISSION_POLICY, {"metadata": {"name": "policy"}, "spec": spec})
    bound = {"policyName": "policy", "validationActions": ["Deny"]} | (binding or {})
    storage.put(VALIDATING_ADMISSION_POLICY_BINDING, {"metadata": {"name": "binding"}, "spec": bound})
    return ValidatingAdmissionPolicies(storage, _find_kind)


def _find_kind(group: str, version: str, kind: str) -> Kind | None:
    return CONFIG_MAP if kind == "ConfigMap" else None


async def outcome(plugin: ValidatingAdmissionPolicies, pod: Tree | None = None) -> str:
    """`""` for a pod that is let pass, or what the refusal tells."""
    try:
        await admit(plugin, a_request(pod or a_pod()))
    except ApiError as error:
        return error.message.removeprefix('pods "p" is forbidden: ').removeprefix(TOLD)
    return ""


ONE_CONTAINER = {"expression": "object.spec.containers.size() <= 1"}
TWO = a_pod(containers=[{"name": "a"}, {"name": "b"}])


@pytest.mark.parametrize(
    ("validation", "told"),
    [
        (ONE_CONTAINER, "failed expression: object.spec.containers.size() <= 1"),
        (ONE_CONTAINER | {"message": "one container only"}, "one container only"),
        (
            ONE_CONTAINER | {"messageExpression": "'there are ' + string(object.spec.containers.size())"},
            "there are 2",
        ),
        (ONE_CONTAINER | {"messageExpression": "object.ghost", "message": "fixed"}, "fixed"),
        ({"expression": "request.operation != 'CREATE'"}, "failed expression: request.operation != 'CREATE'"),
        (
            {"expression": "namespaceObject.metadata.labels.env != 'prod'"},
            "failed expression: namespaceObject.metadata.labels.env != 'prod'",
        ),
        ({"expression": "oldObject == null"}, ""),
    ],
)
async def test_a_rule_that_does_not_hold_is_told(validation: Tree, told: str) -> None:
    assert await outcome(a_policy(validation), TWO) == told


@pytest.mark.parametrize(
    ("reason", "code"), [(None, 422), ("Forbidden", 403), ("Unauthorized", 401), ("RequestEntityTooLarge", 413)]
)
async def test_a_rule_chooses_the_code(reason: str | None, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        await admit(a_policy(ONE_CONTAINER | {"reason": reason}), a_request(TWO))
    assert refused.value.code == code


async def test_variables_are_named_and_build_on_each_other() -> None:
    variables = [
        {"name": "names", "expression": "object.spec.containers.map(c, c.name)"},
        {"name": "count", "expression": "variables.names.size()"},
    ]
    assert await outcome(a_policy({"expression": "variables.count < 2"}, variables=variables), TWO)
    assert not await outcome(a_policy({"expression": "variables.count < 3"}, variables=variables), TWO)


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ({"name": "limits"}, "failed expression: object.spec.containers.size() <= int(params.data.max)"),
        ({"selector": {}}, "failed expression: object.spec.containers.size() <= int(params.data.max)"),
        (
            {"name": "ghost", "parameterNotFoundAction": "Deny"},
            "no params found for policy binding with `Deny` parameterNotFoundAction",
        ),
        ({"name": "ghost", "parameterNotFoundAction": "Allow"}, ""),
    ],
)
async def test_parameters_come_from_an_object(reference: Tree, told: str) -> None:
    plugin = a_policy(
        {"expression": "object.spec.containers.size() <= int(params.data.max)"},
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        binding={"paramRef": reference},
    )
    assert await outcome(plugin, TWO) == told


async def test_a_warning_lets_pass() -> None:
    request = a_request(TWO)
    await admit(a_policy(ONE_CONTAINER | {"message": "one only"}, binding={"validationActions": ["Warn"]}), request)
    assert request.warnings == [
        "Validation failed for ValidatingAdmissionPolicy 'policy' with binding 'binding': one only"
    ]


@pytest.mark.parametrize(("policy", "is_refused"), [("Fail", True), ("Ignore", False)])
async def test_what_cannot_be_judged_is_up_to_the_failure_policy(policy: str, is_refused: bool) -> None:
    told = await outcome(a_policy({"expression": "object.spec.ghost > 1"}, failurePolicy=policy))
    assert told == ("expression 'object.spec.ghost > 1' resulted in error: no such key: ghost" if is_refused else "")


@pytest.mark.parametrize(
    "more",
    [
        {"matchConditions": [{"name": "c", "expression": "object.metadata.name == 'other'"}]},
        {"matchConstraints": {"resourceRules": [RULES[0] | {"resources": ["services"]}]}},
        {"matchConstraints": {"resourceRules": RULES, "excludeResourceRules": RULES}},
        {"matchConstraints": {"resourceRules": RULES, "namespaceSelector": {"matchLabels": {"env": "test"}}}},
        {"binding": {"matchResources": {"namespaceSelector": {"matchLabels": {"env": "test"}}}}},
        {"binding": {"policyName": "another"}},
    ],
)
async def test_a_policy_judges_only_what_it_is_for(more: dict) -> None:
    assert await outcome(a_policy({"expression": "false"}, **more)) == ""
