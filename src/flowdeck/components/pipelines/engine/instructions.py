"""What a run wants done: the outputs of its state machine. They compare by value, and carry their cause.

Doing one twice must be harmless, since after a restart `RunState.outstanding` tells again what is not done yet.
"""

from typing import Any

import msgspec

from flowdeck.components.pipelines.engine.states import RunStatus, State
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.kube.objects import Tree


class _Instruction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    cause: str = ""


class LookUpCache(_Instruction, frozen=True, tag="look-up-cache"):
    """Answer with `CacheAnswered`."""

    task: str
    attempt: int
    fingerprint: str
    parts: dict[str, str]
    """What the fingerprint is made of: `fingerprint.differences` to those of an earlier execution explains a miss."""


class StartPod(_Instruction, frozen=True, tag="start-pod"):
    """Make the pod of one attempt, unless it is there; report `PodStarted`, then `Succeeded`, `Failed` or `Lost`."""

    task: str
    attempt: int
    retry_index: int
    """`KFP_RETRY_INDEX`: failures of this task so far."""
    pod_name: str
    image: str
    command: list[str]
    """With placeholders: `values.placeholders.Execution` puts values in, once it is known where artifacts lie."""
    args: list[str]
    env: list[tuple[str, str]]
    resources: dict[str, str]
    """`cpuLimit`, `memoryLimit`, `cpuRequest`, `memoryRequest` as quantities; `acceleratorType`, `acceleratorCount`."""
    platform: Tree
    """See `plan.platform`."""
    executor_input: Tree
    """ExecutorInput: URIs are canonical, paths those of a container."""
    constants: dict[str, str]
    """Values of placeholders such as `pipeline_job_name`."""
    passthroughs: list[Tree] = []
    """`{field, applyToTask}`: what the component handles itself."""
    task_config_inputs: list[str] = []
    """Parameters that take the pod's own configuration as JSON."""
    uses_workspace: bool = False


class AdoptPod(_Instruction, frozen=True, tag="adopt-pod"):
    """After a restart: this pod ran. Report its end, or `Lost` when it is no more; never make it anew."""

    task: str
    attempt: int
    pod_name: str


class ImportArtifact(_Instruction, frozen=True, tag="import-artifact"):
    """Name an artifact that is there; report `Succeeded` with it as the output `artifact`, or `Failed`."""

    task: str
    attempt: int
    artifact: Artifact
    reimport: bool
    """Whether a new one is made even if one of the same URI, type and metadata is known."""
    download_to_workspace: bool


class CreatePvc(_Instruction, frozen=True, tag="create-pvc"):
    """Make a PersistentVolumeClaim in the run's namespace, unless it is there; report `Succeeded` or `Failed`."""

    task: str
    attempt: int
    name: str
    spec: Tree
    annotations: dict[str, str]


class DeletePvc(_Instruction, frozen=True, tag="delete-pvc"):
    """Delete a PersistentVolumeClaim; report `Succeeded`, or `Failed` when there is none."""

    task: str
    attempt: int
    name: str


class StopPod(_Instruction, frozen=True, tag="stop-pod"):
    """Stop the pod of an attempt, with its grace period, and report its end as always."""

    task: str
    attempt: int
    pod_name: str


class WakeAt(_Instruction, frozen=True, tag="wake-at"):
    """Report `TimePassed` at this time; the latest one replaces those before."""

    at: float


class RecordTask(_Instruction, frozen=True, tag="record-task"):
    """A task is not what it was: write it down (`records.task_record`). One a task and event, the last state counts."""

    task: str
    state: State


class ForgetTasks(_Instruction, frozen=True, tag="forget-tasks"):
    """Tasks that are no more, since what holds them runs anew."""

    tasks: list[str]


class RecordRun(_Instruction, frozen=True, tag="record-run"):
    """The run itself changed."""

    state: RunStatus
    error: str = ""
    finished: bool = False


Instruction = (
    LookUpCache
    | StartPod
    | AdoptPod
    | ImportArtifact
    | CreatePvc
    | DeletePvc
    | StopPod
    | WakeAt
    | RecordTask
    | ForgetTasks
    | RecordRun
)


def to_json(instruction: Instruction) -> Any:
    """For logs and tests."""
    return msgspec.to_builtins(instruction)
