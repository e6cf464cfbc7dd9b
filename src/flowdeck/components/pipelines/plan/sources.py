"""What a name means inside a DAG, and whether there is such a thing."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import UNSET

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import types as ir
from flowdeck.components.pipelines.plan.types import (
    ArtifactSource,
    Component,
    Constant,
    FinalStatus,
    FromParent,
    FromTask,
    ParameterSource,
)
from flowdeck.components.pipelines.values import selectors
from flowdeck.components.pipelines.values.texts import canonical


@dataclass(frozen=True)
class Scope:
    """A DAG, seen from one of its tasks."""

    where: str
    """` of component 'comp-x'`, for messages."""
    inputs: ir.InputDefinitions
    tasks: Mapping[str, Component]
    has_workspace: bool = False
    """Whether the pipeline has one."""

    def parameter(self, source: ir.ParameterSource, what: str) -> ParameterSource:
        """Where a parameter comes from; `what` names it in messages. Raises `InvalidPipeline`."""
        selector = source.parameter_expression_selector
        if selector and (problem := selectors.problem_with(selector)):
            raise InvalidPipeline(f"{what}: parameterExpressionSelector {selector!r}: {problem}")
        if (output := source.task_output_parameter) is not None:
            self.check_parameter(output.producer_task, output.output_parameter_key, what)
            return FromTask(output.producer_task, output.output_parameter_key, selector)
        if source.component_input_parameter is not None:
            self._check_input(source.component_input_parameter, self.inputs.parameters, "parameter", what)
            return FromParent(source.component_input_parameter, selector)
        if (status := source.task_final_status) is not None:
            self._check_producer(status.producer_task, what)
            return FinalStatus(status.producer_task)
        if source.runtime_value is not None:
            return self._runtime_value(source.runtime_value, selector, what)
        raise InvalidPipeline(f"{what} has no source")

    def artifact(self, source: ir.ArtifactSource, what: str) -> ArtifactSource:
        """Where an artifact comes from; raises `InvalidPipeline`."""
        if (output := source.task_output_artifact) is not None:
            self.check_artifact(output.producer_task, output.output_artifact_key, what)
            return FromTask(output.producer_task, output.output_artifact_key)
        if source.component_input_artifact is not None:
            self._check_input(source.component_input_artifact, self.inputs.artifacts, "artifact", what)
            return FromParent(source.component_input_artifact)
        raise InvalidPipeline(f"{what} has no source")

    def check_parameter(self, producer: str, key: str, what: str) -> None:
        """That a task of the DAG has this output; raises `InvalidPipeline`."""
        component = self._check_producer(producer, what)
        if key not in component.output_parameters:
            raise InvalidPipeline(f"{what} is taken from task {producer!r}, which has no output parameter {key!r}")

    def check_artifact(self, producer: str, key: str, what: str) -> None:
        """That a task of the DAG has this output; raises `InvalidPipeline`."""
        component = self._check_producer(producer, what)
        if key not in component.output_artifacts:
            raise InvalidPipeline(f"{what} is taken from task {producer!r}, which has no output artifact {key!r}")

    def _runtime_value(self, value: ir.ValueOrRuntimeParameter, selector: str, what: str) -> ParameterSource:
        if value.constant is not UNSET:
            return Constant(canonical(value.constant), selector)
        if (old := value.constant_value) is not None:
            given = (old.int_value, old.double_value, old.string_value)
            return Constant(next((each for each in given if each is not None), None), selector)
        if value.runtime_parameter is not None:
            self._check_input(value.runtime_parameter, self.inputs.parameters, "parameter", what)
            return FromParent(value.runtime_parameter, selector)
        raise InvalidPipeline(f"{what} has a runtimeValue without a constant")

    def _check_producer(self, name: str, what: str) -> Component:
        if name not in self.tasks:
            raise InvalidPipeline(f"{what} is taken from task {name!r}, but there is no such task in the same dag")
        return self.tasks[name]

    def _check_input(self, name: str, known: Mapping[str, object], kind: str, what: str) -> None:
        if name not in known:
            raise InvalidPipeline(f"{what} is taken from the input {kind} {name!r}, which its dag does not declare")
