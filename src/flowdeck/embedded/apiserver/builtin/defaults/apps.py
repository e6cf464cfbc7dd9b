"""Defaults of Deployments, ReplicaSets, StatefulSets, DaemonSets and ReplicationControllers.

Source: k8s.io/kubernetes (pkg/apis/apps/v1/defaults.go, pkg/apis/core/v1/defaults.go).
"""

from flowdeck.embedded.apiserver.builtin.defaults.pods import default_pod_template
from flowdeck.kube.objects import Tree

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""An annotation of DaemonSets: how often their template was changed."""


def default_deployment(deployment: Tree) -> None:
    spec = deployment.setdefault("spec", {})
    default_pod_template(spec.setdefault("template", {}))
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def default_replica_set(replica_set: Tree) -> None:
    spec = replica_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_pod_template(spec.setdefault("template", {}))


def default_replication_controller(controller: Tree) -> None:
    spec = controller.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    template = spec.get("template")
    if template is None:
        return
    default_pod_template(template)
    if labels := template["metadata"].get("labels"):
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        if not controller["metadata"].get("labels"):
            controller["metadata"]["labels"] = dict(labels)


def default_stateful_set(stateful_set: Tree) -> None:
    spec = stateful_set.setdefault("spec", {})
    default_pod_template(spec.setdefault("template", {}))
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {}).setdefault("partition", 0)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("metadata", {})
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def default_daemon_set(daemon_set: Tree) -> None:
    spec = daemon_set.setdefault("spec", {})
    default_pod_template(spec.setdefault("template", {}))
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)

    annotations = daemon_set["metadata"].get("annotations") or {}
    daemon_set["metadata"]["annotations"] = {TEMPLATE_GENERATION: "0", **annotations}


def first_template_generation(daemon_set: Tree) -> None:
    daemon_set["metadata"]["annotations"][TEMPLATE_GENERATION] = "1"


def keep_template_generation(daemon_set: Tree, old: Tree) -> None:
    """A write of the status does not reach it."""
    was = (old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION, "1")
    daemon_set["metadata"]["annotations"][TEMPLATE_GENERATION] = was


def count_template_generation(daemon_set: Tree, old: Tree) -> None:
    was = int((old["metadata"].get("annotations") or {}).get(TEMPLATE_GENERATION) or 0)
    is_new = daemon_set["spec"].get("template") != old["spec"].get("template")
    daemon_set["metadata"]["annotations"][TEMPLATE_GENERATION] = str(was + is_new)


def default_pod_template_object(template: Tree) -> None:
    """The PodTemplate kind."""
    default_pod_template(template.setdefault("template", {}))
