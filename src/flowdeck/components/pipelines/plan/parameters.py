"""The parameters of a run, checked against its pipeline.

Source: kubeflow/pipelines (backend/src/apiserver/template/v2_template.go).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from flowdeck.components.pipelines.errors import InvalidParameters
from flowdeck.components.pipelines.plan.types import ParameterInput, Plan
from flowdeck.components.pipelines.values.parameter_types import TypeMismatch, checked
from flowdeck.components.pipelines.values.texts import canonical, json_text

DEFAULT_BUCKET = "{{kfp-default-bucket}}"
PROJECT_ID = "{{kfp-project-id}}"


def run_parameters(
    plan: Plan, given: Mapping[str, Any], *, default_bucket: str = "", project_id: str = ""
) -> dict[str, Any]:
    """All parameters of a run: what was given, then defaults; an optional one without either is absent.

    Null for a parameter that may be left out is the same as leaving it out. Raises `InvalidParameters`.
    """
    if unknown := sorted(given.keys() - plan.inputs.keys()):
        raise InvalidParameters(
            f"Invalid input error: parameter(s) provided are not required by pipeline: {unknown}; "
            f"it takes {sorted(plan.inputs) or 'none'}"
        )
    found: dict[str, Any] = {}
    for name, declared in plan.inputs.items():
        value = _value(name, declared, given.get(name))
        if value is not UNSET:
            found[name] = _with_macros(value, {DEFAULT_BUCKET: default_bucket, PROJECT_ID: project_id})
    return found


def _value(name: str, declared: ParameterInput, value: Any) -> Any:
    if value is None:
        if declared.default is UNSET and not declared.optional:
            raise InvalidParameters(
                f"Invalid input error: parameter {name!r} is missing: give a {declared.type.name} "
                "in runtime_config.parameters"
            )
        return declared.default
    try:
        value = canonical(checked(value, declared.type))
    except TypeMismatch as error:
        raise InvalidParameters(f"Invalid input error: input parameter {name!r} type mismatch: {error}") from error
    if declared.literals and value not in declared.literals:
        raise InvalidParameters(
            f"Invalid input error: input parameter {name!r} is {json_text(value)}; "
            f"it must be one of {json_text(list(declared.literals))}"
        )
    return value


def _with_macros(value: Any, macros: Mapping[str, str]) -> Any:
    if isinstance(value, str) and "{{kfp-" in value:
        for macro, text in macros.items():
            value = value.replace(macro, text)
    return value
