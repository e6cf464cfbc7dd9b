"""One task of a DAG: its inputs, what it waits for, its policies."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import types as ir
from flowdeck.components.pipelines.plan.platform import platform_of, sources_of
from flowdeck.components.pipelines.plan.sources import Scope
from flowdeck.components.pipelines.plan.types import (
    ArtifactSource,
    Component,
    Container,
    Dag,
    FinalStatus,
    FromTask,
    Importer,
    Iterator,
    ParameterSource,
    Retry,
    Task,
    TaskType,
)
from flowdeck.components.pipelines.values.conditions import ConditionError, compile_condition
from flowdeck.components.pipelines.values.parameter_types import ParameterType

N = TypeVar("N", int, float)
_BRANCHES = "condition-branches-"
_EXIT_HANDLER = "exit-handler-"


def task_of(name: str, spec: ir.TaskSpec, scope: Scope) -> Task:
    """The task; raises `InvalidPipeline`."""
    task = f"task {name!r}{scope.where}"
    component = scope.tasks[name]
    parameters = {
        key: scope.parameter(source, f"{task}: input parameter {key!r}")
        for key, source in spec.inputs.parameters.items()
    }
    artifacts = {
        key: scope.artifact(source, f"{task}: input artifact {key!r}") for key, source in spec.inputs.artifacts.items()
    }
    iterator = _iterator(spec, component, parameters, artifacts, task)
    _check_inputs(component, parameters, artifacts, iterator, task)
    _check_condition(spec.trigger_policy.condition, component, parameters, task)
    body = component.body
    platform = platform_of(body.kubernetes, scope, task) if isinstance(body, Container) else {}
    sources = [*parameters.values(), *artifacts.values(), *sources_of(platform)]
    return Task(
        name=name,
        component=component,
        type=_type(name, spec, component),
        parameters=parameters,
        artifacts=artifacts,
        display_name=spec.task_info.name or name,
        platform=platform,
        upstream=_upstream(name, spec, scope, sources, task),
        on_any_end=spec.trigger_policy.strategy is ir.Strategy.ALL_UPSTREAM_TASKS_COMPLETED,
        condition=spec.trigger_policy.condition,
        iterator=iterator,
        parallelism=_not_negative(spec.iterator_policy.parallelism_limit, f"{task}: parallelismLimit"),
        retry=_retry(spec.retry_policy, task),
        cache=spec.caching_options.enable_cache,
        cache_key=spec.caching_options.cache_key,
    )


def _type(name: str, spec: ir.TaskSpec, component: Component) -> TaskType:
    if spec.parameter_iterator is not None or spec.artifact_iterator is not None:
        return TaskType.LOOP
    if isinstance(component.body, Importer):
        return TaskType.IMPORTER
    if not isinstance(component.body, Dag):
        return TaskType.RUNTIME
    if spec.trigger_policy.condition:
        return TaskType.CONDITION
    if name.startswith(_BRANCHES):
        return TaskType.CONDITION_BRANCH
    return TaskType.EXIT_HANDLER if name.startswith(_EXIT_HANDLER) else TaskType.DAG


def _upstream(
    name: str, spec: ir.TaskSpec, scope: Scope, sources: Sequence[ParameterSource | ArtifactSource], task: str
) -> tuple[str, ...]:
    producers = [source.producer for source in sources if isinstance(source, FromTask | FinalStatus)]
    for upstream in spec.dependent_tasks:
        if upstream not in scope.tasks:
            raise InvalidPipeline(f"{task} waits for task {upstream!r}, but there is no such task in the same dag")
    found = tuple(dict.fromkeys([*spec.dependent_tasks, *producers]))
    if name in found:
        raise InvalidPipeline(f"{task} waits for itself")
    return found


def _iterator(
    spec: ir.TaskSpec,
    component: Component,
    parameters: Mapping[str, ParameterSource],
    artifacts: Mapping[str, ArtifactSource],
    task: str,
) -> Iterator | None:
    if (over := spec.artifact_iterator) is not None:
        if over.items.input_artifact not in artifacts:
            raise InvalidPipeline(f"{task} loops over {over.items.input_artifact!r}, which is no input artifact of it")
        _check_item(over.item_input, component.artifacts, task)
        return Iterator(over.item_input, input=over.items.input_artifact, over_artifacts=True)
    if (values := spec.parameter_iterator) is None:
        return None
    _check_item(values.item_input, component.parameters, task)
    if values.items.raw is not None:
        _check_raw_items(values.items.raw, task)
        return Iterator(values.item_input, raw=values.items.raw)
    source = values.items.input_parameter or ""
    if source not in parameters:
        raise InvalidPipeline(f"{task} loops over {source!r}, which is no input parameter of it")
    return Iterator(values.item_input, input=source)


def _check_item(name: str, declared: Mapping[str, object], task: str) -> None:
    if name not in declared:
        raise InvalidPipeline(f"{task}: the item of its loop goes to the input {name!r}, which its component lacks")


def _check_raw_items(raw: str, task: str) -> None:
    if "{{$" in raw:
        return
    try:
        items = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidPipeline(f"{task}: the items of its loop are no JSON: {error}") from error
    if not isinstance(items, list):
        raise InvalidPipeline(f"{task}: the items of its loop must be a list")


def _check_inputs(
    component: Component,
    parameters: Mapping[str, ParameterSource],
    artifacts: Mapping[str, ArtifactSource],
    iterator: Iterator | None,
    task: str,
) -> None:
    """That all inputs that the component requires have a source."""
    item = iterator.item_input if iterator is not None else None
    for key, parameter in component.parameters.items():
        free = parameter.optional or parameter.default is not UNSET or parameter.type is ParameterType.TASK_CONFIG
        if key not in parameters and key != item and not free:
            raise InvalidPipeline(
                f"{task} gives no input parameter {key!r}, which {component.name!r} requires: pass it, "
                "or give it a default"
            )
    for key, artifact in component.artifacts.items():
        if key not in artifacts and key != item and not artifact.optional:
            raise InvalidPipeline(f"{task} gives no input artifact {key!r}, which {component.name!r} requires: pass it")


def _check_condition(text: str, component: Component, parameters: Mapping[str, ParameterSource], task: str) -> None:
    if not text:
        return
    try:
        reads = compile_condition(text).reads or frozenset()
    except ConditionError as error:
        raise InvalidPipeline(f"{task}: {error}") from error
    for name in sorted(reads - parameters.keys() - component.parameters.keys()):
        raise InvalidPipeline(f"{task}: its condition reads {name!r}, which is no parameter of its inputs")


def _retry(policy: ir.RetryPolicy, task: str) -> Retry:
    defaults = Retry()
    return Retry(
        max_retries=_not_negative(policy.max_retry_count, f"{task}: maxRetryCount"),
        backoff_s=_not_negative(policy.backoff_duration or 0.0, f"{task}: backoffDuration"),
        factor=_not_negative(policy.backoff_factor, f"{task}: backoffFactor") or defaults.factor,
        max_s=_not_negative(policy.backoff_max_duration or 0.0, f"{task}: backoffMaxDuration") or defaults.max_s,
    )


def _not_negative(value: N, what: str) -> N:
    if not 0 <= value < math.inf:
        raise InvalidPipeline(f"{what} is {value}; it must be a number, and not negative")
    return value
