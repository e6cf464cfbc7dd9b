"""Deployments, ReplicaSets, StatefulSets: what they make, how they roll, when they are ready. The kubelet is played."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import (
    a_container,
    deployment,
    pod,
    replica_set,
    replication_controller,
    stateful_set,
    template,
)
from tests.kubernetes.differential.scenario import (
    Step,
    create,
    delete,
    merge,
    pods_become,
    reached,
    scenario,
    state,
    until_gone,
)
from tests.kubernetes.differential.themes.jobs import OF_NOBODY


def of_image(image: str = "image:1") -> Tree:
    return template(None, a_container(image=image), schedulerName=OF_NOBODY)


def a_deployment(**spec: Any) -> Tree:
    return deployment(**{"template": of_image(), "replicas": 2, **spec})


def a_stateful_set(**spec: Any) -> Tree:
    return stateful_set(**{"template": of_image(), "replicas": 2, **spec})


def to_image(path: str, image: str = "image:2") -> Step:
    return merge(path, {"spec": {"template": of_image(image)}}).unseen()


DEPLOYED: Sequence[Step] = (state("deployments", "replicasets", "pods"),)
STATEFUL: Sequence[Step] = (state("statefulsets", "pods", "controllerrevisions"),)
READY = reached("deployments/a", "status.availableReplicas", 2)


def _running(**spec: Any) -> Sequence[Step]:
    """A Deployment whose two pods are ready."""
    return create("deployments", a_deployment(**spec)).unseen(), pods_become("running", 2), READY


SCENARIOS = [
    scenario("a deployment begins", create("deployments", a_deployment()), DEPLOYED, whole=True),
    scenario("a deployment is ready", _running(), DEPLOYED, whole=True),
    scenario(
        "one pod is not ready any more",
        _running(),
        pods_become("unready", 1),
        reached("deployments/a", "status.unavailableReplicas", 1),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "scaled up and down",
        _running(),
        merge("deployments/a/scale", {"spec": {"replicas": 3}}).unseen(),
        reached("deployments/a", "status.replicas", 3),
        DEPLOYED,
        merge("deployments/a/scale", {"spec": {"replicas": 1}}).unseen(),
        reached("deployments/a", "status.replicas", 1),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "rolling update",
        _running(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        to_image("deployments/a"),
        reached("deployments/a", "status.updatedReplicas", 1),
        DEPLOYED,
        pods_become("running", 1),
        reached("deployments/a", "status.updatedReplicas", 2),
        pods_become("running", 1),
        reached("deployments/a", "status.replicas", 2),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "rolling update without surge",
        _running(strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        to_image("deployments/a"),
        reached("deployments/a", "status.updatedReplicas", 1),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "recreate",
        _running(strategy={"type": "Recreate", "rollingUpdate": None}),
        to_image("deployments/a"),
        reached("deployments/a", "status.updatedReplicas", 2),
        DEPLOYED,
        pods_become("running", 2),
        READY,
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "paused",
        _running(),
        merge("deployments/a", {"spec": {"paused": True}}).unseen(),
        to_image("deployments/a"),
        reached("deployments/a", "status.observedGeneration", 3),
        DEPLOYED,
        merge("deployments/a", {"spec": {"paused": None}}).unseen(),
        reached("deployments/a", "status.updatedReplicas", 1),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "rolled back",
        _running(strategy={"type": "Recreate", "rollingUpdate": None}),
        to_image("deployments/a"),
        pods_become("running", 2),
        READY,
        to_image("deployments/a", "image:1"),
        pods_become("running", 2),
        READY,
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "history is kept short",
        _running(strategy={"type": "Recreate", "rollingUpdate": None}, revisionHistoryLimit=0),
        to_image("deployments/a"),
        pods_become("running", 2),
        READY,
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "no progress in time",
        create("deployments", a_deployment(progressDeadlineSeconds=2)).unseen(),
        reached("deployments/a", "status.conditions.1.reason", "ProgressDeadlineExceeded"),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "of a size of none",
        create("deployments", a_deployment(replicas=0)).unseen(),
        reached("deployments/a", "status.observedGeneration", 1),
        DEPLOYED,
        whole=True,
    ),
    *(
        scenario(
            f"a deployment is deleted {policy}",
            _running(),
            delete("deployments/a", {"propagationPolicy": policy}).unseen(),
            until_gone("deployments/a"),
            state("replicasets", "pods"),
            whole=True,
        )
        for policy in ("Background", "Foreground", "Orphan")
    ),
    scenario(
        "a deployment adopts",
        create(
            "replicasets",
            replica_set("old", template=of_image(), replicas=1, metadata={"labels": {"app": "x"}}),
        ).unseen(),
        pods_become("running", 1),
        create("deployments", a_deployment(replicas=1)).unseen(),
        reached("deployments/a", "status.availableReplicas", 1),
        DEPLOYED,
        whole=True,
    ),
    scenario(
        "a replica set",
        create("replicasets", replica_set(template=of_image(), replicas=2)).unseen(),
        pods_become("running", 1),
        reached("replicasets/a", "status.readyReplicas", 1),
        state("replicasets", "pods"),
        merge("replicasets/a", {"spec": {"replicas": 1}}).unseen(),
        reached("replicasets/a", "status.replicas", 1),
        state("replicasets", "pods"),
        whole=True,
    ),
    scenario(
        "a replica set adopts and lets go",
        create("pods", pod("mine", labels={"app": "x"}, schedulerName=OF_NOBODY)).unseen(),
        create("replicasets", replica_set(template=of_image(), replicas=1)).unseen(),
        reached("replicasets/a", "status.replicas", 1),
        state("replicasets", "pods"),
        merge("pods/mine", {"metadata": {"labels": {"app": "other"}}}).unseen(),
        pods_become("running", 1, "app=x"),
        reached("replicasets/a", "status.readyReplicas", 1),
        state("replicasets", "pods"),
        whole=True,
    ),
    scenario(
        "a failed pod is replaced",
        create("replicasets", replica_set(template=of_image(), replicas=1)).unseen(),
        pods_become("failed", 1),
        pods_become("running", 1),
        reached("replicasets/a", "status.readyReplicas", 1),
        state("replicasets", "pods"),
        whole=True,
    ),
    scenario(
        "a set that a quota holds back",
        create(
            "resourcequotas",
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}},
        ).unseen(),
        reached("resourcequotas/q", "status.used.pods", "0"),
        create("replicasets", replica_set(template=of_image(), replicas=2)).unseen(),
        reached("replicasets/a", "status.conditions.0.type", "ReplicaFailure"),
        state("replicasets", "resourcequotas", events=False),
        whole=True,
    ),
    scenario(
        "a replication controller",
        create("replicationcontrollers", replication_controller(template=of_image(), replicas=1)).unseen(),
        pods_become("running", 1),
        reached("replicationcontrollers/a", "status.readyReplicas", 1),
        state("replicationcontrollers", "pods"),
        whole=True,
    ),
    scenario(
        "a stateful set, one after the other",
        create("statefulsets", a_stateful_set()).unseen(),
        reached("statefulsets/a", "status.replicas", 1),
        STATEFUL,
        pods_become("running", 1),
        pods_become("running", 1),
        reached("statefulsets/a", "status.availableReplicas", 2),
        STATEFUL,
        whole=True,
    ),
    scenario(
        "a stateful set, all at once",
        create("statefulsets", a_stateful_set(podManagementPolicy="Parallel", ordinals={"start": 3})).unseen(),
        pods_become("running", 2),
        reached("statefulsets/a", "status.availableReplicas", 2),
        STATEFUL,
        merge("statefulsets/a", {"spec": {"replicas": 1}}).unseen(),
        reached("statefulsets/a", "status.replicas", 1),
        STATEFUL,
        whole=True,
    ),
    scenario(
        "a stateful set rolls",
        create("statefulsets", a_stateful_set(podManagementPolicy="Parallel")).unseen(),
        pods_become("running", 2),
        reached("statefulsets/a", "status.availableReplicas", 2),
        to_image("statefulsets/a"),
        pods_become("running", 1),
        pods_become("running", 1),
        reached("statefulsets/a", "status.availableReplicas", 2),
        STATEFUL,
        whole=True,
    ),
    scenario(
        "a stateful set by partition",
        create(
            "statefulsets",
            a_stateful_set(
                podManagementPolicy="Parallel",
                updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
            ),
        ).unseen(),
        pods_become("running", 2),
        reached("statefulsets/a", "status.availableReplicas", 2),
        to_image("statefulsets/a"),
        pods_become("running", 1),
        reached("statefulsets/a", "status.updatedReplicas", 1),
        STATEFUL,
        whole=True,
    ),
    scenario(
        "a stateful set, updated when deleted",
        create("statefulsets", a_stateful_set(replicas=1, updateStrategy={"type": "OnDelete"})).unseen(),
        pods_become("running", 1),
        to_image("statefulsets/a"),
        reached("statefulsets/a", "status.observedGeneration", 2),
        STATEFUL,
        delete("pods/a-0").unseen(),
        pods_become("running", 1),
        reached("statefulsets/a", "status.updatedReplicas", 1),
        STATEFUL,
        whole=True,
    ),
    scenario(
        "a stateful set with claims",
        create(
            "statefulsets",
            a_stateful_set(
                replicas=1,
                persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"},
                volumeClaimTemplates=[
                    {
                        "metadata": {"name": "data"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "storageClassName": "none",
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            ),
        ).unseen(),
        pods_become("running", 1),
        reached("statefulsets/a", "status.availableReplicas", 1),
        state("statefulsets", "pods", "persistentvolumeclaims"),
        whole=True,
    ),
]
