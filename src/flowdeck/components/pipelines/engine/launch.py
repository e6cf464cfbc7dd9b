"""The instruction that carries a task out, with everything resolved that does not depend on where it runs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from flowdeck.components.pipelines.engine.inputs import InputError, Reader
from flowdeck.components.pipelines.engine.instructions import CreatePvc, DeletePvc, ImportArtifact, StartPod
from flowdeck.components.pipelines.engine.outputs import announced_outputs
from flowdeck.components.pipelines.engine.run import Run
from flowdeck.components.pipelines.engine.task_run import TaskRun, stable_id
from flowdeck.components.pipelines.ir.proto_json import to_tree
from flowdeck.components.pipelines.ir.types import Resources
from flowdeck.components.pipelines.plan.platform import resolved_platform
from flowdeck.components.pipelines.plan.types import Container, Importer, Plan
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.components.pipelines.values.parameter_types import ParameterType
from flowdeck.components.pipelines.values.paths import local_path, task_root
from flowdeck.components.pipelines.values.placeholders import WORKSPACE_PATH, resolved
from flowdeck.components.pipelines.values.selectors import SelectorError
from flowdeck.components.pipelines.values.texts import to_text
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time

OUTPUTS_FOLDER: Final = "/tmp/kfp/outputs"
"""Where a container leaves its output parameters, a file each."""
IMPORTED: Final = "artifact"
"""The output of an importer."""
_WORKSPACE_MARK: Final = "_kfp_workspace"


def run_constants(run: Run) -> dict[str, str]:
    """The placeholders that mean the same in the whole run."""
    return {
        "pipeline_job_name": run.display_name,
        "pipeline_job_resource_name": run.resource_name,
        "pipeline_job_uuid": run.id,
        "pipeline_job_create_time_utc": _time(run.created_at),
        "pipeline_job_schedule_time_utc": _time(run.scheduled_at or run.created_at),
        "pipeline_root": run.pipeline_root,
        "workspace_path": WORKSPACE_PATH,
    }


def task_constants(constants: Mapping[str, str], name: str, task_id: str) -> dict[str, str]:
    """`run_constants` and those of one task."""
    return {**constants, "pipeline_task_name": name, "pipeline_task_uuid": task_id}


def platform(task: TaskRun, reader: Reader) -> Tree:
    """What a task asks of its pod; raises `InputError`."""
    if not task.task.platform:
        return {}
    try:
        return resolved_platform(task.task.platform, lambda source: _or_none(reader.parameter(source)))
    except (SelectorError, msgspec.DecodeError) as error:
        raise InputError(f"platform config: {error}") from error


def image_of(task: TaskRun, body: Container, constants: Mapping[str, str]) -> str:
    return to_text(resolved(body.image, constants, task.parameters))


def start_pod(run: Run, plan: Plan, task: TaskRun, constants: Mapping[str, str], asked: Tree, cause: str) -> StartPod:
    """The pod of the task's current attempt; `asked` is its platform."""
    body = task.task.component.body
    assert isinstance(body, Container)
    declared = task.task.component.parameters
    return StartPod(
        cause=cause,
        task=task.id,
        attempt=task.attempt,
        retry_index=task.failures,
        pod_name=pod_name(run, task.id, task.attempt),
        image=image_of(task, body, constants),
        command=list(body.command),
        args=list(body.args),
        env=[(name, to_text(resolved(value, constants, task.parameters))) for name, value in body.env],
        resources=_resources(body.resources, constants, task.parameters),
        platform=asked,
        executor_input=_executor_input(run, plan, task, body),
        constants=dict(constants),
        passthroughs=[to_tree(each) for each in body.passthroughs],
        task_config_inputs=[name for name, each in declared.items() if each.type is ParameterType.TASK_CONFIG],
        uses_workspace=plan.config.workspace is not None and _uses_workspace(task, body),
    )


def pod_name(run: Run, task_id: str, attempt: int) -> str:
    """At most 63 characters; the same for the same attempt."""
    return f"{run.resource_name[:40].rstrip('-')}-{task_id.replace('-', '')[:12]}-{attempt}"


def announced(run: Run, plan: Plan, task: TaskRun) -> dict[str, list[Artifact]]:
    """The artifacts that the current attempt is told to make."""
    return announced_outputs(run.id, task, _root(run, plan, task))


def import_artifact(run: Run, task: TaskRun, constants: Mapping[str, str], cause: str) -> ImportArtifact:
    """Raises `InputError`."""
    body = task.task.component.body
    assert isinstance(body, Importer)
    uri = to_text(
        task.parameters.get(body.uri_parameter)
        if body.uri_parameter
        else resolved(body.uri, constants, task.parameters)
    )
    if not uri:
        raise InputError(f'the importer has no URI: its parameter "{body.uri_parameter}" is empty')
    return ImportArtifact(
        cause=cause,
        task=task.id,
        attempt=task.attempt,
        artifact=Artifact(
            id=stable_id(run.id, f"{task.label}#{task.attempt}/{IMPORTED}"),
            uri=uri,
            type=body.type,
            metadata=resolved(dict(body.metadata), constants, task.parameters),
        ),
        reimport=body.reimport,
        download_to_workspace=body.download_to_workspace,
    )


def create_pvc(run: Run, task: TaskRun, cause: str) -> CreatePvc:
    """Raises `InputError`."""
    given = task.parameters
    name, suffix = given.get("pvc_name"), given.get("pvc_name_suffix")
    if name and suffix:
        raise InputError("give pvc_name or pvc_name_suffix, not both")
    annotations = given.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise InputError('input parameter "annotations" must be a STRUCT')
    spec: Tree = {
        "accessModes": given.get("access_modes") or [],
        "resources": {"requests": {"storage": to_text(given.get("size"))}},
    }
    if "storage_class_name" in given:
        spec["storageClassName"] = given["storage_class_name"]
    if given.get("volume_name"):
        spec["volumeName"] = given["volume_name"]
    if given.get("data_source"):
        spec["dataSource"] = given["data_source"]
    return CreatePvc(
        cause=cause,
        task=task.id,
        attempt=task.attempt,
        name=name or stable_id(run.id, f"{task.label}#{task.attempt}/pvc") + (suffix or ""),
        spec=spec,
        annotations={key: to_text(value) for key, value in annotations.items()},
    )


def delete_pvc(task: TaskRun, cause: str) -> DeletePvc:
    """Raises `InputError`."""
    name = to_text(task.parameters.get("pvc_name"))
    if not name:
        raise InputError('input parameter "pvc_name" is empty: name the claim to delete')
    return DeletePvc(cause=cause, task=task.id, attempt=task.attempt, name=name)


def attempt_root(run: Run, pipeline: str, name: str, label: str, attempt: int) -> str:
    """The URI of the folder of an attempt of a task."""
    return task_root(run.pipeline_root, pipeline, run.id, name, stable_id(run.id, f"{label}#{attempt}"))


def _root(run: Run, plan: Plan, task: TaskRun) -> str:
    return attempt_root(run, plan.name, task.task.name, task.label, task.attempt)


def _executor_input(run: Run, plan: Plan, task: TaskRun, body: Container) -> Tree:
    component = task.task.component
    root = _root(run, plan, task)
    inputs: Tree = {}
    values = {
        name: value for name, value in task.parameters.items() if name in component.parameters or name in body.mentioned
    }
    if values:
        inputs["parameterValues"] = values
    if task.artifacts:
        inputs["artifacts"] = {name: _artifact_list(found) for name, found in task.artifacts.items()}
    outputs: Tree = {"outputFile": f"{local_path(root)}/output_metadata.json"}
    if component.output_parameters:
        outputs["parameters"] = {
            name: {"outputFile": f"{OUTPUTS_FOLDER}/{name}"} for name in component.output_parameters
        }
    if component.output_artifacts:
        made = announced_outputs(run.id, task, root)
        outputs["artifacts"] = {name: _artifact_list(found) for name, found in made.items()}
    return {"inputs": inputs, "outputs": outputs}


def _artifact_list(artifacts: list[Artifact]) -> Tree:
    return {"artifacts": [artifact.to_runtime() for artifact in artifacts]}


def _resources(given: Resources, constants: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, str]:
    """Quantities; the newer spelling wins over the doubles."""
    accelerator = given.accelerator
    wanted = {
        "cpuLimit": given.resource_cpu_limit or _double(given.cpu_limit),
        "memoryLimit": given.resource_memory_limit or _double(given.memory_limit, "G"),
        "cpuRequest": given.resource_cpu_request or _double(given.cpu_request),
        "memoryRequest": given.resource_memory_request or _double(given.memory_request, "G"),
    }
    if accelerator is not None:
        wanted["acceleratorType"] = accelerator.resource_type or accelerator.type
        wanted["acceleratorCount"] = accelerator.resource_count or (str(accelerator.count) if accelerator.count else "")
    found = {name: to_text(resolved(text, constants, parameters)) for name, text in wanted.items()}
    return {name: text for name, text in found.items() if text}


def _double(value: float, unit: str = "") -> str:
    return f"{to_text(value)}{unit}" if value else ""


def _uses_workspace(task: TaskRun, body: Container) -> bool:
    return (
        body.uses_workspace
        or any(isinstance(value, str) and WORKSPACE_PATH in value for value in task.parameters.values())
        or any(artifact.metadata.get(_WORKSPACE_MARK) for found in task.artifacts.values() for artifact in found)
    )


def _or_none(value: Any) -> Any:
    return None if value is msgspec.UNSET else value


def _time(at: float) -> str:
    return format_time(datetime.fromtimestamp(at, UTC))
