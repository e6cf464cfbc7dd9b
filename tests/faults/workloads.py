"""What runs while the platform is killed: workloads whose pods write down what they do, and what must come of each.

A pod's program appends `start INDEX UID` and `end INDEX CODE UID` to a file of its workload outside the pod, and prints
numbered lines between the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube.kinds import DEPLOYMENT, JOB
from flowdeck.kube.objects import Kind, ObjectKey, Tree

IMAGE = "python:3.11"
NAMESPACE = "default"
RUNTIME = "faults"

_SAY = """
say() { echo "$*" >> /deeds/$DEEDS; }
say start ${JOB_COMPLETION_INDEX:-0} $POD_UID
i=0
while [ $i -lt $LINES ]; do i=$((i+1)); echo "line $i"; sleep $PAUSE; done
"""
_END = """
say end ${JOB_COMPLETION_INDEX:-0} $code $POD_UID
exit $code
"""
_FIRST_FAILS = "mkdir /deeds/$DEEDS.$JOB_COMPLETION_INDEX 2>/dev/null && code=5 || code=0"
_SERVE = """
trap 'say end 0 0 $POD_UID; exit 0' TERM
"""
_FOR_EVER = """
while true; do sleep 30 & wait $!; done
"""


def deeds_file(name: str) -> str:
    """Where the pods of a workload write; not its bare name, which laptop mode replaces by a Service's address."""
    return f"deeds_of_{name}"


@dataclass(frozen=True)
class Workload:
    """One object to create, and what must be true at its end."""

    kind: Kind
    obj: Tree
    pods: str
    """Label selector of its pods."""
    lines: int
    outcome: str = ""
    """Type of the condition that ends it; empty: it goes on for ever."""
    codes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """How often each (index, exit code) must have happened."""
    stays: bool = True
    """Whether the pods of all attempts are still there at the end."""

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(NAMESPACE, self.name)


def _pod(deeds: Path, name: str, script: str, lines: int, pause_s: float, **spec: object) -> Tree:
    env = {"DEEDS": deeds_file(name), "LINES": str(lines), "PAUSE": str(pause_s)}
    uid = {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 10,
        "containers": [
            {
                "name": "node",
                "image": IMAGE,
                "command": ["sh", "-c", script],
                "env": [*({"name": key, "value": value} for key, value in env.items()), uid],
                "volumeMounts": [{"name": "deeds", "mountPath": "/deeds"}],
            }
        ],
        "volumes": [{"name": "deeds", "hostPath": {"path": str(deeds)}}],
        **spec,
    }


def _job(name: str, pod: Tree, **spec: object) -> Tree:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**spec, "template": {"spec": pod}},
    }


def indexed_job(deeds: Path, name: str, lines: int, pause_s: float) -> Workload:
    """Four indexes, two at a time; all end well."""
    pod = _pod(deeds, name, f"{_SAY}code=0{_END}", lines, pause_s)
    obj = _job(name, pod, completionMode="Indexed", completions=4, parallelism=2)
    return Workload(JOB, obj, f"job-name={name}", lines, "Complete", {(index, 0): 1 for index in range(4)})


def job_with_back_off(deeds: Path, name: str, lines: int, pause_s: float) -> Workload:
    """Two indexes; the first pod of each fails, the one that replaces it does not."""
    pod = _pod(deeds, name, f"{_SAY}{_FIRST_FAILS}{_END}", lines, pause_s)
    obj = _job(name, pod, completionMode="Indexed", completions=2, parallelism=2, backoffLimit=4)
    codes = {(index, code): 1 for index in range(2) for code in (0, 5)}
    return Workload(JOB, obj, f"job-name={name}", lines, "Complete", codes)


def job_that_restarts(deeds: Path, name: str, lines: int, pause_s: float) -> Workload:
    """One pod whose container fails once and is started again."""
    pod = _pod(deeds, name, f"{_SAY}{_FIRST_FAILS}{_END}", lines, pause_s, restartPolicy="OnFailure")
    obj = _job(name, pod, completionMode="Indexed", completions=1, backoffLimit=4)
    return Workload(JOB, obj, f"job-name={name}", lines, "Complete", {(0, 5): 1, (0, 0): 1})


def job_that_fails(deeds: Path, name: str, lines: int, pause_s: float) -> Workload:
    """Always fails; given up after the second pod."""
    pod = _pod(deeds, name, f"{_SAY}code=3{_END}", lines, pause_s)
    return Workload(JOB, _job(name, pod, backoffLimit=1), f"job-name={name}", lines, "Failed", {(0, 3): 2})


def runtime(deeds: Path) -> Tree:
    """The ClusterTrainingRuntime of the TrainJobs here: our own, with the folder of deeds."""
    pod = _pod(deeds, "", "true", 0, 0)
    del pod["containers"][0]["env"][0]  # each TrainJob says its own
    job = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        },
    }
    return {
        "apiVersion": CLUSTER_TRAINING_RUNTIME.api_version,
        "kind": CLUSTER_TRAINING_RUNTIME.kind,
        "metadata": {"name": RUNTIME},
        "spec": {
            "mlPolicy": {"numNodes": 1},
            "template": {"spec": {"failurePolicy": {"maxRestarts": 1}, "replicatedJobs": [job]}},
        },
    }


def _train_job(name: str, script: str, lines: int, pause_s: float, nodes: int) -> Tree:
    env = {"DEEDS": deeds_file(name), "LINES": str(lines), "PAUSE": str(pause_s)}
    return {
        "apiVersion": TRAIN_JOB.api_version,
        "kind": TRAIN_JOB.kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "runtimeRef": {"name": RUNTIME},
            "trainer": {
                "numNodes": nodes,
                "command": ["sh", "-c", script],
                "env": [{"name": key, "value": value} for key, value in env.items()],
            },
        },
    }


def train_job(deeds: Path, name: str, lines: int, pause_s: float) -> Workload:
    """Two nodes that end well."""
    obj = _train_job(name, f"{_SAY}code=0{_END}", lines, pause_s, nodes=2)
    pods = f"jobset.sigs.k8s.io/jobset-name={name}"
    return Workload(TRAIN_JOB, obj, pods, lines, "Complete", {(0, 0): 1, (1, 0): 1})


def train_job_that_fails(deeds: Path, name: str, lines: int, pause_s: float) -> Workload:
    """One node that fails, and fails again after the JobSet's one restart, which clears the first pod away."""
    obj = _train_job(name, f"{_SAY}code=4{_END}", lines, pause_s, nodes=1)
    pods = f"jobset.sigs.k8s.io/jobset-name={name}"
    return Workload(TRAIN_JOB, obj, pods, lines, "Failed", {(0, 4): 2}, stays=False)


def deployment(deeds: Path, name: str, replicas: int) -> Workload:
    """Pods that run until they are stopped, and then say so."""
    pod = _pod(deeds, name, f"{_SERVE}{_SAY}{_FOR_EVER}", 1, 0, restartPolicy="Always")
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }
    return Workload(DEPLOYMENT, obj, f"app={name}", 1)


JOBS = (indexed_job, job_with_back_off, job_that_restarts, job_that_fails, train_job, train_job_that_fails)
