"""The pod of a task, and what one that ended says. Pure.

The user's command runs as it is, in a container that finds artifacts and outputs where user code looks for them:

    <local path of the task's root>     artifacts that it makes, `output_metadata.json`, the launcher's document
    /tmp/kfp/outputs                    its parameters, a file each: `.parameters` below that root
    <local path of each input>          to read

Where artifacts are files of this machine they are mounted, so nothing is copied. What an object store has is carried by
containers of our own image, before and after (`carrier`), by way of an `emptyDir`. Python components, which alone are
told of an executor input, have the launcher around them; it comes as a ConfigMap.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.components.pipelines.runner.carrying import BRINGER, CARRIED, Carrying, bringer, stager
from flowdeck.components.pipelines.runner.folders import PARAMETERS
from flowdeck.components.pipelines.runner.launcher import bootstrap_of
from flowdeck.components.pipelines.runner.platform import Asked, Volumes, asked_of, passed_on
from flowdeck.components.pipelines.values.paths import local_path, uri_of
from flowdeck.components.pipelines.values.placeholders import WORKSPACE_PATH, Execution
from flowdeck.kube.objects import Tree, annotations_of, get_in
from flowdeck.kube.times import parse_time

RUN_LABEL: Final = "pipeline/runid"
COMPONENT_LABEL: Final = "pipelines.kubeflow.org/v2_component"
TASK_ANNOTATION: Final = "pipelines.kubeflow.org/task-id"
ATTEMPT_ANNOTATION: Final = "pipelines.kubeflow.org/attempt"
ROOT_ANNOTATION: Final = "pipelines.flowdeck.dev/task-root"
"""The URI below which the task's outputs lie, with the query of the pipeline root."""
KEEP_ANNOTATION: Final = "pipelines.flowdeck.dev/keep-seconds"
"""How long the pod stays after it has ended well, and after it failed: `0,86400`."""
PACKAGES_ANNOTATION: Final = "packages.flowdeck.dev/main"
"""Python packages that the program of a container will install: a node that makes environments may have them there.

JSON, `{"packages": [...], "bare": [...]}`: requirements as pip takes them; `bare` ones without what they depend on.
"""
MAIN: Final = "main"
"""The container of the user's program."""
LAUNCHER: Final = "kfp-launcher-program"
"""The ConfigMap that holds the launcher."""
LAUNCHER_FOLDER: Final = "/kfp-launcher"
OUTPUTS_FOLDER: Final = "/tmp/kfp/outputs"
PULL_PATIENCE_S: Final = 120
"""How old a pod is whose image could not be pulled when that counts as a failure; until then it is tried again."""
_HOPELESS: Final = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
_PULLING: Final = ("ErrImagePull", "ImagePullBackOff")
_ARTIFACTS: Final = "kfp-artifacts"
_WORKSPACE: Final = "kfp-workspace"
_ASKS_FOR_INPUT: Final = ("{{$}}", "{{$.outputs.output_file}}")
_OCI: Final = "oci://"


@dataclass(frozen=True)
class Place:
    """Where the pod of a task goes, and where its artifacts are."""

    run_id: str
    namespace: str
    service_account: str
    folder: str = ""
    """The folder of the artifact store, if that is files..."""
    files: frozenset[str] = frozenset()
    """... and the URIs of those that are there: the task's root, and inputs."""
    carrying: Carrying | None = None
    """What must be carried from and to object stores."""
    workspace: str = ""
    """The claim that is the run's workspace."""
    keep_s: tuple[int, int] = (0, 0)
    """How long the pod stays after success, and after a failure."""
    query: str = ""
    """What the run's pipeline root says of its bucket."""


@dataclass(frozen=True)
class Made:
    """A pod, and what its task is told."""

    pod: Tree
    launch: Tree
    """`.launch.json`; see `launcher` and `carrier`."""
    has_launcher: bool


def root_of(start: StartPod) -> str:
    """The URI of the task's root."""
    output_file: str = start.executor_input["outputs"]["outputFile"]
    return uri_of(output_file.rpartition("/")[0])


def root_in(pod: Tree) -> str:
    """The same, of a pod that was made here, with the query."""
    return annotations_of(pod)[ROOT_ANNOTATION]


def inputs_of(start: StartPod) -> list[str]:
    """URIs of the artifacts that a task reads, each once."""
    found = (start.executor_input["inputs"].get("artifacts") or {}).values()
    return list(dict.fromkeys(artifact["uri"] for entry in found for artifact in entry["artifacts"]))


def make(start: StartPod, place: Place) -> Made:
    """The pod of one attempt."""
    asked = asked_of(start)
    passed, own = passed_on(asked.parts, start.passthroughs)
    command = _command(start, passed)
    volumes = _volumes(start, place)
    paths = list(dict.fromkeys([local_path(root_of(start)), *(mount["mountPath"] for mount in volumes.mounts)]))
    launch = _launch(start, place, command, paths)
    annotations = {
        TASK_ANNOTATION: start.task,
        ATTEMPT_ANNOTATION: str(start.attempt),
        KEEP_ANNOTATION: f"{place.keep_s[0]},{place.keep_s[1]}",
        ROOT_ANNOTATION: root_of(start) + (f"?{place.query}" if place.query else ""),
    }
    has_launcher = _is_told_of_inputs(start)
    if has_launcher:
        volumes.mount(LAUNCHER, {"configMap": {"name": LAUNCHER}}, LAUNCHER_FOLDER)
        shown = ["python3", f"{LAUNCHER_FOLDER}/launcher.py", *paths]
        if bootstrap := bootstrap_of(command):
            wanted = {"packages": bootstrap.packages, "bare": bootstrap.bare}
            annotations[PACKAGES_ANNOTATION] = json.dumps(wanted)
    else:
        shown = [word.replace("$", "$$") for word in command]  # it is no template of Kubernetes
    if start.uses_workspace:
        volumes.mount(_WORKSPACE, {"persistentVolumeClaim": {"claimName": place.workspace}}, WORKSPACE_PATH)
    own["volumes"] = [*volumes.volumes, *own.get("volumes", ())]
    own["volumeMounts"] = [*volumes.mounts, *own.get("volumeMounts", ())]
    metadata = {
        "name": start.pod_name,
        "namespace": place.namespace,
        "labels": {**asked.labels, RUN_LABEL: place.run_id, COMPONENT_LABEL: "true"},
        "annotations": {**asked.annotations, **annotations},
    }
    spec = _spec(start, place, asked, own, shown)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return Made(pod, launch, has_launcher)


def _spec(start: StartPod, place: Place, asked: Asked, own: Tree, command: Sequence[str]) -> Tree:
    container = {
        "name": MAIN,
        "image": start.image,
        "command": list(command),
        "env": [
            {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "KFP_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "KFP_RETRY_INDEX", "value": str(start.retry_index)},
            *own.pop("env", ()),
        ],
        "volumeMounts": own.pop("volumeMounts"),
        **({"resources": own.pop("resources")} if "resources" in own else {}),
        **asked.container,
    }
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": place.service_account,
        "containers": [container],
        **own,
        **asked.pod,
    }
    if place.carrying is not None:
        carrying = replace(place.carrying, security=asked.container.get("securityContext") or {})
        mounts = [mount for mount in container["volumeMounts"] if mount["mountPath"] == local_path(root_of(start))]
        carriers = [stager(carrying, mounts if not carrying.brings else [])]
        if carrying.brings:
            carriers.append(bringer(carrying))
            spec["terminationGracePeriodSeconds"] = carrying.grace_s
        spec["initContainers"] = [*carriers, *spec.get("initContainers", ())]
    return spec


def _command(start: StartPod, passed: Tree) -> list[str]:
    told = start.executor_input
    if start.task_config_inputs:
        inputs = told["inputs"]
        values = {**inputs.get("parameterValues", {}), **dict.fromkeys(start.task_config_inputs, passed)}
        told = {**told, "inputs": {**inputs, "parameterValues": values}}
    return Execution(told, start.constants, local_path).resolved_command([*start.command, *start.args])


def _is_told_of_inputs(start: StartPod) -> bool:
    """Whether it may write an ExecutorOutput, as Python components do: nobody else knows where."""
    words = [*start.command, *start.args]
    return any(mark in word for mark in _ASKS_FOR_INPUT for word in words) and any("python" in word for word in words)


def _launch(start: StartPod, place: Place, command: list[str], paths: list[str]) -> Tree:
    outputs = start.executor_input["outputs"]
    artifacts = {
        name: [{"uri": artifact["uri"], "path": local_path(artifact["uri"])} for artifact in entry["artifacts"]]
        for name, entry in (outputs.get("artifacts") or {}).items()
    }
    root = root_of(start)
    uris = [root, *inputs_of(start)]
    return {
        "command": command,
        "outputFile": outputs["outputFile"],
        "parameters": list(outputs.get("parameters") or {}),
        "paths": paths,
        "uris": {uri: local_path(uri) for uri in uris},
        "artifacts": artifacts,
        "carried": [uri for uri in inputs_of(start) if uri not in place.files] if place.carrying is not None else [],
    }


def _volumes(start: StartPod, place: Place) -> Volumes:
    """The task's folder first, to write; what it reads, to read."""
    volumes, root = Volumes(), root_of(start)
    if root in place.files:
        files = {"hostPath": {"path": place.folder, "type": "Directory"}}
        volumes.mount(_ARTIFACTS, files, local_path(root), _below(root))
        volumes.mount(_ARTIFACTS, files, OUTPUTS_FOLDER, f"{_below(root)}/{PARAMETERS}")
        for uri in inputs_of(start):
            if uri in place.files:
                volumes.mount(_ARTIFACTS, files, local_path(uri), _below(uri))
                volumes.mounts[-1]["readOnly"] = True
    if place.carrying is not None:
        inside = f"{local_path(root).lstrip('/')}/{PARAMETERS}"
        if place.carrying.brings:
            volumes.mount(CARRIED, {"emptyDir": {}}, OUTPUTS_FOLDER, inside)
        for folder in place.carrying.folders:
            volumes.mount(CARRIED, {"emptyDir": {}}, f"/{folder}", folder)
    for number, uri in enumerate(uri for uri in inputs_of(start) if uri.startswith(_OCI)):
        image = {"image": {"reference": uri.removeprefix(_OCI)}}
        volumes.mount(f"kfp-oci-{number}", image, local_path(uri).removesuffix("/models"))
    return volumes


def _below(uri: str) -> str:
    """Where it is below the folder of artifacts."""
    return uri.partition("://")[2]


def failure_of(pod: Tree) -> str:
    """Why a pod failed, in words for whoever wrote its program."""
    name = pod["metadata"]["name"]
    for status in get_in(pod, "status", "initContainerStatuses") or []:
        ended = get_in(status, "state", "terminated") or {}
        if ended.get("exitCode"):
            return f"pod {name} failed before its program: {status['name']} {_ended(ended)}"
    ended = get_in(_main_status(pod), "state", "terminated") or {}
    told = get_in(pod, "status", "message", default="")
    if ended.get("exitCode") is None:
        reason = get_in(pod, "status", "reason", default="") or "Failed"
        return f"pod {name} failed: {reason}{f': {told}' if told else ''}"
    why = get_in(pod, "status", "reason", default="")
    more = f" ({why}{f': {told}' if told else ''})" if why else ""
    return f"pod {name} {_ended(ended)}{more}; its log says more"


def brought_badly(pod: Tree) -> str:
    """Why what a pod made did not come to the object store; empty while that is under way."""
    for status in get_in(pod, "status", "initContainerStatuses") or []:
        ended = get_in(status, "state", "terminated")
        if status["name"] == BRINGER and ended is not None:
            return f"its outputs were not brought to the store: {_ended(ended)}"
    return ""


def _ended(terminated: Tree) -> str:
    reason, told = terminated.get("reason") or "Error", (terminated.get("message") or "").strip()
    return f"failed with exit code {terminated.get('exitCode')} ({reason}){f': {told}' if told else ''}"


@dataclass(frozen=True)
class Lack:
    """What a pod that does not start lacks."""

    message: str
    until: float | None = None
    """Until when it is worth to wait, in seconds since 1970; None: as long as it takes."""


def lack_of(pod: Tree) -> Lack | None:
    """What a pod waits for, when that is no matter of course."""
    for status in [*(get_in(pod, "status", "initContainerStatuses") or []), _main_status(pod)]:
        waiting = get_in(status, "state", "waiting") or {}
        told = f"{waiting.get('reason')}: {waiting.get('message', '')}"
        if waiting.get("reason") in _HOPELESS:
            return Lack(told, until=0)
        if waiting.get("reason") in _PULLING:
            return Lack(told, _made_at(pod) + PULL_PATIENCE_S)
    for condition in get_in(pod, "status", "conditions") or []:
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Lack(f"Unschedulable: {condition.get('message', '')}")
    return None


def _made_at(pod: Tree) -> float:
    return parse_time(pod["metadata"]["creationTimestamp"]).timestamp()


def has_started(pod: Tree) -> bool:
    """Whether the program runs, or has run."""
    state = get_in(_main_status(pod), "state") or {}
    return "running" in state or "terminated" in state


def _main_status(pod: Tree) -> Tree:
    statuses = get_in(pod, "status", "containerStatuses") or []
    return next((status for status in statuses if status["name"] == MAIN), {})
