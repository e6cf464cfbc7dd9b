"""What a fresh install has for pipelines: the namespace, the account that runs use, roles.

Source: kubeflow/pipelines (manifests/kustomize/base: pipeline-runner, kubeflow-pipelines-edit, -view)
"""

from collections.abc import Iterator, Sequence

from flowdeck.components.pipelines.kinds import GROUP
from flowdeck.components.pipelines.settings import DEFAULT_SERVICE_ACCOUNT, NAMESPACE
from flowdeck.kube import kinds
from flowdeck.kube.objects import Kind, Tree

_RBAC = "rbac.authorization.k8s.io"
_AGGREGATE = "rbac.authorization.kubeflow.org/aggregate-to-"
_READ = ("get", "list", "watch")
_WRITE = (*_READ, "create", "update", "patch", "delete")
_RESOURCES = ("pipelines", "pipelineversions", "experiments", "runs", "jobs")
"""As the REST surface asks for them, and the two kinds; a job is a recurring run."""
_USES = (*_WRITE, "archive", "unarchive", "terminate", "retry", "enable", "disable", "readArtifact", "reportMetrics")


def shipped_objects() -> Sequence[Tree]:
    """All of them, in an order in which they can be applied."""
    return [_object(kinds.NAMESPACE, NAMESPACE), *_roles(), *_runner()]


def _object(kind: Kind, name: str, namespace: str = "", labels: dict[str, str] | None = None) -> Tree:
    metadata: Tree = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Tree:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _roles() -> Iterator[Tree]:
    """`kubeflow-pipelines-edit` and `-view`, which become part of Kubeflow's roles of the same endings."""
    edit = [_rule(GROUP, _RESOURCES, _USES)]
    view = [_rule(GROUP, _RESOURCES, (*_READ, "readArtifact")), _rule(GROUP, ["viewers"], ["get"])]
    for ending, rules in (("edit", edit), ("view", view)):
        labels = {f"{_AGGREGATE}kubeflow-{ending}": "true"}
        yield _object(kinds.CLUSTER_ROLE, f"kubeflow-pipelines-{ending}", labels=labels) | {"rules": rules}


def _runner() -> Iterator[Tree]:
    """The account of a run's pods, and what they may do beside it: in their namespace, no more."""
    name = DEFAULT_SERVICE_ACCOUNT
    rules = [
        _rule("", ["configmaps"], _READ),
        _rule("", ["persistentvolumeclaims", "services"], _WRITE),
        _rule("", ["pods", "pods/log", "pods/exec"], _WRITE),
        _rule("apps", ["deployments", "replicasets"], _WRITE),
        _rule("batch", ["jobs"], _WRITE),
        _rule("trainer.kubeflow.org", ["trainjobs"], _WRITE),
        _rule("trainer.kubeflow.org", ["trainingruntimes"], _READ),
        _rule(GROUP, _RESOURCES, _USES),
    ]
    yield _object(kinds.SERVICE_ACCOUNT, name, NAMESPACE)
    yield _object(kinds.ROLE, name, NAMESPACE) | {"rules": rules}
    yield _object(kinds.ROLE_BINDING, name, NAMESPACE) | {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
    }
