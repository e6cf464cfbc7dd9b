"""Tables of every kind: columns, cells, and the forms that a Table has."""

from collections.abc import Mapping, Sequence

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import config_map, deployment, job, node, pod, service, smallest, volume
from tests.kubernetes.differential.scenario import (
    JSON,
    METADATA,
    METADATA_LIST,
    TABLE,
    Scenario,
    create,
    delete,
    events,
    get,
    merge,
    scenario,
    table,
    update,
    watch,
)
from tests.kubernetes.differential.scenes import made


def _of_kind(plural: str, obj: Tree) -> Scenario:
    marked = {**obj, "metadata": {**obj["metadata"], "labels": {"of": "{ns}"}}}
    return scenario(
        plural,
        made(plural, marked),
        table(f"{plural}/{obj['metadata']['name']}"),
        table(plural, labelSelector="of={ns}", limit=500),
    )


_RUNNING: Tree = {
    "phase": "Running",
    "podIP": "10.0.0.7",
    "podIPs": [{"ip": "10.0.0.7"}],
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [
        {
            "name": "main",
            "ready": True,
            "restartCount": 2,
            "image": "image:1",
            "imageID": "i",
            "state": {"running": {"startedAt": "2001-01-01T00:00:00Z"}},
            "lastState": {
                "terminated": {"exitCode": 1, "startedAt": "2001-01-01T00:00:00Z", "finishedAt": "2001-01-01T00:00:01Z"}
            },
        }
    ],
}


def _pod_in(name: str, status: Tree) -> Scenario:
    return scenario(
        f"a pod {name}",
        create("pods", pod()).unseen(),
        merge("pods/a/status", {"status": status}),
        table("pods/a"),
    )


def _waiting(reason: str) -> Tree:
    return {**_RUNNING["containerStatuses"][0], "ready": False, "state": {"waiting": {"reason": reason}}}


def _terminated(**how: object) -> Tree:
    ended = {"exitCode": 0, "startedAt": "2001-01-01T00:00:00Z", "finishedAt": "2001-01-01T00:00:01Z", **how}
    return {**_RUNNING["containerStatuses"][0], "ready": False, "state": {"terminated": ended}}


_SERVICES: Mapping[str, Tree] = {
    "cluster": {"selector": {"a": "b"}},
    "headless": {"clusterIP": "None"},
    "node": {"type": "NodePort", "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]},
    "balancer": {"type": "LoadBalancer"},
    "external": {"type": "ExternalName", "externalName": "example.com", "ports": None},
}


SCENARIOS: Sequence[Scenario] = [
    *(_of_kind(plural, obj) for plural, obj in smallest().items()),
    _pod_in("that runs", _RUNNING),
    _pod_in("that crashes", {"phase": "Running", "containerStatuses": [_waiting("CrashLoopBackOff")]}),
    _pod_in("that has completed", {"phase": "Succeeded", "containerStatuses": [_terminated(reason="Completed")]}),
    _pod_in("that failed", {"phase": "Failed", "containerStatuses": [_terminated(exitCode=3)]}),
    _pod_in("that was killed", {"phase": "Failed", "containerStatuses": [_terminated(exitCode=137, signal=9)]}),
    _pod_in("that was evicted", {"phase": "Failed", "reason": "Evicted"}),
    scenario(
        "a pod with init containers",
        create("pods", pod(initContainers=[{"name": "i1", "image": "i"}, {"name": "i2", "image": "i"}])).unseen(),
        table("pods/a"),
        merge(
            "pods/a/status",
            {
                "status": {
                    "initContainerStatuses": [
                        {**_terminated(reason="Completed"), "name": "i1"},
                        {**_waiting("ImagePullBackOff"), "name": "i2"},
                    ]
                }
            },
        ).unseen(),
        table("pods/a"),
    ),
    scenario(
        "a pod that ends",
        create("pods", pod(metadata={"finalizers": ["example.com/f"]}, nodeName="{ns}-none")).unseen(),
        delete("pods/a"),
        table("pods/a"),
    ),
    scenario(
        "a pod with gates",
        create(
            "pods",
            pod(schedulingGates=[{"name": "example.com/g"}], readinessGates=[{"conditionType": "example.com/ready"}]),
        ).unseen(),
        table("pods/a"),
    ),
    scenario(
        "a node that is ready",
        create("nodes", node(labels={"node-role.kubernetes.io/worker": "", "of": "{ns}"})).unseen(),
        merge(
            "nodes/{ns}-a/status",
            {
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "addresses": [{"type": "InternalIP", "address": "10.9.9.9"}],
                    "nodeInfo": {
                        "machineID": "m",
                        "systemUUID": "u",
                        "bootID": "b",
                        "kernelVersion": "6.1",
                        "osImage": "Debian",
                        "containerRuntimeVersion": "containerd://2",
                        "kubeletVersion": "v1.36.2",
                        "kubeProxyVersion": "",
                        "operatingSystem": "linux",
                        "architecture": "amd64",
                    },
                }
            },
        ),
        table("nodes/{ns}-a"),
        merge("nodes/{ns}-a", {"spec": {"unschedulable": True}}).unseen(),
        table("nodes/{ns}-a"),
    ),
    scenario(
        "services of all types",
        *(create("services", service(name, **spec)).unseen() for name, spec in _SERVICES.items()),
        table("services"),
    ),
    scenario(
        "a deployment and a job with status",
        create("deployments", deployment(replicas=3)).unseen(),
        merge(
            "deployments/a/status",
            {"status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}},
        ),
        table("deployments/a"),
        create("jobs", job(completions=3, parallelism=2)).unseen(),
        table("jobs/a"),
        create("jobs", job("b", suspend=True)).unseen(),
        table("jobs/b"),
    ),
    scenario(
        "a volume with its claim",
        create(
            "persistentvolumes", volume(claimRef={"namespace": "{ns}", "name": "c"}, storageClassName="slow")
        ).unseen(),
        table("persistentvolumes/{ns}-a"),
        merge("persistentvolumes/{ns}-a/status", {"status": {"phase": "Bound"}}).unseen(),
        table("persistentvolumes/{ns}-a"),
    ),
    scenario(
        "forms of a table",
        create("configmaps", config_map("a", labels={"x": "1"})).unseen(),
        create("configmaps", config_map("b")).unseen(),
        table("configmaps", includeObject="None"),
        table("configmaps", includeObject="Metadata"),
        table("configmaps", includeObject="Object"),
        table("configmaps", includeObject="Bad"),
        table("configmaps", limit=1).kept("page"),
        table("configmaps", limit=1, continue_="{page:metadata.continue}"),
        table("configmaps", labelSelector="x=none"),
        table("configmaps/none"),
        get("configmaps").accepting("application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
        get("configmaps").accepting("application/json;as=Table;v=v2;g=meta.k8s.io"),
        get("configmaps").accepting("application/json;as=Table;v=v2;g=meta.k8s.io", JSON),
        get("configmaps").accepting("application/yaml;as=Table;v=v1;g=meta.k8s.io"),
        get("configmaps").accepting("application/json;as=Chart;v=v1;g=meta.k8s.io"),
    ),
    scenario(
        "tables of writes",
        create("configmaps", config_map()).accepting(TABLE, JSON),
        update("configmaps/a", config_map(data={"x": "y"})).accepting(TABLE, JSON),
        delete("configmaps/a").accepting(TABLE, JSON),
    ),
    scenario(
        "a table that is watched",
        create("configmaps", config_map()).kept("a").unseen(),
        watch("configmaps", resourceVersion="0").accepting(TABLE, JSON),
        events(1),
        merge("configmaps/a", {"data": {"b": "c"}}).unseen(),
        delete("configmaps/a").unseen(),
        events(2),
    ),
    scenario(
        "metadata only",
        create("configmaps", config_map()).accepting(METADATA, JSON),
        get("configmaps/a").accepting(METADATA),
        get("configmaps").accepting(METADATA_LIST),
        get("configmaps").accepting(METADATA),
        get("configmaps/a").accepting(METADATA_LIST),
        watch("configmaps", resourceVersion="0").accepting(METADATA),
        events(1),
        merge("configmaps/a", {"data": {"b": "c"}}).accepting(METADATA),
        delete("configmaps/a").accepting(METADATA),
    ),
]
