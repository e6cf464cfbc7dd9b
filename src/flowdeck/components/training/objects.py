"""What must exist on a fresh install: the namespace, the version, roles and the shipped runtimes."""

from collections.abc import Iterator, Sequence

from flowdeck.components.training.optimization_types import OPTIMIZATION_JOB
from flowdeck.components.training.runtimes import shipped_runtimes
from flowdeck.components.training.runtimes._base import TRAINER_VERSION
from flowdeck.components.training.settings import SERVICE_NAMESPACE
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, GROUP, TRAIN_JOB
from flowdeck.components.training.types import TRAINING_RUNTIME as NAMESPACED_RUNTIME
from flowdeck.kube.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, CONFIG_MAP, NAMESPACE, ROLE, ROLE_BINDING
from flowdeck.kube.objects import Kind, Tree

NAMESPACE_NAME = SERVICE_NAMESPACE
PUBLIC_CONFIG = "kubeflow-trainer-public"

_RBAC = "rbac.authorization.k8s.io"
_AGGREGATE = "rbac.authorization.kubeflow.org/aggregate-to-"
_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete", "deletecollection"]
_EVERYBODY = {"apiGroup": _RBAC, "kind": "Group", "name": "system:authenticated"}


def shipped_objects() -> Sequence[Tree]:
    """All of them, in an order in which they can be applied."""
    return [
        _object(NAMESPACE, NAMESPACE_NAME),
        _object(CONFIG_MAP, PUBLIC_CONFIG, NAMESPACE_NAME) | {"data": {"kubeflow_trainer_version": TRAINER_VERSION}},
        *_readable_config(),
        *_roles(),
        *_readable_runtimes(),
        *shipped_runtimes(),
    ]


def _object(kind: Kind, name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Tree:
    metadata: Tree = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _rule(resources: Sequence[str], verbs: Sequence[str], group: str = GROUP) -> Tree:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _readable_config() -> Iterator[Tree]:
    rule = _rule(["configmaps"], ["get"], group="") | {"resourceNames": [PUBLIC_CONFIG]}
    yield _object(ROLE, PUBLIC_CONFIG, NAMESPACE_NAME) | {"rules": [rule]}
    yield _object(ROLE_BINDING, PUBLIC_CONFIG, NAMESPACE_NAME) | {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": PUBLIC_CONFIG},
        "subjects": [_EVERYBODY],
    }


def _readable_runtimes() -> Iterator[Tree]:
    name = "kubeflow-trainer-runtimes-view"
    yield _object(CLUSTER_ROLE, name) | {"rules": [_rule([CLUSTER_TRAINING_RUNTIME.plural], _READ)]}
    yield _object(CLUSTER_ROLE_BINDING, name) | {
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
        "subjects": [_EVERYBODY],
    }


def _roles() -> Iterator[Tree]:
    """`kubeflow-trainer-admin`, `-edit`, `-view`, which become part of Kubeflow's roles of the same endings."""
    kinds = [TRAIN_JOB.plural, NAMESPACED_RUNTIME.plural, OPTIMIZATION_JOB.plural]
    status = _rule([f"{TRAIN_JOB.plural}/status", f"{OPTIMIZATION_JOB.plural}/status"], ["get"])
    to_admin = {f"{_AGGREGATE}kubeflow-trainer-admin": "true"}
    yield _object(CLUSTER_ROLE, "kubeflow-trainer-admin", labels={f"{_AGGREGATE}kubeflow-admin": "true"}) | {
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": to_admin}]},
    }
    edit_labels = {f"{_AGGREGATE}kubeflow-edit": "true", **to_admin}
    yield _object(CLUSTER_ROLE, "kubeflow-trainer-edit", labels=edit_labels) | {"rules": [_rule(kinds, _WRITE), status]}
    yield _object(CLUSTER_ROLE, "kubeflow-trainer-view", labels={f"{_AGGREGATE}kubeflow-view": "true"}) | {
        "rules": [_rule(kinds, _READ), status]
    }
