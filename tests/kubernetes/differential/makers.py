"""Objects for scenarios: each shows only what matters. Metadata is `name`, `labels` and `metadata={...}`."""

from collections.abc import Mapping
from typing import Any

from flowdeck.kube.objects import Tree


def an_object(api_version: str, kind: str, name: str = "a", **fields: Any) -> Tree:
    """Any object; `metadata` and `labels` add to its metadata, other fields stand as they are."""
    metadata = {"name": name, **fields.pop("metadata", {})}
    if labels := fields.pop("labels", None):
        metadata["labels"] = labels
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def config_map(name: str = "a", **fields: Any) -> Tree:
    return an_object("v1", "ConfigMap", name, **{"data": {"k": "v"}, **fields})


def secret(name: str = "a", **fields: Any) -> Tree:
    return an_object("v1", "Secret", name, **fields)


def a_container(name: str = "main", **fields: Any) -> Tree:
    return {"name": name, "image": "image:1", **fields}


def pod_spec(*containers: Tree, **spec: Any) -> Tree:
    return {"containers": list(containers) or [a_container()], **spec}


def pod(
    name: str = "a", *containers: Tree, labels: Tree | None = None, metadata: Tree | None = None, **spec: Any
) -> Tree:
    spec = pod_spec(*containers, **spec)
    return an_object("v1", "Pod", name, labels=labels, metadata=metadata or {}, spec=spec)


def template(labels: Tree | None = None, *containers: Tree, **spec: Any) -> Tree:
    return {"metadata": {"labels": labels or {"app": "x"}}, "spec": pod_spec(*containers, **spec)}


def _workload(api_version: str, kind: str, name: str, metadata: Tree | None, spec: Tree) -> Tree:
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template(), **spec}
    return an_object(api_version, kind, name, metadata=metadata or {}, spec=spec)


def deployment(name: str = "a", metadata: Tree | None = None, **spec: Any) -> Tree:
    return _workload("apps/v1", "Deployment", name, metadata, spec)


def replica_set(name: str = "a", metadata: Tree | None = None, **spec: Any) -> Tree:
    return _workload("apps/v1", "ReplicaSet", name, metadata, spec)


def daemon_set(name: str = "a", metadata: Tree | None = None, **spec: Any) -> Tree:
    return _workload("apps/v1", "DaemonSet", name, metadata, spec)


def stateful_set(name: str = "a", metadata: Tree | None = None, **spec: Any) -> Tree:
    return _workload("apps/v1", "StatefulSet", name, metadata, {"serviceName": "svc", **spec})


def replication_controller(name: str = "a", **spec: Any) -> Tree:
    return an_object("v1", "ReplicationController", name, spec={"template": template(), **spec})


def job(name: str = "a", metadata: Tree | None = None, **spec: Any) -> Tree:
    inner = {"spec": pod_spec(restartPolicy="Never")}
    return an_object("batch/v1", "Job", name, metadata=metadata or {}, spec={"template": inner, **spec})


def cron_job(name: str = "a", **spec: Any) -> Tree:
    inner = {"spec": {"template": {"spec": pod_spec(restartPolicy="Never")}}}
    return an_object("batch/v1", "CronJob", name, spec={"schedule": "*/5 * * * *", "jobTemplate": inner, **spec})


def service(name: str = "a", labels: Tree | None = None, **spec: Any) -> Tree:
    return an_object("v1", "Service", name, labels=labels, spec={"ports": [{"port": 80}], **spec})


def claim(name: str = "a", **spec: Any) -> Tree:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return an_object("v1", "PersistentVolumeClaim", name, spec=wanted)


def volume(name: str = "{ns}-a", **spec: Any) -> Tree:
    wanted = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/x"}, **spec}
    return an_object("v1", "PersistentVolume", name, spec=wanted)


def node(name: str = "{ns}-a", **fields: Any) -> Tree:
    return an_object("v1", "Node", name, **fields)


def namespace(name: str = "{ns}-a", **fields: Any) -> Tree:
    return an_object("v1", "Namespace", name, **fields)


def role(name: str = "a", *rules: Tree) -> Tree:
    return an_object("rbac.authorization.k8s.io/v1", "Role", name, rules=list(rules) or [a_rule()])


def a_rule(**fields: Any) -> Tree:
    return {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"], **fields}


SOMEBODY: Tree = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "{ns}-somebody"}
"""Of this scenario alone: whom a binding of the whole cluster names sees it in what other scenarios are told."""


def binding(kind: str, name: str, role_kind: str, role_name: str, *subjects: Tree) -> Tree:
    return an_object(
        "rbac.authorization.k8s.io/v1",
        kind,
        name,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role_name},
        subjects=list(subjects) or [SOMEBODY],
    )


def webhook(name: str = "a.example.com", **fields: Any) -> Tree:
    return {
        "name": name,
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [
            {"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["x"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
        **fields,
    }


def definition(plural: str = "foos", schema: Tree | None = None, **version: Any) -> Tree:
    """A namespaced definition in the group `{ns}.example.com` with one version; its kind is `Foo` for `foos`."""
    kind = plural.removesuffix("s").capitalize()
    open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema or open_schema},
        **version,
    }
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    spec = {"group": "{ns}.example.com", "scope": "Namespaced", "names": names, "versions": [served]}
    return an_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.{{ns}}.example.com", spec=spec)


def custom(kind: str = "Foo", name: str = "a", **fields: Any) -> Tree:
    return an_object("{ns}.example.com/v1", kind, name, **fields)


OWNER_OF_NONE: Tree = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "nobody",
    "uid": "00000000-0000-0000-0000-000000000001",
}


def smallest() -> Mapping[str, Tree]:
    """For each stored kind the least object that is taken, by its plural."""
    rbac, storage, net = "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "networking.k8s.io/v1"
    admission = "admissionregistration.k8s.io/v1"
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}
    pod_seen = {"kind": "Pod", "namespace": "{ns}", "name": "p"}
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    attached = {"attacher": "example.com", "nodeName": "n", "source": {"persistentVolumeName": "pv"}}
    subset = {"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 80}]}
    limits = [{"type": "Container", "default": {"cpu": "1"}}]
    return {
        "configmaps": config_map(),
        "secrets": secret(data={"k": "dg=="}),
        "endpoints": an_object("v1", "Endpoints", subsets=[subset]),
        "events": an_object("v1", "Event", reason="Tested", message="said", type="Normal", involvedObject=pod_seen),
        "limitranges": an_object("v1", "LimitRange", spec={"limits": limits}),
        "namespaces": namespace(),
        "nodes": node(),
        "persistentvolumeclaims": claim(),
        "persistentvolumes": volume(),
        "pods": pod(),
        "podtemplates": an_object("v1", "PodTemplate", template=template()),
        "replicationcontrollers": replication_controller(),
        "resourcequotas": an_object("v1", "ResourceQuota", spec={"hard": {"pods": "100"}}),
        "serviceaccounts": an_object("v1", "ServiceAccount"),
        "services": service(),
        "controllerrevisions": an_object("apps/v1", "ControllerRevision", data={"a": 1}, revision=1),
        "daemonsets": daemon_set(),
        "deployments": deployment(),
        "replicasets": replica_set(),
        "statefulsets": stateful_set(),
        "horizontalpodautoscalers": an_object(
            "autoscaling/v2", "HorizontalPodAutoscaler", spec={"scaleTargetRef": target, "maxReplicas": 3}
        ),
        "jobs": job(),
        "cronjobs": cron_job(),
        "leases": an_object("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "me"}),
        "endpointslices": an_object(
            "discovery.k8s.io/v1", "EndpointSlice", addressType="IPv4", endpoints=[{"addresses": ["10.0.0.9"]}]
        ),
        "ingresses": an_object(net, "Ingress", spec={"defaultBackend": backend}),
        "ingressclasses": an_object(net, "IngressClass", "{ns}-a", spec={"controller": "example.com/c"}),
        "networkpolicies": an_object(net, "NetworkPolicy", spec={"podSelector": {}}),
        "poddisruptionbudgets": an_object(
            "policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
        ),
        "roles": role(),
        "clusterroles": an_object(rbac, "ClusterRole", "{ns}-a", rules=[a_rule()]),
        "rolebindings": binding("RoleBinding", "a", "Role", "a"),
        "clusterrolebindings": binding("ClusterRoleBinding", "{ns}-a", "ClusterRole", "{ns}-a"),
        "csidrivers": an_object(storage, "CSIDriver", "{ns}-a", spec={}),
        "csinodes": an_object(storage, "CSINode", "{ns}-a", spec={"drivers": []}),
        "csistoragecapacities": an_object(storage, "CSIStorageCapacity", storageClassName="sc"),
        "storageclasses": an_object(storage, "StorageClass", "{ns}-a", provisioner="example.com/p"),
        "volumeattachments": an_object(storage, "VolumeAttachment", "{ns}-a", spec=attached),
        "volumeattributesclasses": an_object(
            storage, "VolumeAttributesClass", "{ns}-a", driverName="d.example.com", parameters={"a": "b"}
        ),
        "mutatingwebhookconfigurations": an_object(
            admission, "MutatingWebhookConfiguration", "{ns}-a", webhooks=[webhook()]
        ),
        "validatingwebhookconfigurations": an_object(
            admission, "ValidatingWebhookConfiguration", "{ns}-a", webhooks=[webhook()]
        ),
        "validatingadmissionpolicies": an_object(
            admission,
            "ValidatingAdmissionPolicy",
            "{ns}-a",
            spec={
                "matchConstraints": {"resourceRules": webhook()["rules"]},
                "validations": [{"expression": "object.x > 1"}],
            },
        ),
        "validatingadmissionpolicybindings": an_object(
            admission,
            "ValidatingAdmissionPolicyBinding",
            "{ns}-a",
            spec={"policyName": "{ns}-a", "validationActions": ["Deny"]},
        ),
        "customresourcedefinitions": definition(),
        "priorityclasses": an_object("scheduling.k8s.io/v1", "PriorityClass", "{ns}-a", value=1000),
        "runtimeclasses": an_object("node.k8s.io/v1", "RuntimeClass", "{ns}-a", handler="h"),
    }
