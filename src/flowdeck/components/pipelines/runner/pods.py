"""The pod of a task, and what one that ended says. Pure.

Artifacts are files of this machine here: the task's own folder and the artifacts that it reads are mounted where user
code looks for them, so nothing is copied. The launcher comes as a ConfigMap.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowdeck.artifacts.uris import parse_uri
from flowdeck.components.pipelines.engine.instructions import StartPod
from flowdeck.components.pipelines.values.paths import local_path
from flowdeck.components.pipelines.values.placeholders import Execution
from flowdeck.kube.objects import Tree, get_in

RUN_LABEL: Final = "pipeline/runid"
COMPONENT_LABEL: Final = "pipelines.kubeflow.org/v2_component"
TASK_ANNOTATION: Final = "pipelines.kubeflow.org/task-id"
ATTEMPT_ANNOTATION: Final = "pipelines.kubeflow.org/attempt"
MAIN: Final = "main"
"""The container of the user's program."""
LAUNCHER: Final = "kfp-launcher-program"
"""The ConfigMap that holds the launcher."""
LAUNCHER_FOLDER: Final = "/kfp-launcher"
_ARTIFACTS: Final = "artifacts"
_RESOURCES: Final = {
    "cpuLimit": ("limits", "cpu"),
    "memoryLimit": ("limits", "memory"),
    "cpuRequest": ("requests", "cpu"),
    "memoryRequest": ("requests", "memory"),
}


@dataclass(frozen=True)
class Place:
    """Where the pods of a run go."""

    run_id: str
    namespace: str
    service_account: str
    artifacts: Path
    """The folder of the artifact store."""


def folder_of(start: StartPod) -> str:
    """The task's own folder, as its program sees it."""
    output_file: str = start.executor_input["outputs"]["outputFile"]
    return output_file.rpartition("/")[0]


def folder_in(pod: Tree) -> str:
    """The same, of a pod that was made here."""
    return str(pod["spec"]["containers"][0]["command"][-1])


def launch_document(start: StartPod) -> Tree:
    """`.launch.json`; see `launcher`."""
    execution = Execution(start.executor_input, start.constants, local_path)
    outputs = start.executor_input["outputs"]
    artifacts = outputs.get("artifacts") or {}
    return {
        "command": execution.resolved_command([*start.command, *start.args]),
        "outputFile": outputs["outputFile"],
        "parameters": {name: entry["outputFile"] for name, entry in (outputs.get("parameters") or {}).items()},
        "artifacts": {
            name: [{"uri": artifact["uri"], "path": local_path(artifact["uri"])} for artifact in entry["artifacts"]]
            for name, entry in artifacts.items()
        },
    }


def pod_of(start: StartPod, place: Place) -> Tree:
    """The pod of one attempt."""
    env = [{"name": name, "value": value} for name, value in start.env]
    container: Tree = {
        "name": MAIN,
        "image": start.image,
        "command": ["python3", f"{LAUNCHER_FOLDER}/launcher.py", folder_of(start)],
        "env": [
            {"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "KFP_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "KFP_RETRY_INDEX", "value": str(start.retry_index)},
            *env,
        ],
        "resources": _resources(start),
        "volumeMounts": [
            {"name": LAUNCHER, "mountPath": LAUNCHER_FOLDER, "readOnly": True},
            *_artifact_mounts(start, place),
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": start.pod_name,
            "namespace": place.namespace,
            "labels": {RUN_LABEL: place.run_id, COMPONENT_LABEL: "true"},
            "annotations": {TASK_ANNOTATION: start.task, ATTEMPT_ANNOTATION: str(start.attempt)},
        },
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": place.service_account,
            "containers": [container],
            "volumes": [
                {"name": LAUNCHER, "configMap": {"name": LAUNCHER}},
                {"name": _ARTIFACTS, "hostPath": {"path": str(place.artifacts), "type": "Directory"}},
            ],
        },
    }


def failure_of(pod: Tree) -> str:
    """Why a pod failed, in words for whoever wrote its program."""
    state = get_in(_main_status(pod), "state", "terminated") or {}
    told = state.get("message") or get_in(pod, "status", "message", default="")
    code = state.get("exitCode")
    reason = state.get("reason") or get_in(pod, "status", "reason", default="") or "Failed"
    name = pod["metadata"]["name"]
    if code is None:
        return f"pod {name} failed: {reason}{f': {told}' if told else ''}"
    return f"pod {name} failed with exit code {code} ({reason}){f': {told}' if told else ''}; its log says more"


def waiting_for(pod: Tree) -> str:
    """What a pod that does not start lacks, when waiting will not mend it; else nothing."""
    waiting = get_in(_main_status(pod), "state", "waiting") or {}
    hopeless = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
    return f"{waiting['reason']}: {waiting.get('message', '')}" if waiting.get("reason") in hopeless else ""


def has_started(pod: Tree) -> bool:
    """Whether the program runs, or has run."""
    state = get_in(_main_status(pod), "state") or {}
    return "running" in state or "terminated" in state


def _main_status(pod: Tree) -> Tree:
    statuses = get_in(pod, "status", "containerStatuses") or []
    return next((status for status in statuses if status["name"] == MAIN), {})


def _resources(start: StartPod) -> Tree:
    found: Tree = {}
    for name, (side, resource) in _RESOURCES.items():
        if name in start.resources:
            found.setdefault(side, {})[resource] = start.resources[name]
    if "acceleratorType" in start.resources:
        count = start.resources.get("acceleratorCount", "1")
        found.setdefault("limits", {})[start.resources["acceleratorType"]] = count
    return found


def _artifact_mounts(start: StartPod, place: Place) -> Iterator[Tree]:
    """The task's folder, to write; what it reads, to read."""
    root = folder_of(start)
    yield {"name": _ARTIFACTS, "mountPath": root, "subPath": root.removeprefix("/minio/")}
    seen = set()
    for entry in (start.executor_input["inputs"].get("artifacts") or {}).values():
        for artifact in entry["artifacts"]:
            uri = parse_uri(artifact["uri"])
            sub_path = f"{uri.bucket}/{uri.key}"
            if sub_path not in seen and (place.artifacts / sub_path).exists():
                seen.add(sub_path)
                path = local_path(artifact["uri"])
                yield {"name": _ARTIFACTS, "mountPath": path, "subPath": sub_path, "readOnly": True}
