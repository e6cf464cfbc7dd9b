"""Makers of pipeline documents: a use of a component is a `Use`, a pipeline a handful of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from flowdeck.components.pipelines.engine.run import Options, Run
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.types import Plan
from flowdeck.kube.objects import Tree

NOW = 1_800_000_000.0
COMPLETED = "ALL_UPSTREAM_TASKS_COMPLETED"


def parameter(kind: str = "STRING", **more: Any) -> Tree:
    return {"parameterType": kind, **more}


def artifact(title: str = "system.Dataset", **more: Any) -> Tree:
    return {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}, **more}


def of(task: str, key: str, selector: str = "") -> Tree:
    """An output parameter of another task."""
    return _selected({"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}, selector)


def given(name: str, selector: str = "") -> Tree:
    """An input parameter of the dag."""
    return _selected({"componentInputParameter": name}, selector)


def constant(value: Any) -> Tree:
    return {"runtimeValue": {"constant": value}}


def artifact_of(task: str, key: str) -> Tree:
    return {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}


def given_artifact(name: str) -> Tree:
    return {"componentInputArtifact": name}


def status_of(task: str) -> Tree:
    return {"taskFinalStatus": {"producerTask": task}}


def _selected(source: Tree, selector: str) -> Tree:
    return {**source, "parameterExpressionSelector": selector} if selector else source


@dataclass
class Maker:
    """Collects the components of one document."""

    components: dict[str, Tree] = field(default_factory=dict)
    executors: dict[str, Tree] = field(default_factory=dict)
    platform: dict[str, Tree] = field(default_factory=dict)

    def leaf(
        self,
        name: str,
        inputs: Mapping[str, Tree] | None = None,
        outputs: Mapping[str, str] | None = None,
        *,
        artifacts_in: Mapping[str, Tree] | None = None,
        artifacts_out: Mapping[str, Tree] | None = None,
        executor: Tree | None = None,
        kubernetes: Tree | None = None,
    ) -> str:
        """A component that is a container; gives its name."""
        made = {"container": {"image": "python:3.11", "command": ["run", name], "args": ["{{$}}"]}}
        self.executors[f"exec-{name}"] = executor or made
        if kubernetes:
            self.platform[f"exec-{name}"] = kubernetes
        self.components[f"comp-{name}"] = {
            "executorLabel": f"exec-{name}",
            **_definitions(inputs, {key: parameter(kind) for key, kind in (outputs or {}).items()}),
        }
        _add_artifacts(self.components[f"comp-{name}"], artifacts_in, artifacts_out)
        return f"comp-{name}"

    def dag(
        self,
        name: str,
        tasks: Mapping[str, Tree],
        inputs: Mapping[str, Tree] | None = None,
        outputs: Mapping[str, tuple[str, Tree]] | None = None,
        *,
        artifacts_in: Mapping[str, Tree] | None = None,
        artifacts_out: Mapping[str, tuple[Tree, list[tuple[str, str]]]] | None = None,
    ) -> str:
        """A component that is a dag; `outputs` are `name: (type, valueFrom...)`."""
        self.components[f"comp-{name}"] = _dag(tasks, inputs, outputs, artifacts_in, artifacts_out)
        return f"comp-{name}"

    def document(
        self,
        tasks: Mapping[str, Tree],
        inputs: Mapping[str, Tree] | None = None,
        outputs: Mapping[str, tuple[str, Tree]] | None = None,
        *,
        name: str = "pipe",
        config: Tree | None = None,
    ) -> Tree:
        """`pipeline_spec` of the API."""
        spec = {
            "pipelineInfo": {"name": name},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.17.3",
            "components": self.components,
            "deploymentSpec": {"executors": self.executors},
            "root": _dag(tasks, inputs, outputs, None, None),
        }
        if not self.platform and not config:
            return spec
        kubernetes = {"deploymentSpec": {"executors": self.platform}, "pipelineConfig": config or {}}
        return {"pipeline_spec": spec, "platform_spec": {"platforms": {"kubernetes": kubernetes}}}

    def plan(self, tasks: Mapping[str, Tree], inputs: Mapping[str, Tree] | None = None, **more: Any) -> Plan:
        return compile_plan(from_wire(self.document(tasks, inputs, **more)))


def use(
    component: str,
    parameters: Mapping[str, Tree] | None = None,
    *,
    artifacts: Mapping[str, Tree] | None = None,
    after: list[str] | None = None,
    **more: Any,
) -> Tree:
    """A task."""
    tree: Tree = {"componentRef": {"name": component}, **more}
    inputs: Tree = {}
    if parameters:
        inputs["parameters"] = dict(parameters)
    if artifacts:
        inputs["artifacts"] = dict(artifacts)
    if inputs:
        tree["inputs"] = inputs
    if after:
        tree["dependentTasks"] = after
    return tree


def when(condition: str) -> Tree:
    return {"condition": condition}


def value_from(task: str, key: str) -> Tree:
    return {"valueFromParameter": {"producerSubtask": task, "outputParameterKey": key}}


def one_of(*candidates: tuple[str, str]) -> Tree:
    selectors = [{"producerSubtask": task, "outputParameterKey": key} for task, key in candidates]
    return {"valueFromOneof": {"parameterSelectors": selectors}}


def _dag(
    tasks: Mapping[str, Tree],
    inputs: Mapping[str, Tree] | None,
    outputs: Mapping[str, tuple[str, Tree]] | None,
    artifacts_in: Mapping[str, Tree] | None,
    artifacts_out: Mapping[str, tuple[Tree, list[tuple[str, str]]]] | None,
) -> Tree:
    tree: Tree = {"dag": {"tasks": dict(tasks)}}
    tree |= _definitions(inputs, {key: parameter(kind) for key, (kind, _) in (outputs or {}).items()})
    dag_outputs: Tree = {}
    if outputs:
        dag_outputs["parameters"] = {key: source for key, (_, source) in outputs.items()}
    if artifacts_out:
        dag_outputs["artifacts"] = {
            key: {"artifactSelectors": [{"producerSubtask": t, "outputArtifactKey": k} for t, k in selectors]}
            for key, (_, selectors) in artifacts_out.items()
        }
    if dag_outputs:
        tree["dag"]["outputs"] = dag_outputs
    _add_artifacts(tree, artifacts_in, {key: declared for key, (declared, _) in (artifacts_out or {}).items()})
    return tree


def _definitions(inputs: Mapping[str, Tree] | None, outputs: Mapping[str, Tree]) -> Tree:
    tree: Tree = {}
    if inputs:
        tree["inputDefinitions"] = {"parameters": dict(inputs)}
    if outputs:
        tree["outputDefinitions"] = {"parameters": dict(outputs)}
    return tree


def _add_artifacts(tree: Tree, inputs: Mapping[str, Tree] | None, outputs: Mapping[str, Tree] | None) -> None:
    if inputs:
        tree.setdefault("inputDefinitions", {})["artifacts"] = dict(inputs)
    if outputs:
        tree.setdefault("outputDefinitions", {})["artifacts"] = dict(outputs)


def a_run(parameters: Mapping[str, Any] | None = None, *, run_id: str = "run-1", **options: Any) -> Run:
    return Run(
        id=run_id,
        display_name="my run",
        resource_name="pipe-abcde",
        pipeline_root="minio://mlpipeline/v2/artifacts",
        parameters=dict(parameters or {}),
        created_at=NOW,
        options=msgspec.convert(options, Options),
    )
