"""Beside upstream's controllers and after them: running jobs of upstream's Trainer are taken over untouched."""

import json
from collections.abc import Coroutine
from typing import Any

import pytest

from flowdeck.cluster.install import JOB_SETS
from flowdeck.cluster.names import MANAGED_BY
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube import kinds
from flowdeck.kube.errors import InternalError
from flowdeck.kube.job_set import admission as job_set_rules
from flowdeck.kube.objects import ObjectKey, Tree, owner_reference
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.install.site import ACCOUNT, IMAGE, Site, a_job, a_train_job, flowdeck, until

pytestmark = pytest.mark.timeout(600)
UPSTREAM = "trainer"
"""Field manager of upstream's Trainer; ours is the same."""


async def by_upstream(site: Site, name: str, *, has_snapshot: bool) -> tuple[Tree, Tree]:
    """A TrainJob and its JobSet as upstream's Trainer leaves them. Before v2.3 it made no snapshot of the runtime."""
    job = await until(lambda: accepted(site.client.create(TRAIN_JOB, a_train_job(name, "of-upstream"))))
    pod = {"containers": [{"name": "node", "image": IMAGE, "command": ["as-upstream-made-it"]}]}
    node: Tree = a_job(runs_s=15)
    node["template"]["spec"] |= {"parallelism": 2, "completions": 2}
    node["template"]["spec"]["template"]["spec"] = pod
    job_set = {
        "apiVersion": kinds.JOB_SET.api_version,
        "kind": kinds.JOB_SET.kind,
        "metadata": {"name": name, "namespace": "default", "ownerReferences": [owner_reference(job)]},
        "spec": {"suspend": False, "replicatedJobs": [{**node, "replicas": 1}]},
    }
    job_set_rules.default(job_set)  # as JobSet's own webhook did
    if has_snapshot:
        await site.client.apply(kinds.CONFIG_MAP, await snapshot(site, job), manager=UPSTREAM)
    made = await until(lambda: accepted(site.client.apply(kinds.JOB_SET, job_set, manager=UPSTREAM)))
    status = {"jobsStatus": [{"name": "node", "ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0}]}
    await site.client.patch_status(TRAIN_JOB, ObjectKey("default", name), {"status": status})
    return job, made


async def accepted(request: Coroutine[Any, Any, Tree]) -> Tree | None:
    """The answer; None while the API server has not heard yet that there are no webhooks."""
    try:
        return await request
    except InternalError:
        return None


async def snapshot(site: Site, job: Tree) -> Tree:
    """As upstream writes it; it takes YAML, of which JSON is a part."""
    runtime = dict(await site.client.get(CLUSTER_TRAINING_RUNTIME, ObjectKey("", "of-upstream")))
    name = f"{job['metadata']['name']}-runtime-snapshot"
    metadata = {"name": name, "namespace": "default", "ownerReferences": [owner_reference(job)]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"runtime": json.dumps(runtime)}}


async def pods_of(site: Site, name: str) -> list[tuple[str, str]]:
    labels = f"jobset.sigs.k8s.io/jobset-name={name}"
    found = (await site.client.list(kinds.POD, namespace="default", labels=labels)).items
    return sorted((pod["metadata"]["name"], pod["metadata"]["uid"]) for pod in found)


def managers_of_spec(job_set: Tree) -> set[str]:
    fields = job_set["metadata"]["managedFields"]
    return {entry["manager"] for entry in fields if "f:spec" in entry["fieldsV1"] and "subresource" not in entry}


async def test_running_jobs_of_upstreams_trainer_are_taken_over_without_a_touch(site: Site) -> None:
    await site.add_runtime("of-upstream")
    names = ("with-snapshot", "of-an-older-trainer")
    job_sets = {}
    replicas = list(site.ports)
    for replica in replicas:  # nobody is there: the objects come from another cluster's controller
        site.kill(replica)
    without_webhooks = await _webhooks_away(site)
    for name in names:
        _, job_sets[name] = await by_upstream(site, name, has_snapshot=name == "with-snapshot")
    await _webhooks_back(site, without_webhooks)
    for replica in replicas:
        site.start(replica)
    await until(lambda: _have_pods(site, names))
    before = {name: await pods_of(site, name) for name in names}
    for name in names:
        await site.ended(name)
    for name in names:
        assert await pods_of(site, name) == before[name], "no pod was made anew"
        after = await site.client.get(kinds.JOB_SET, ObjectKey("default", name))
        assert after["spec"] == job_sets[name]["spec"]
        assert after["metadata"]["generation"] == job_sets[name]["metadata"]["generation"]
        assert managers_of_spec(after) <= {UPSTREAM}
        job = await site.client.get(TRAIN_JOB, ObjectKey("default", name))
        assert job["status"]["jobsStatus"][0]["succeeded"] == 1
    assert await site.client.find(kinds.CONFIG_MAP, ObjectKey("default", "of-an-older-trainer-runtime-snapshot"))


async def _have_pods(site: Site, names: Any) -> bool:
    return all([len(await pods_of(site, name)) == 2 for name in names])


async def _webhooks_away(site: Site) -> list[tuple[Any, Tree]]:
    held = []
    for kind in (kinds.MUTATING_WEBHOOK_CONFIGURATION, kinds.VALIDATING_WEBHOOK_CONFIGURATION):
        for found in (await site.client.list(kind, labels=f"{MANAGED_BY}=flowdeck")).items:
            held.append((kind, found))
            await site.client.delete(kind, ObjectKey("", found["metadata"]["name"]))
    return held


async def _webhooks_back(site: Site, held: list[tuple[Any, Tree]]) -> None:
    for kind, found in held:
        metadata = {"name": found["metadata"]["name"], "labels": found["metadata"]["labels"]}
        await site.client.create(kind, {**found, "metadata": metadata})


async def test_jobs_that_are_managed_by_others_are_left_alone(site: Site) -> None:
    await site.train("of-multikueue", managedBy="kueue.x-k8s.io/multikueue")
    await site.train("ours")
    await site.ended("ours")
    for kind in (kinds.JOB_SET, kinds.JOB):
        assert not [obj for obj in (await site.client.list(kind)).items if "multikueue" in obj["metadata"]["name"]]
    job = await site.client.get(TRAIN_JOB, ObjectKey("default", "of-multikueue"))
    assert "status" not in job
    written = [e for e in site.audit(user=ACCOUNT) if e["objectRef"].get("name", "").startswith("of-multikueue")]
    assert [event["requestURI"] for event in written if event["verb"] not in ("get", "list", "watch")] == []


def test_upstreams_trainer_must_stop_before_ours_is_installed(site: Site) -> None:
    kubectl = Kubectl(site.cluster.kubeconfig, "kubeflow-system", site.cluster.env)
    kubectl("create deployment kubeflow-trainer-controller-manager --image=ghcr.io/kubeflow/trainer/manager:v2.1.0")
    told = flowdeck(site.cluster, "install", "--timeout", "0", code=1)
    assert "upstream's Trainer runs on this cluster" in told
    assert "kubectl scale -n kubeflow-system deployment/kubeflow-trainer-controller-manager --replicas=0" in told
    kubectl("delete deployment kubeflow-trainer-controller-manager")


async def test_job_sets_own_controller_is_used_where_it_is(site: Site) -> None:
    """Its definition is there and not ours: ours is left alone, and our controller does not run."""
    labels = {"metadata": {"labels": {MANAGED_BY: None}}}
    await site.client.patch(kinds.CUSTOM_RESOURCE_DEFINITION, JOB_SETS, labels)
    before = await site.client.get(kinds.CUSTOM_RESOURCE_DEFINITION, JOB_SETS)
    await _webhooks_away(site)  # those of this site lead to a URL
    flowdeck(site.cluster, "install", "--timeout", "0")
    after = await site.client.get(kinds.CUSTOM_RESOURCE_DEFINITION, JOB_SETS)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    settings = await site.client.get(kinds.CONFIG_MAP, ObjectKey("kubeflow-system", "flowdeck"))
    assert "jobset" in settings["data"]["settings.yaml"]
    brought = (await site.client.list(kinds.MUTATING_WEBHOOK_CONFIGURATION)).items
    names = {found["metadata"]["name"] for found in brought}
    assert names == {"defaulter.trainer.kubeflow.org", "pipelineversions.pipelines.kubeflow.org"}
    role = await site.client.get(kinds.CLUSTER_ROLE, ObjectKey("", "flowdeck"))
    assert [rule for rule in role["rules"] if "jobs" in rule["resources"]] == []
