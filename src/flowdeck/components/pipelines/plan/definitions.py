"""Declared inputs and outputs of a component."""

from msgspec import UNSET

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import types as ir
from flowdeck.components.pipelines.plan.types import ArtifactInput, ArtifactOutput, Body, Component, ParameterInput
from flowdeck.components.pipelines.values.artifacts import ArtifactType
from flowdeck.components.pipelines.values.parameter_types import ParameterType, TypeMismatch, coerced
from flowdeck.components.pipelines.values.texts import canonical


def component_of(name: str, spec: ir.ComponentSpec, body: Body) -> Component:
    """The component; raises `InvalidPipeline`."""
    inputs, outputs = spec.input_definitions, spec.output_definitions
    return Component(
        name=name,
        parameters={key: _input(key, given, name) for key, given in inputs.parameters.items()},
        artifacts={
            key: ArtifactInput(artifact_type(given.artifact_type), given.is_artifact_list, given.is_optional)
            for key, given in inputs.artifacts.items()
        },
        output_parameters={key: _type(key, given, name) for key, given in outputs.parameters.items()},
        output_artifacts={
            key: ArtifactOutput(artifact_type(given.artifact_type), given.is_artifact_list, canonical(given.metadata))
            for key, given in outputs.artifacts.items()
        },
        body=body,
    )


def artifact_type(schema: ir.ArtifactTypeSchema) -> ArtifactType:
    return ArtifactType(schema.schema_title or schema.schema_uri, schema.schema_version, schema.instance_schema)


def _input(key: str, spec: ir.InputParameter, component: str) -> ParameterInput:
    kind = _type(key, spec, component)
    default = UNSET if spec.default_value is None else spec.default_value
    try:
        if default is not UNSET:
            default = canonical(coerced(default, kind))
        literals = tuple(canonical(coerced(literal, kind)) for literal in spec.literals)
    except TypeMismatch as error:
        raise InvalidPipeline(
            f"default or literal of input parameter {key!r} of component {component!r}: {error}"
        ) from error
    return ParameterInput(kind, default, spec.is_optional, literals)


def _type(key: str, spec: ir.InputParameter | ir.OutputParameter, component: str) -> ParameterType:
    if spec.parameter_type is ParameterType.PARAMETER_TYPE_ENUM_UNSPECIFIED:
        raise InvalidPipeline(
            f"parameter {key!r} of component {component!r} has no parameterType (`type` is from before kfp 2.0); "
            "compile the pipeline with kfp 2.0 or newer"
        )
    return spec.parameter_type
