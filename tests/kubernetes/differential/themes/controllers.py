"""Other controllers by their end states: garbage, namespaces, endpoints, quotas, scaling, budgets, volumes."""

from collections.abc import Mapping, Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import (
    a_container,
    an_object,
    claim,
    config_map,
    cron_job,
    job,
    namespace,
    node,
    pod,
    replica_set,
    secret,
    service,
    volume,
)
from tests.kubernetes.differential.scenario import (
    Step,
    create,
    delete,
    get,
    json_patch,
    merge,
    pods_become,
    reached,
    scenario,
    state,
    until,
    until_gone,
)
from tests.kubernetes.differential.themes.jobs import OF_NOBODY
from tests.kubernetes.differential.themes.workloads import a_deployment, of_image


def a_pod(name: str = "a", *containers: Tree, **spec: Any) -> Tree:
    return pod(name, *containers, labels={"app": "x"}, schedulerName=OF_NOBODY, **spec)


A_NODE = create("nodes", node("{ns}-n")).unseen()
"""Endpoints name the node of their pod, which must be there."""
NODE_GOES = delete("nodes/{ns}-n").unseen()


def on_node(name: str, *containers: Tree, **spec: Any) -> Step:
    return create("pods", a_pod(name, *containers, nodeName="{ns}-n", **spec)).unseen()


def owned_by(*owners: str, name: str = "child", **how: Any) -> Tree:
    """Owned by what was kept under these labels."""
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": f"{{{owner}:metadata.uid}}", **how}
        for owner in owners
    ]
    return config_map(name, metadata={"ownerReferences": references})


def owner(name: str) -> Step:
    return create("configmaps", config_map(name)).kept(name).unseen()


SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}


def scaler(**spec: Any) -> Tree:
    return an_object(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={"scaleTargetRef": SCALED, "minReplicas": 2, "maxReplicas": 4, **spec},
    )


def budget(**spec: Any) -> Tree:
    selector = {"matchLabels": {"app": "x"}}
    return an_object("policy/v1", "PodDisruptionBudget", spec={"selector": selector, **spec})


def quota(hard: Tree, **spec: Any) -> Tree:
    return an_object("v1", "ResourceQuota", "q", spec={"hard": hard, **spec})


BUDGETS: Mapping[str, Tree] = {
    "available": {"minAvailable": 1},
    "available percent": {"minAvailable": "50%"},
    "unavailable": {"maxUnavailable": 1},
    "unavailable percent": {"maxUnavailable": "67%"},
}
ENDPOINTS: Sequence[Step] = (state("endpoints", "endpointslices"),)
WEB = service(selector={"app": "x"}, ports=[{"name": "http", "port": 80, "targetPort": 8080}])

SCENARIOS = [
    scenario(
        "one of two owners goes",
        owner("one"),
        owner("two"),
        create("configmaps", owned_by("one", "two")).unseen(),
        delete("configmaps/one", {"propagationPolicy": "Background"}).unseen(),
        state("configmaps"),
        delete("configmaps/two", {"propagationPolicy": "Background"}).unseen(),
        until_gone("configmaps/child"),
        state("configmaps"),
        whole=True,
    ),
    scenario(
        "a child of nobody",
        create(
            "configmaps",
            config_map(
                metadata={
                    "ownerReferences": [
                        {
                            "apiVersion": "v1",
                            "kind": "ConfigMap",
                            "name": "nobody",
                            "uid": "00000000-0000-0000-0000-000000000001",
                        }
                    ]
                }
            ),
        ).unseen(),
        until_gone("configmaps/a"),
        state("configmaps"),
        whole=True,
    ),
    scenario(
        "three generations in the foreground",
        owner("one"),
        create("configmaps", owned_by("one", name="two", blockOwnerDeletion=True)).kept("two").unseen(),
        create("configmaps", owned_by("two", name="three", blockOwnerDeletion=True)).unseen(),
        delete("configmaps/one", {"propagationPolicy": "Foreground"}).unseen(),
        until_gone("configmaps/one"),
        state("configmaps"),
        whole=True,
    ),
    scenario(
        "the foreground waits for who blocks",
        owner("one"),
        create("configmaps", owned_by("one", name="blocks", blockOwnerDeletion=True)).unseen(),
        merge("configmaps/blocks", {"metadata": {"finalizers": ["example.com/f"]}}).unseen(),
        create("configmaps", owned_by("one", name="does-not")).unseen(),
        delete("configmaps/one", {"propagationPolicy": "Foreground"}).unseen(),
        until_gone("configmaps/does-not"),
        state("configmaps"),
        whole=True,
    ),
    scenario(
        "grandchildren of an orphaning owner stay",
        owner("one"),
        create("configmaps", owned_by("one", name="two")).kept("two").unseen(),
        create("configmaps", owned_by("two", name="three")).unseen(),
        delete("configmaps/one", {"propagationPolicy": "Orphan"}).unseen(),
        until_gone("configmaps/one"),
        state("configmaps"),
        whole=True,
    ),
    scenario(
        "a namespace goes with all that is in it",
        create("namespaces", namespace("{ns}-x")).unseen(),
        create("/api/v1/namespaces/{ns}-x/configmaps", config_map()).unseen(),
        create("/api/v1/namespaces/{ns}-x/secrets", secret()).unseen(),
        create("/apis/apps/v1/namespaces/{ns}-x/deployments", a_deployment()).unseen(),
        delete("namespaces/{ns}-x"),
        until_gone("namespaces/{ns}-x"),
        get("/api/v1/namespaces/{ns}-x/configmaps"),
        whole=True,
    ),
    scenario(
        "a namespace waits for a finalizer",
        create("namespaces", namespace("{ns}-x")).unseen(),
        create("/api/v1/namespaces/{ns}-x/configmaps", config_map(metadata={"finalizers": ["example.com/f"]})).unseen(),
        delete("namespaces/{ns}-x").unseen(),
        reached("namespaces/{ns}-x", "status.conditions.4.status", "True"),
        state("namespaces/{ns}-x", events=False),
        create("/api/v1/namespaces/{ns}-x/configmaps", config_map("late")),
        json_patch("/api/v1/namespaces/{ns}-x/configmaps/a", ("remove", "/metadata/finalizers")).unseen(),
        until_gone("namespaces/{ns}-x"),
        whole=True,
    ),
    scenario("endpoints of nobody", create("services", WEB).unseen(), ENDPOINTS, whole=True),
    scenario(
        "endpoints",
        A_NODE,
        create("services", WEB).unseen(),
        on_node("a"),
        on_node("b"),
        pods_become("running", 2),
        reached("endpoints/a", "subsets.0.addresses.1.targetRef.kind", "Pod"),
        ENDPOINTS,
        pods_become("unready", 1),
        reached("endpoints/a", "subsets.0.notReadyAddresses.0.targetRef.kind", "Pod"),
        ENDPOINTS,
        NODE_GOES,
        whole=True,
    ),
    scenario(
        "endpoints of a headless service",
        A_NODE,
        create(
            "services",
            service(
                selector={"app": "x"},
                clusterIP="None",
                publishNotReadyAddresses=True,
                ports=[{"port": 80, "targetPort": "web"}],
            ),
        ).unseen(),
        on_node("a"),
        on_node("b", a_container(ports=[{"name": "web", "containerPort": 81}]), hostname="b", subdomain="a"),
        pods_become("unready", 2),
        reached("endpoints/a", "subsets.1.addresses.0.targetRef.kind", "Pod"),
        ENDPOINTS,
        NODE_GOES,
        whole=True,
    ),
    scenario(
        "endpoints leave who is over",
        A_NODE,
        create("services", WEB).unseen(),
        on_node("a"),
        pods_become("running", 1),
        reached("endpoints/a", "subsets.0.addresses.0.targetRef.kind", "Pod"),
        pods_become("succeeded", 1),
        ENDPOINTS,
        NODE_GOES,
        whole=True,
    ),
    scenario(
        "a service without a selector is mirrored",
        create("services", service()).unseen(),
        create(
            "endpoints",
            an_object("v1", "Endpoints", subsets=[{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 80}]}]),
        ).unseen(),
        ENDPOINTS,
        whole=True,
    ),
    scenario(
        "endpoints go with their service",
        create("services", WEB).unseen(),
        reached("endpoints/a", "metadata.name", "a"),
        delete("services/a").unseen(),
        until_gone("endpoints/a"),
        ENDPOINTS,
        whole=True,
    ),
    scenario(
        "quota is counted",
        create("configmaps", config_map()).unseen(),
        create("pods", a_pod()).unseen(),
        create(
            "resourcequotas", quota({"pods": "5", "configmaps": "9", "count/secrets": "3", "requests.cpu": "2"})
        ).unseen(),
        reached("resourcequotas/q", "status.used.pods", "1"),
        state("resourcequotas"),
        delete("pods/a").unseen(),
        reached("resourcequotas/q", "status.used.pods", "0"),
        state("resourcequotas"),
        merge("resourcequotas/q", {"spec": {"hard": {"pods": None, "services": "2"}}}).unseen(),
        reached("resourcequotas/q", "status.hard.services", "2"),
        state("resourcequotas"),
        whole=True,
    ),
    scenario(
        "quota by scope",
        create("pods", a_pod("endless")).unseen(),
        create("pods", a_pod("ends", activeDeadlineSeconds=1000)).unseen(),
        create("resourcequotas", quota({"pods": "5"}, scopes=["Terminating"])).unseen(),
        reached("resourcequotas/q", "status.used.pods", "1"),
        state("resourcequotas"),
        pods_become("succeeded", 2),
        reached("resourcequotas/q", "status.used.pods", "0"),
        state("resourcequotas"),
        whole=True,
    ),
    scenario(
        "scaling without metrics",
        create("deployments", a_deployment(replicas=2)).unseen(),
        pods_become("running", 2),
        reached("deployments/a", "status.availableReplicas", 2),
        create("horizontalpodautoscalers", scaler()).unseen(),
        reached("horizontalpodautoscalers/a", "status.conditions.1.status", "False"),
        state("horizontalpodautoscalers", events=False),
        whole=True,
    ),
    scenario(
        "scaling up to the minimum",
        create("deployments", a_deployment(replicas=1)).unseen(),
        create("horizontalpodautoscalers", scaler()).unseen(),
        reached("deployments/a", "spec.replicas", 2),
        state("horizontalpodautoscalers", events=False),
        whole=True,
    ),
    scenario(
        "scaling what is not there",
        create("horizontalpodautoscalers", scaler()).unseen(),
        reached("horizontalpodautoscalers/a", "status.conditions.0.status", "False"),
        state("horizontalpodautoscalers"),
        whole=True,
    ),
    scenario(
        "a budget of nobody",
        create("poddisruptionbudgets", budget(minAvailable=1)).unseen(),
        reached("poddisruptionbudgets/a", "status.observedGeneration", 1),
        state("poddisruptionbudgets"),
        whole=True,
    ),
    *(
        scenario(
            f"a budget of {name}",
            create("replicasets", replica_set(template=of_image(), replicas=3)).unseen(),
            pods_become("running", 2),
            create("poddisruptionbudgets", budget(**spec)).unseen(),
            reached("poddisruptionbudgets/a", "status.currentHealthy", 2),
            state("poddisruptionbudgets"),
            whole=True,
        )
        for name, spec in BUDGETS.items()
    ),
    scenario(
        "a suspended cron job",
        create("cronjobs", cron_job(suspend=True)).unseen(),
        state("cronjobs", "jobs"),
        whole=True,
    ),
    scenario(
        "a cron job with a job of its own",
        create("cronjobs", cron_job(suspend=True)).kept("cron").unseen(),
        create(
            "jobs",
            job(
                "mine",
                metadata={
                    "ownerReferences": [
                        {
                            "apiVersion": "batch/v1",
                            "kind": "CronJob",
                            "name": "a",
                            "uid": "{cron:metadata.uid}",
                            "controller": True,
                        }
                    ]
                },
                suspend=True,
            ),
        ).unseen(),
        state("cronjobs", "jobs"),
        delete("cronjobs/a", {"propagationPolicy": "Background"}).unseen(),
        until_gone("jobs/mine"),
        whole=True,
    ),
    scenario(
        "the default account comes back",
        delete("serviceaccounts/default").unseen(),
        until("serviceaccounts/default", "metadata.name", "default").unseen(),
        merge("configmaps/kube-root-ca.crt", {"data": {"ca.crt": "x"}}).unseen(),
        state("serviceaccounts"),
        delete("configmaps/kube-root-ca.crt").unseen(),
        until("configmaps/kube-root-ca.crt", "metadata.name", "kube-root-ca.crt").unseen(),
        whole=True,
    ),
    scenario(
        "a token goes with its account",
        create("serviceaccounts", an_object("v1", "ServiceAccount", "robot")).unseen(),
        create(
            "secrets",
            secret(
                "token",
                type="kubernetes.io/service-account-token",
                metadata={"annotations": {"kubernetes.io/service-account.name": "robot"}},
            ),
        ).unseen(),
        delete("serviceaccounts/robot").unseen(),
        until_gone("secrets/token"),
        whole=True,
    ),
    scenario(
        "a claim and its volume",
        create("persistentvolumes", volume(storageClassName="{ns}", persistentVolumeReclaimPolicy="Retain")).unseen(),
        reached("persistentvolumes/{ns}-a", "status.phase", "Available"),
        create("persistentvolumeclaims", claim(storageClassName="{ns}")).unseen(),
        reached("persistentvolumeclaims/a", "status.phase", "Bound"),
        state("persistentvolumeclaims", "persistentvolumes/{ns}-a"),
        delete("persistentvolumeclaims/a").unseen(),
        until_gone("persistentvolumeclaims/a"),
        reached("persistentvolumes/{ns}-a", "status.phase", "Released"),
        state("persistentvolumes/{ns}-a"),
        delete("persistentvolumes/{ns}-a").unseen(),
        until_gone("persistentvolumes/{ns}-a"),
        whole=True,
    ),
    scenario(
        "a claim without a volume",
        create("persistentvolumeclaims", claim(storageClassName="")).unseen(),
        reached("persistentvolumeclaims/a", "status.phase", "Pending"),
        state("persistentvolumeclaims"),
        whole=True,
    ),
    scenario(
        "a claim that is used is not deleted",
        create("persistentvolumes", volume(storageClassName="{ns}")).unseen(),
        reached("persistentvolumes/{ns}-a", "status.phase", "Available"),
        create("persistentvolumeclaims", claim(storageClassName="{ns}")).unseen(),
        reached("persistentvolumeclaims/a", "status.phase", "Bound"),
        create(
            "pods", a_pod(nodeName="{ns}-n", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "a"}}])
        ).unseen(),
        delete("persistentvolumeclaims/a").unseen(),
        state("persistentvolumeclaims"),
        delete("pods/a", gracePeriodSeconds=0).unseen(),
        until_gone("persistentvolumeclaims/a"),
        delete("persistentvolumes/{ns}-a").unseen(),
        whole=True,
    ),
]
