"""The operator has the rights that it needs, and no others: training is done with them, and pipelines, then the audit
log is read.

`OwnerReferencesPermissionEnforcement` is on, so children are refused where `.../finalizers` may not be updated.
"""

import base64
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flowdeck.cluster.manifests.render import Manifests
from flowdeck.cluster.names import CERTIFICATES
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.components.pipelines.kinds import PIPELINE
from flowdeck.components.training.gang.coscheduling import POD_GROUP as COSCHEDULING
from flowdeck.components.training.gang.volcano import POD_GROUP as VOLCANO
from flowdeck.components.training.settings import PROGRESS_NAMES
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB, TRAINING_RUNTIME
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.kube import kinds
from flowdeck.kube.objects import Kind, ObjectKey, Tree, annotations_of, copy_of, finalizers_of
from tests.kfp_sdk.rest import Rest
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.install.site import ACCOUNT, IMAGE, Site, a_job, a_runtime, audit, until
from tests.kubernetes.installed import InstalledPlatform
from tests.kubernetes.rig.control_plane import RealCluster, start_controllers
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_component, a_pipeline, a_task

pytestmark = pytest.mark.timeout(600)
OLD_FINALIZER = "trainer.kubeflow.org/resource-in-use"
UNSEEN = {
    ("pipelines.kubeflow.org", "pipelines/finalizers", "update"),
    ("trainer.kubeflow.org", "trainjobs/finalizers", "update"),
    ("jobset.x-k8s.io", "jobsets/finalizers", "update"),
}
"""Asked for by the API server itself when children are made, never by a request of its own."""


async def test_all_of_training_works_with_just_these_rights_and_needs_each_of_them(site: Site) -> None:
    await site.client.patch(kinds.SECRET, CERTIFICATES, {"data": {"tls.crt": ""}})
    await the_shapes_of_jobs(site)
    await the_ends_of_jobs(site)
    await a_job_that_stands_still_for_a_while(site)
    await a_child_that_cannot_be_made(site)
    await runtimes_of_old_trainers(site)
    await progress_is_reported(site)
    await the_certificate_is_renewed(site)
    assert all_denied(site.cluster) == []
    granted = {grant for role in roles("pipelines") for grant in grants(role)}
    assert unused(site.cluster, granted) == []


def test_all_of_pipelines_works_with_just_these_rights_and_needs_each_of_them(
    pipelines_on_cluster: tuple[InstalledPlatform, Rest],
) -> None:
    there, rest = pipelines_on_cluster
    pipeline = documents_come_and_go(rest)
    runs_of_all_sorts(rest, pipeline)
    applied_by_kubectl(there)
    assert all_denied(there.cluster) == []
    others = {grant for role in roles("pipelines") for grant in grants(role)}
    assert unused(there.cluster, {grant for role in roles() for grant in grants(role)} - others) == []


# ---- what pipelines do -----------------------------------------------------------------------------------------------

ADD = a_component(
    "import os, sys; os.makedirs(os.path.dirname(sys.argv[-1]), exist_ok=True);"
    "open(sys.argv[-1], 'w').write(str(int(sys.argv[1]) + 1))",
    inputs={"a": "NUMBER_INTEGER"},
    outputs={"sum": "NUMBER_INTEGER"},
)
SLEEP = a_component("import time; time.sleep(600)")
A_DOCUMENT = a_pipeline({"add": ADD}, {"one": a_task("add", a=1)})


def documents_come_and_go(rest: Rest) -> str:
    """Uploaded, changed, removed; the id of a pipeline that stays."""
    ids = []
    for name in ("stays", "goes"):
        body = {"pipeline": {"name": name}, "pipeline_version": {"name": "first", "pipeline_spec": A_DOCUMENT}}
        pipeline = rest.post("pipelines/create", body)["pipeline_id"]
        second = {"pipeline_id": pipeline, "name": "second", "pipeline_spec": A_DOCUMENT}
        version = rest.post(f"pipelines/{pipeline}/versions", second)
        one = f"/apis/v2beta1/pipelines/{pipeline}"
        for path in (one, f"{one}/versions/{version['pipeline_version_id']}"):
            assert rest.http.patch(path, json={"display_name": "changed"}).status_code == 200
        ids.append(pipeline)
    rest.get("pipelines/names/stays")
    rest.delete(f"pipelines/{ids[0]}/versions/{version_of(rest, ids[0])}")
    rest.delete(f"pipelines/{ids[1]}", cascade="true")
    return str(ids[0])


def version_of(rest: Rest, pipeline: str) -> str:
    return str(rest.get(f"pipelines/{pipeline}/versions")["pipeline_versions"][0]["pipeline_version_id"])


def runs_of_all_sorts(rest: Rest, pipeline: str) -> None:
    """A version's, a function's, one with claims and a workspace; one that is stopped, one that fails, removed ones."""
    reference = {"pipeline_version_reference": {"pipeline_id": pipeline}}
    started = [rest.post("runs", {"display_name": "of a version", **reference})["run_id"]]
    function = a_function("def say() -> str:\n    return 'hello'\n", outputs={"Output": "STRING"})
    started += [rest.start(a_pipeline({"say": function}, {"say": a_task("say")})), rest.start(with_claims())]
    sleeping = rest.start(a_pipeline({"sleep": SLEEP}, {"sleep": a_task("sleep")}))
    for run_id in started:
        run = rest.finished(run_id)
        assert run["state"] == "SUCCEEDED", run.get("error")
    while not any(each.get("pods") for each in rest.get(f"runs/{sleeping}/tasks").get("tasks", ())):
        time.sleep(0.1)
    rest.post(f"runs/{sleeping}:terminate")
    assert rest.finished(sleeping)["state"] == "FAILED"
    for run_id in (started[0], sleeping):
        rest.delete(f"runs/{run_id}")


def with_claims() -> Tree:
    """Makes a claim and removes it; both tasks see the run's workspace."""
    makes = {"access_modes": ["ReadWriteOnce"], "size": "1Mi", "pvc_name_suffix": "-data"}
    tasks = {"make": a_task("make"), "add": a_task("add", after=("make",), a=1)}
    tasks["make"]["inputs"] = {"parameters": {name: constant(value) for name, value in makes.items()}}
    tasks["drop"] = a_task("drop", after=("add",), pvc_name=("make", "name"))
    document = copy_of(a_pipeline({"add": ADD}, tasks, name="claims"))
    for name, image, inputs, outputs in (
        (
            "make",
            "argostub/createpvc",
            {**dict.fromkeys(makes, "STRING"), "access_modes": "LIST"},
            {"name": {"parameterType": "STRING"}},
        ),
        ("drop", "argostub/deletepvc", {"pvc_name": "STRING"}, {}),
    ):
        document["deploymentSpec"]["executors"][f"exec-{name}"] = {"container": {"image": image}}
        document["components"][name] = {
            "executorLabel": f"exec-{name}",
            "inputDefinitions": {"parameters": {key: {"parameterType": type} for key, type in inputs.items()}},
            "outputDefinitions": {"parameters": outputs},
        }
    document["components"]["add"]["inputDefinitions"]["parameters"]["place"] = {"parameterType": "STRING"}
    document["root"]["dag"]["tasks"]["add"]["inputs"]["parameters"]["place"] = constant("{{$.workspace_path}}")
    config = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Mi"}}}}}
    return {"pipeline_spec": document, "platform_spec": config}


def constant(value: Any) -> Tree:
    return {"runtimeValue": {"constant": value}}


def applied_by_kubectl(there: InstalledPlatform) -> None:
    """Pipelines as objects: the webhooks look for a version's pipeline."""
    kubectl = Kubectl(there.cluster.kubeconfig, "kubeflow", there.cluster.env)
    for kind, name, spec in (
        ("Pipeline", "applied", {}),
        ("PipelineVersion", "applied-1", {"pipelineName": "applied", "pipelineSpec": A_DOCUMENT}),
    ):
        kubectl.apply({"apiVersion": PIPELINE.api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    kubectl("delete pipeline applied")


# ---- what training does ---------------------------------------------------------------------------------------------


async def the_shapes_of_jobs(site: Site) -> None:
    """Plain, MPI with its keys, gangs of both schedulers, volumes that are claimed."""
    for crd in definitions():
        await site.client.create(kinds.CUSTOM_RESOURCE_DEFINITION, crd)
    claim = {
        "metadata": {"name": "shared"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    mpi = {"mpi": {"runLauncherAsNode": True, "sshAuthMountPath": "/home/mpiuser/.ssh"}}
    await site.add_runtime("with-mpi", mpi, jobs=[a_job("node", step=""), a_job("launcher")])
    await site.add_runtime("with-coscheduling", podGroupPolicy={"coscheduling": {}})
    volcano = {"podGroupPolicy": {"volcano": {}}, "jobs": [a_job(priorityClassName="of-tests")]}
    await site.client.create(kinds.PRIORITY_CLASS, {"metadata": {"name": "of-tests"}, "value": 1})
    await site.add_runtime("with-volcano", **volcano)
    mounted = {"name": "node", "image": IMAGE, "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    jobs = [a_job(containers=[mounted])]
    await site.add_runtime("with-claims", jobs=jobs, job_set={"volumeClaimPolicies": [{"templates": [claim]}]})
    for name in ("simple", "with-mpi", "with-coscheduling", "with-volcano", "with-claims"):
        await site.train(f"a-{name}", name)
    for name in ("simple", "with-mpi"):
        await site.ended(f"a-{name}")
    for kind in (COSCHEDULING, VOLCANO):
        await until(lambda kind=kind: _any(site, kind))
    await until(lambda: site.client.find(kinds.PERSISTENT_VOLUME_CLAIM, ObjectKey("default", "shared-a-with-claims")))


async def _any(site: Site, kind: Kind) -> bool:
    return bool((await site.client.list(kind)).items)


async def the_ends_of_jobs(site: Site) -> None:
    """Failure, restarts, a deadline, a time to live."""
    await site.add_runtime("failing", jobs=[a_job(ends_with=3)], job_set={"failurePolicy": {"maxRestarts": 1}})
    await site.add_runtime("slow", jobs=[a_job(runs_s=600)])
    await site.add_runtime("short-lived", job_set={"ttlSecondsAfterFinished": 1})
    await site.train("fails", "failing")
    await site.train("too-long", "slow", activeDeadlineSeconds=2)
    await site.train("forgotten", "short-lived")
    await site.ended("fails", "Failed")
    await site.ended("too-long", "Failed")
    await site.ended("forgotten")
    await until(lambda: _is_gone(site, "forgotten"))


async def _is_gone(site: Site, name: str) -> bool:
    return await site.client.find(kinds.JOB_SET, ObjectKey("default", name)) is None


async def a_job_that_stands_still_for_a_while(site: Site) -> None:
    """Suspended and resumed, before the Job's own controller has noticed: its start is cleared by us."""
    await site.train("pausing", "slow")

    async def job_started() -> bool:
        job = await site.client.find(kinds.JOB, ObjectKey("default", "pausing-node-0"))
        return bool((job or {}).get("status", {}).get("startTime"))

    async def job_is(suspended: bool) -> bool:
        job = await site.client.get(kinds.JOB, ObjectKey("default", "pausing-node-0"))
        return bool(job["spec"].get("suspend")) is suspended

    await until(job_started)
    site.cluster.processes.kill("kube-controller-manager")
    key = ObjectKey("default", "pausing")
    for suspended in (True, False):
        await site.client.patch(TRAIN_JOB, key, {"spec": {"suspend": suspended}})
        await until(lambda suspended=suspended: job_is(suspended))
    start_controllers(site.cluster, "kube-controller-manager")
    await site.client.delete(TRAIN_JOB, key)


async def a_child_that_cannot_be_made(site: Site) -> None:
    """Told once, then counted; the reason stands on the TrainJob while it is tried again."""
    job = a_runtime("unused")["spec"]["template"]["spec"]
    meta = {"name": "taken", "namespace": "default"}
    foreign = {"apiVersion": kinds.JOB_SET.api_version, "kind": kinds.JOB_SET.kind, "metadata": meta}
    await site.client.create(kinds.JOB_SET, {**foreign, "spec": {**job, "suspend": True}})
    await site.train("taken")
    key = ObjectKey("default", "taken")

    async def told_twice() -> bool:
        events = (await site.client.list(kinds.EVENT, namespace="default", fields="involvedObject.kind=TrainJob")).items
        return any(event["involvedObject"]["name"] == "taken" and event.get("count", 1) > 1 for event in events)

    await until(told_twice)
    assert "trainer.kubeflow.org/last-error" in annotations_of(await site.client.get(TRAIN_JOB, key))
    await site.client.delete(TRAIN_JOB, key)


async def runtimes_of_old_trainers(site: Site) -> None:
    """Their finalizer is taken off."""
    for kind, namespace in ((CLUSTER_TRAINING_RUNTIME, ""), (TRAINING_RUNTIME, "default")):
        runtime = a_runtime("of-old")
        runtime |= {"kind": kind.kind, "metadata": {"name": "of-old", "finalizers": [OLD_FINALIZER]}}
        if namespace:
            runtime["metadata"]["namespace"] = namespace
        await site.client.create(kind, runtime)
        key = ObjectKey(namespace, "of-old")

        async def is_free(kind: Any = kind, key: ObjectKey = key) -> bool:
            return not finalizers_of(await site.client.get(kind, key))

        await until(is_free)
    ref = {"name": "of-old", "kind": "TrainingRuntime"}
    await site.train("of-a-namespaced-runtime", runtimeRef=ref)
    await site.ended("of-a-namespaced-runtime")


async def progress_is_reported(site: Site) -> None:
    await site.train("reporting", "slow")
    path = "trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs/reporting/status"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [path]}}
    made = await site.client.create_sub(kinds.SERVICE_ACCOUNT, ObjectKey("default", "default"), "token", request)
    headers = {"Authorization": f"Bearer {made['status']['token']}"}
    status = {"progressPercentage": 40, "lastUpdatedTime": "2026-01-01T00:00:00Z"}
    told = ObjectKey("default", "reporting-tls-config")
    authority = await until(lambda: site.client.find(kinds.CONFIG_MAP, told))
    tls = ssl.create_default_context(cadata=authority["data"]["ca.crt"])
    for _, _, port, _ in site.ports.values():
        async with httpx.AsyncClient(verify=tls) as http:
            url = f"https://127.0.0.1:{port}/apis/{path}"
            sni = {"sni_hostname": PROGRESS_NAMES[0]}
            answer = await http.post(url, json={"trainerStatus": status}, headers=headers, extensions=sni)
        assert answer.status_code == 200, answer.text
    stored = await site.client.get(TRAIN_JOB, ObjectKey("default", "reporting"))
    assert stored["status"]["trainerStatus"]["progressPercentage"] == 40
    await site.client.delete(TRAIN_JOB, ObjectKey("default", "reporting"))


async def the_certificate_is_renewed(site: Site) -> None:
    """The one that was emptied at the beginning."""

    async def is_there() -> bool:
        secret = await site.client.get(kinds.SECRET, CERTIFICATES)
        return bool(base64.b64decode(secret["data"]["tls.crt"]))

    await until(is_there)
    await site.train("after-the-renewal")
    await site.ended("after-the-renewal")


# ---- granted and used -----------------------------------------------------------------------------------------------


def all_denied(cluster: RealCluster) -> list[tuple[str, str, str]]:
    """What the operator was refused so far."""
    return [
        (event["verb"], event["requestURI"], event["responseStatus"].get("message"))
        for event in audit(cluster, user=ACCOUNT)
        if event["responseStatus"].get("code") == 403
    ]


def unused(cluster: RealCluster, granted: set[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """What of it the operator has not needed so far."""
    used = {(scope, *use) for event in audit(cluster, user=ACCOUNT) for scope, use in uses(event)}
    return sorted(grant for grant in granted - used if grant[1:] not in UNSEEN)


def roles(*disabled: str) -> list[Tree]:
    """What the ServiceAccount is bound to, were these components left out."""
    objects = Manifests(settings=ClusterSettings(disabled=frozenset(disabled))).all()
    return [o for o in objects if o["kind"] in ("Role", "ClusterRole") and o["metadata"]["name"] == "flowdeck"]


def grants(role: Tree) -> Iterator[tuple[str, str, str, str]]:
    """`(namespace or "", group, resource, verb)` of each single thing that a role allows."""
    scope = role["metadata"].get("namespace", "")
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                yield from ((scope, group, resource, verb) for verb in rule["verbs"])


def uses(event: Tree) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """The rights that a request has needed; one that made an object by apply has needed `create` as well."""
    ref = event.get("objectRef") or {}
    if "resource" not in ref:
        return
    resource = f"{ref['resource']}/{ref['subresource']}" if "subresource" in ref else ref["resource"]
    verbs = {event["verb"]}
    if event["verb"] == "patch" and event["responseStatus"].get("code") == 201:
        verbs.add("create")
    for verb in verbs:
        yield "", (ref.get("apiGroup", ""), resource, verb)
        if ref.get("namespace"):
            yield ref["namespace"], (ref.get("apiGroup", ""), resource, verb)


@pytest.mark.parametrize("role", roles(), ids=lambda role: role["kind"])
def test_each_rule_names_what_it_allows(role: Tree) -> None:
    assert all(part not in ("", "*") for grant in grants(role) for part in grant[2:])
