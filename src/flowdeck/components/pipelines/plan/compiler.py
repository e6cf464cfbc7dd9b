"""From a document to a plan; all that is wrong between the parts of a document is found here.

plan = compile_plan(document)       # raises InvalidPipeline, naming task, parameter and remedy
"""

from collections.abc import Mapping
from typing import Final

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir import types as ir
from flowdeck.components.pipelines.ir.document import Document
from flowdeck.components.pipelines.plan.definitions import component_of
from flowdeck.components.pipelines.plan.executors import Executors
from flowdeck.components.pipelines.plan.sources import Scope
from flowdeck.components.pipelines.plan.tasks import task_of
from flowdeck.components.pipelines.plan.types import Body, Component, Dag, OutputOf, Plan, Task, TaskType

ROOT: Final = "root"
MAX_DEPTH: Final = 64
"""Dags inside of each other."""


def compile_plan(document: Document) -> Plan:
    """The plan of a document; raises `InvalidPipeline`."""
    try:
        return _Compiler(document).plan()
    except InvalidPipeline as error:
        raise InvalidPipeline(f"Invalid input error: invalid pipeline {document.name!r}: {error}") from error


class _Compiler:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._executors = Executors(document)
        self._done: dict[str, Component] = {}
        self._open: list[str] = []
        """Components that are being compiled, from the outside in."""

    def plan(self) -> Plan:
        spec = self._document.spec
        root = spec.root or ir.ComponentSpec()
        if root.dag is None:
            raise InvalidPipeline("`root` has no dag; compile a pipeline, not a component")
        component = self._component(ROOT, root)
        return Plan(
            name=self._document.name,
            root=Task(ROOT, component, TaskType.ROOT, {}, {}, display_name=spec.pipeline_info.display_name or ROOT),
            default_root=spec.default_pipeline_root,
            config=self._document.kubernetes.pipeline_config,
        )

    def _component(self, name: str, spec: ir.ComponentSpec) -> Component:
        if name in self._open:
            way = " > ".join([*self._open[self._open.index(name) :], name])
            raise InvalidPipeline(f"component {name!r} contains itself ({way}); pipelines cannot be recursive")
        if len(self._open) >= MAX_DEPTH:
            raise InvalidPipeline(f"dags are nested deeper than {MAX_DEPTH}, at component {name!r}")
        self._open.append(name)
        body: Body
        if spec.dag is not None:
            body = self._dag(name, spec, spec.dag)
        elif spec.executor_label:
            body = self._executors.body(name, spec)
        else:
            raise InvalidPipeline(f"component {name!r} has neither a dag nor an executorLabel")
        self._open.pop()
        return component_of(name, spec, body)

    def _named(self, name: str, user: str) -> Component:
        if name not in self._document.spec.components:
            raise InvalidPipeline(f"{user} refers to the component {name!r}, which is not in `components`")
        if name not in self._done:
            self._done[name] = self._component(name, self._document.spec.components[name])
        return self._done[name]

    def _dag(self, name: str, spec: ir.ComponentSpec, dag: ir.DagSpec) -> Dag:
        where = "" if name == ROOT else f" of component {name!r}"
        components = {
            task: self._named(task_spec.component_ref.name, f"task {task!r}{where}")
            for task, task_spec in dag.tasks.items()
        }
        has_workspace = self._document.kubernetes.pipeline_config.workspace is not None
        scope = Scope(where, spec.input_definitions, components, has_workspace)
        tasks = {task: task_of(task, task_spec, scope) for task, task_spec in dag.tasks.items()}
        return Dag(
            tasks=_in_order(tasks, where),
            parameters=_parameter_outputs(name, spec, dag.outputs, scope),
            artifacts=_artifact_outputs(name, spec, dag.outputs, scope),
        )


def _in_order(tasks: Mapping[str, Task], where: str) -> dict[str, Task]:
    """The tasks, each after its upstream, and knowing its downstream."""
    downstream: dict[str, list[str]] = {name: [] for name in tasks}
    for name, task in tasks.items():
        for upstream in task.upstream:
            downstream[upstream].append(name)
    waits = {name: len(task.upstream) for name, task in tasks.items()}
    order = [name for name, count in waits.items() if count == 0]
    for name in order:  # grows while it is walked
        for follower in downstream[name]:
            waits[follower] -= 1
            if waits[follower] == 0:
                order.append(follower)
    if len(order) < len(tasks):
        stuck = ", ".join(repr(name) for name in tasks if waits[name])
        raise InvalidPipeline(f"the tasks {stuck}{where} wait for each other in a circle")
    return {name: _with_downstream(tasks[name], tuple(downstream[name])) for name in order}


def _with_downstream(task: Task, names: tuple[str, ...]) -> Task:
    object.__setattr__(task, "downstream", names)  # nobody has seen it yet
    return task


def _parameter_outputs(
    name: str, spec: ir.ComponentSpec, outputs: ir.DagOutputs, scope: Scope
) -> dict[str, tuple[OutputOf, ...]]:
    found: dict[str, tuple[OutputOf, ...]] = {}
    for key, output in outputs.parameters.items():
        given = [output.value_from_parameter] if output.value_from_parameter else []
        given += output.value_from_oneof.parameter_selectors if output.value_from_oneof else []
        what = f"output parameter {key!r} of component {name!r}"
        selectors = [OutputOf(each.producer_subtask, each.output_parameter_key) for each in given]
        for selector in selectors:
            scope.check_parameter(selector.producer, selector.key, what)
        found[key] = tuple(selectors)
    _check_all_given(name, "parameter", spec.output_definitions.parameters, found)
    return found


def _artifact_outputs(
    name: str, spec: ir.ComponentSpec, outputs: ir.DagOutputs, scope: Scope
) -> dict[str, tuple[OutputOf, ...]]:
    found: dict[str, tuple[OutputOf, ...]] = {}
    for key, output in outputs.artifacts.items():
        what = f"output artifact {key!r} of component {name!r}"
        for selector in output.artifact_selectors:
            scope.check_artifact(selector.producer_subtask, selector.output_artifact_key, what)
        found[key] = tuple(
            OutputOf(each.producer_subtask, each.output_artifact_key) for each in output.artifact_selectors
        )
    _check_all_given(name, "artifact", spec.output_definitions.artifacts, found)
    return found


def _check_all_given(
    name: str, what: str, declared: Mapping[str, object], found: Mapping[str, tuple[OutputOf, ...]]
) -> None:
    for key in declared:
        if not found.get(key):
            raise InvalidPipeline(f"output {what} {key!r} of component {name!r} has no source in `dag.outputs`")
