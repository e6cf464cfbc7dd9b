"""Small documents: components that are Python one-liners, and the dags they stand in."""

from collections.abc import Mapping
from typing import Any

from flowdeck.kube.objects import Tree


def a_component(
    program: str,
    *,
    inputs: Mapping[str, str] = {},
    outputs: Mapping[str, str] = {},
    makes: Mapping[str, str] = {},
    takes: Mapping[str, str] = {},
) -> Tree:
    """A component whose program gets each input, then each output's file, then each artifact's path as an argument."""
    arguments = [f"{{{{$.inputs.parameters['{name}']}}}}" for name in inputs]
    arguments += [f"{{{{$.inputs.artifacts['{name}'].path}}}}" for name in takes]
    arguments += [f"{{{{$.outputs.parameters['{name}'].output_file}}}}" for name in outputs]
    arguments += [f"{{{{$.outputs.artifacts['{name}'].path}}}}" for name in makes]
    return {
        "program": ["python3", "-c", program, *arguments],
        "inputDefinitions": {
            "parameters": {name: {"parameterType": type} for name, type in inputs.items()},
            "artifacts": {name: {"artifactType": {"schemaTitle": title}} for name, title in takes.items()},
        },
        "outputDefinitions": {
            "parameters": {name: {"parameterType": type} for name, type in outputs.items()},
            "artifacts": {name: {"artifactType": {"schemaTitle": title}} for name, title in makes.items()},
        },
    }


def a_task(component: str, *, after: tuple[str, ...] = (), **inputs: Any) -> Tree:
    """A use of a component; an input is a value, or `("task", "output")`, or `("artifact", "task", "output")`."""
    parameters: Tree = {}
    artifacts: Tree = {}
    for name, given in inputs.items():
        match given:
            case ("artifact", producer, key):
                artifacts[name] = {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}
            case (producer, key):
                parameters[name] = {"taskOutputParameter": {"producerTask": producer, "outputParameterKey": key}}
            case _:
                parameters[name] = {"runtimeValue": {"constant": given}}
    task: Tree = {"componentRef": {"name": component}, "taskInfo": {"name": component}}
    producers = [given[-2] for given in inputs.values() if isinstance(given, tuple)]
    if waits := sorted({*after, *producers}):
        task["dependentTasks"] = waits
    if parameters or artifacts:
        task["inputs"] = {key: value for key, value in (("parameters", parameters), ("artifacts", artifacts)) if value}
    return task


def a_pipeline(components: Mapping[str, Tree], tasks: Mapping[str, Tree], *, name: str = "tried") -> Tree:
    """A whole document, as `pipeline_spec` of the API."""
    executors, defined = {}, {}
    for key, component in components.items():
        executors[f"exec-{key}"] = {
            "container": {"image": component.get("image", "python:3.11"), "command": component["program"]}
        }
        parts = {part: component[part] for part in ("inputDefinitions", "outputDefinitions")}
        defined[key] = {**parts, "executorLabel": f"exec-{key}"}
    return {
        "pipelineInfo": {"name": name},
        "schemaVersion": "2.1.0",
        "sdkVersion": "kfp-2.17.3",
        "root": {"dag": {"tasks": dict(tasks)}},
        "components": defined,
        "deploymentSpec": {"executors": executors},
    }
