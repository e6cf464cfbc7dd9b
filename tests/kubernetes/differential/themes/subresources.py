"""Status, scale, binding, eviction, tokens, approval, resize; and what streams answer where no node is."""

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import (
    an_object,
    claim,
    config_map,
    custom,
    daemon_set,
    definition,
    deployment,
    job,
    node,
    pod,
    replica_set,
    replication_controller,
    service,
    stateful_set,
    volume,
)
from tests.kubernetes.differential.scenario import (
    create,
    delete,
    get,
    json_patch,
    merge,
    request,
    scenario,
    strategic,
    update,
)
from tests.kubernetes.differential.scenes import made

_FOO = "/apis/{ns}.example.com/v1/namespaces/{ns}/foos"


def _scale(replicas: object, name: str = "a", **metadata: object) -> Tree:
    return an_object(
        "autoscaling/v1", "Scale", name, metadata={"namespace": "{ns}", **metadata}, spec={"replicas": replicas}
    )


def _binding(target: Tree, name: str = "a") -> Tree:
    return an_object("v1", "Binding", name, target=target)


def _eviction(name: str = "a", **fields: object) -> Tree:
    return an_object("policy/v1", "Eviction", name, **fields)


_HAS_STATUS: dict[str, Tree] = {
    "pods": pod(),
    "services": service(),
    "deployments": deployment(),
    "replicasets": replica_set(),
    "statefulsets": stateful_set(),
    "daemonsets": daemon_set(),
    "replicationcontrollers": replication_controller(),
    "jobs": job(),
    "nodes": node(),
    "persistentvolumes": volume(),
    "persistentvolumeclaims": claim(),
}
_STATUSES: dict[str, Tree] = {
    "pods": {"phase": "Running", "message": "m"},
    "services": {"loadBalancer": {"ingress": [{"ip": "10.1.1.1"}]}},
    "deployments": {"replicas": 2, "observedGeneration": 1},
    "replicasets": {"replicas": 2, "readyReplicas": 1},
    "statefulsets": {"replicas": 2, "currentRevision": "r"},
    "daemonsets": {"currentNumberScheduled": 1, "desiredNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": 0},
    "replicationcontrollers": {"replicas": 2},
    "jobs": {"ready": 1},
    "nodes": {"capacity": {"cpu": "2"}, "conditions": [{"type": "Ready", "status": "True"}]},
    "persistentvolumes": {"phase": "Released"},
    "persistentvolumeclaims": {"phase": "Bound", "capacity": {"storage": "1Gi"}},
}

SCENARIOS = [
    *(
        scenario(
            f"status of {plural}",
            create(plural, obj).unseen(),
            get(f"{plural}/{obj['metadata']['name']}/status"),
            merge(
                f"{plural}/{obj['metadata']['name']}/status",
                {"status": _STATUSES[plural], "spec": {"x": 1}, "metadata": {"labels": {"a": "b"}}},
            ),
            update(f"{plural}/{obj['metadata']['name']}/status", {**obj, "status": _STATUSES[plural]}),
            merge(f"{plural}/{obj['metadata']['name']}", {"status": None, "metadata": {"annotations": {"n": "1"}}}),
            create(f"{plural}/{obj['metadata']['name']}/status", obj),
            delete(f"{plural}/{obj['metadata']['name']}/status"),
            get(f"{plural}/none/status"),
            update(f"{plural}/none/status", {**obj, "metadata": {"name": "none"}}),
        )
        for plural, obj in _HAS_STATUS.items()
    ),
    scenario(
        "status that is wrong",
        create("pods", pod()).unseen(),
        create("deployments", deployment()).unseen(),
        create("jobs", job()).unseen(),
        merge("pods/a/status", {"status": {"phase": 5}}),
        merge("pods/a/status", {"status": {"unknown": 5}}),
        merge("deployments/a/status", {"status": {"replicas": -1}}),
        merge("deployments/a/status", {"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3}}),
        merge("jobs/a/status", {"status": {"active": -1}}),
        merge("jobs/a/status", {"status": {"completionTime": "2001-01-01T00:00:00Z"}}),
        merge("jobs/a/status", {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}),
    ),
    *(
        scenario(
            f"scale of {plural}",
            create(plural, obj).unseen(),
            get(f"{plural}/a/scale"),
            update(f"{plural}/a/scale", _scale(3)),
            merge(f"{plural}/a/scale", {"spec": {"replicas": 4}}),
            strategic(f"{plural}/a/scale", {"spec": {"replicas": 5}}),
            json_patch(f"{plural}/a/scale", ("replace", "/spec/replicas", 6)),
            merge(f"{plural}/a/scale", {"spec": {"replicas": -1}}),
            merge(f"{plural}/a/scale", {"spec": {"replicas": "x"}}),
            merge(f"{plural}/a/scale", {"spec": {"replicas": 7}}, dryRun="All"),
            update(f"{plural}/a/scale", _scale(3, "b")),
            update(f"{plural}/a/scale", _scale(3, resourceVersion="1")),
            update(f"{plural}/a/scale", {**_scale(3), "kind": "Other"}),
            get(f"{plural}/none/scale"),
            merge(f"{plural}/none/scale", {"spec": {"replicas": 1}}),
            get(f"{plural}/a"),
        )
        for plural, obj in {
            "deployments": deployment(),
            "replicasets": replica_set(),
            "statefulsets": stateful_set(),
            "replicationcontrollers": replication_controller(),
        }.items()
    ),
    scenario("scale of what has none", create("daemonsets", daemon_set()).unseen(), get("daemonsets/a/scale")),
    scenario(
        "scale and status of custom objects",
        made(
            "customresourcedefinitions",
            definition(
                subresources={
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                }
            ),
        ),
        create(_FOO, custom(spec={"replicas": 2}, status={"replicas": 9})),
        get(f"{_FOO}/a/scale"),
        merge(f"{_FOO}/a/status", {"status": {"replicas": 1, "selector": "a=b"}, "spec": {"replicas": 8}}),
        update(f"{_FOO}/a/scale", _scale(5)),
        merge(f"{_FOO}/a/scale", {"spec": {"replicas": 6}}),
        merge(f"{_FOO}/a/scale", {"spec": {"replicas": -6}}),
        merge(f"{_FOO}/a", {"status": {"replicas": 77}}),
        create(_FOO, custom(name="b")),
        get(f"{_FOO}/b/scale"),
        merge(f"{_FOO}/b/scale", {"spec": {"replicas": 1}}),
        get(f"{_FOO}/b"),
        get(f"{_FOO}/none/scale"),
    ),
    scenario(
        "binding",
        create("nodes", node()).unseen(),
        create("pods", pod()).unseen(),
        create("pods/a/binding", _binding({"kind": "Node", "name": ""})),
        create("pods/a/binding", _binding({"kind": "Pod", "name": "{ns}-a"})),
        create("pods/a/binding", _binding({"kind": "Node", "name": "{ns}-a"}, "other")),
        create("pods/a/binding", _binding({"kind": "Node", "name": "{ns}-a"}), dryRun="All"),
        create("pods/a/binding", _binding({"kind": "Node", "name": "{ns}-a"})),
        create("pods/a/binding", _binding({"kind": "Node", "name": "{ns}-a"})),
        get("pods/a"),
        create("pods", pod("b")).unseen(),
        create("bindings", _binding({"kind": "Node", "name": "{ns}-a"}, "b")),
        create("pods/none/binding", _binding({"kind": "Node", "name": "{ns}-a"}, "none")),
        create("pods", pod("gated", schedulingGates=[{"name": "example.com/g"}])).unseen(),
        create("pods/gated/binding", _binding({"kind": "Node", "name": "{ns}-a"}, "gated")),
        get("pods/a/binding"),
    ),
    scenario(
        "eviction",
        create("pods", pod(labels={"app": "x"})).unseen(),
        create("pods/a/eviction", _eviction("b")),
        create("pods/a/eviction", _eviction(deleteOptions={"dryRun": ["All"]})),
        create("pods/a/eviction", _eviction(), dryRun="All"),
        create("pods/a/eviction", _eviction(deleteOptions={"preconditions": {"uid": "x"}})),
        create("pods/a/eviction", {**_eviction(), "apiVersion": "policy/v1beta1"}),
        create("pods/a/eviction", _eviction()),
        get("pods/a"),
        create("pods/none/eviction", _eviction("none")),
        create("pods", pod("kept", labels={"app": "y"}, nodeName="{ns}-n")).unseen(),
        create(
            "poddisruptionbudgets",
            an_object(
                "policy/v1",
                "PodDisruptionBudget",
                spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "y"}}},
            ),
        ).unseen(),
        merge(
            "pods/kept/status",
            {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
        ).unseen(),
        create("pods/kept/eviction", _eviction("kept")),
        merge(
            "poddisruptionbudgets/a/status",
            {
                "status": {
                    "observedGeneration": 1,
                    "disruptionsAllowed": 1,
                    "currentHealthy": 2,
                    "desiredHealthy": 1,
                    "expectedPods": 2,
                }
            },
        ).unseen(),
        create("pods/kept/eviction", _eviction("kept")),
        get("poddisruptionbudgets/a"),
    ),
    scenario(
        "ephemeral containers and resize",
        create("pods", pod()).unseen(),
        get("pods/a/ephemeralcontainers"),
        strategic("pods/a/ephemeralcontainers", {"spec": {"ephemeralContainers": [{"name": "d", "image": "d"}]}}),
        strategic("pods/a/ephemeralcontainers", {"spec": {"ephemeralContainers": [{"name": "d", "image": "e"}]}}),
        get("pods/a/resize"),
        merge("pods/a/resize", {"spec": {"containers": []}}),
    ),
    scenario(
        "streams without a node",
        create("pods", pod()).unseen(),
        create("pods", pod("lost", nodeName="{ns}-none")).unseen(),
        get("pods/a/log"),
        get("pods/a/log", container="none"),
        get("pods/a/log", container="main"),
        get("pods/a/log", tailLines=-1),
        get("pods/a/log", sinceSeconds=0),
        get("pods/a/log", sinceSeconds=1, sinceTime="2001-01-01T00:00:00Z"),
        get("pods/a/log", limitBytes=0),
        get("pods/a/log", stream="Middle"),
        get("pods/a/log", tailLines="x"),
        get("pods/none/log"),
        get("pods/lost/log"),
        request("POST", "pods/a/exec", command="ls"),
        request("POST", "pods/a/exec"),
        request("POST", "pods/none/exec", command="ls"),
        get("pods/a/attach"),
        get("pods/a/portforward"),
        get("pods/a/proxy/"),
        get("services/none/proxy/"),
        create("services", service()).unseen(),
        get("services/a/proxy/"),
        get("services/a:90/proxy/"),
        get("/api/v1/nodes/{ns}-none/proxy/healthz"),
    ),
    scenario(
        "tokens of accounts",
        create(
            "serviceaccounts/default/token",
            an_object("authentication.k8s.io/v1", "TokenRequest", "default", spec={"audiences": ["x"]}),
        ),
        create("serviceaccounts/default/token", {"spec": {}}),
        create("serviceaccounts/default/token", {"spec": {"expirationSeconds": 60}}),
        create("serviceaccounts/default/token", {"spec": {"expirationSeconds": 99999999999}}),
        create("serviceaccounts/none/token", {"spec": {}}),
        create(
            "serviceaccounts/default/token",
            {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}},
        ),
        create("serviceaccounts/default/token", {"spec": {"boundObjectRef": {"kind": "ConfigMap", "name": "none"}}}),
        get("serviceaccounts/default/token"),
    ),
    scenario(
        "parts of what has none",
        create("configmaps", config_map()).unseen(),
        *(get(f"configmaps/a/{part}") for part in ("status", "scale", "log", "finalize")),
        update("configmaps/a/status", config_map()),
        merge("configmaps/a/status", {}),
    ),
]
