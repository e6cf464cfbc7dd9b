"""What users do with `kfp.Client()`; run by `test_client.py` in the SDK's environment: `client_scenarios.py NAME`."""

import sys
import time

import kfp
import kfp_server_api
from kfp import dsl

PROGRAM = (
    "import os, sys; os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True);"
    "open(sys.argv[2], 'w').write(sys.argv[1] + '!')"
)


@dsl.container_component
def shout(text: str, louder: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="python:3.11", command=["python3", "-c", PROGRAM], args=[text, louder])


@dsl.pipeline(name="two-steps")
def two_step_pipeline(text: str = "hello") -> str:
    first = shout(text=text)
    return shout(text=first.outputs["louder"]).outputs["louder"]


def two_steps() -> None:
    client = kfp.Client()
    result = client.create_run_from_pipeline_func(two_step_pipeline, arguments={"text": "hi"}, enable_caching=False)
    run = result.wait_for_run_completion(timeout=60)
    assert run.state == "SUCCEEDED", run
    assert run.error is None
    details = {detail.display_name: detail for detail in run.run_details.task_details}
    assert {"root", "shout", "shout-2"} <= set(details)
    assert all(details[name].state == "SUCCEEDED" for name in ("root", "shout", "shout-2"))
    assert [entry.state for entry in run.state_history] == ["PENDING", "RUNNING", "SUCCEEDED"]


def a_version() -> None:
    """Uploaded, run by its ids, run by its pipeline's id alone."""
    client = kfp.Client()
    kfp.compiler.Compiler().compile(two_step_pipeline, "two.yaml")
    pipeline = client.upload_pipeline("two.yaml", pipeline_name="Two steps")
    (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    experiment = client.create_experiment("versions")
    made = client.run_pipeline(
        experiment.experiment_id,
        "by ids",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"text": "hi"},
    )
    assert made.pipeline_version_reference.pipeline_version_id == version.pipeline_version_id
    assert made.pipeline_spec is None
    assert client.wait_for_run_completion(made.run_id, timeout=60).state == "SUCCEEDED"
    found = client.list_runs(experiment_id=experiment.experiment_id).runs
    assert [run.run_id for run in found] == [made.run_id]
    assert client.get_experiment(experiment_name="versions").last_run_created_at.year > 2000


PRINTS = "import sys, time; print('one', flush=True); time.sleep(int(sys.argv[1])); print('two', flush=True)"


@dsl.container_component
def prints(seconds: int):
    return dsl.ContainerSpec(image="python:3.11", command=["python3", "-c", PRINTS], args=[seconds])


@dsl.pipeline(name="prints")
def printing_pipeline(seconds: int = 0):
    prints(seconds=seconds)


def rest(client: kfp.Client, path: str, **query: str) -> str:
    """What the SDK has no function for."""
    api = client._run_api.api_client
    answer = api.call_api(
        path, "GET", query_params=list(query.items()), auth_settings=["Bearer"], _preload_content=False
    )
    return answer.data.decode()


def started(client: kfp.Client, run_id: str, name: str):
    """The entry of a task of a run, once its program runs."""
    for _ in range(1200):
        run = client.get_run(run_id)
        for detail in run.run_details.task_details if run.run_details else []:
            if detail.display_name == name and detail.state in ("RUNNING", "SUCCEEDED"):
                return detail
        time.sleep(0.05)
    raise AssertionError(f"{name} does not start: {run}")


def logs() -> None:
    """While a task runs, as they come; and when it has ended, by any name of the task."""
    client = kfp.Client()
    run_id = client.create_run_from_pipeline_func(
        printing_pipeline, arguments={"seconds": 2}, enable_caching=False
    ).run_id
    task = started(client, run_id, "prints")
    node = f"/apis/v1alpha1/runs/{run_id}/nodes"
    assert rest(client, f"{node}/{task.task_id}/log", follow="true") == "one\ntwo\n"
    details = client.get_run(run_id).run_details.task_details
    attempt = next(detail.task_id for detail in details if detail.parent_task_id == task.task_id)
    for name in (task.task_id, task.child_tasks[0].pod_name, attempt):
        assert rest(client, f"{node}/{name}/log") == "one\ntwo\n"


def termination() -> None:
    """Ends a run that would take ten minutes, fails it, and says why."""
    client = kfp.Client()
    run_id = client.create_run_from_pipeline_func(printing_pipeline, arguments={"seconds": 600}).run_id
    started(client, run_id, "prints")
    client.terminate_run(run_id)
    assert client.get_run(run_id).state in ("CANCELING", "FAILED")
    run = client.wait_for_run_completion(run_id, timeout=60, sleep_duration=1)
    assert run.state == "FAILED"
    assert run.error.message.startswith("Run was terminated")
    states = {detail.display_name: detail.state for detail in run.run_details.task_details}
    assert states["prints"] == "CANCELED"
    client.terminate_run(run_id)  # changes nothing


def deletion() -> None:
    """A run that is deleted while it runs takes its pod along."""
    import kubernetes

    client = kfp.Client()
    run_id = client.create_run_from_pipeline_func(printing_pipeline, arguments={"seconds": 600}).run_id
    started(client, run_id, "prints")
    client.delete_run(run_id)
    kubernetes.config.load_kube_config()
    pods = kubernetes.client.CoreV1Api()
    for _ in range(1200):
        if not pods.list_namespaced_pod("kubeflow", label_selector=f"pipeline/runid={run_id}").items:
            return
        time.sleep(0.05)
    raise AssertionError("the pod of a deleted run goes on")


def a_token() -> None:
    """Straight to the server's port: nobody without a token, an account with one made for pipelines."""
    import kubernetes

    kubernetes.config.load_kube_config()
    core = kubernetes.client.CoreV1Api()
    subset = core.read_namespaced_endpoints("ml-pipeline", "kubeflow").subsets[0]
    host = f"http://{subset.addresses[0].ip}:{subset.ports[0].port}"

    def token(*audiences: str) -> str:
        spec = kubernetes.client.V1TokenRequestSpec(audiences=list(audiences))
        request = kubernetes.client.AuthenticationV1TokenRequest(spec=spec)
        return core.create_namespaced_service_account_token("pipeline-runner", "kubeflow", request).status.token

    def status_with(token: str | None) -> int:
        try:
            kfp.Client(host=host, existing_token=token).list_runs()
        except kfp_server_api.ApiException as error:
            return error.status
        return 200

    for refused in (None, "nonsense", token("https://kubernetes.default.svc.cluster.local")):
        assert status_with(refused) == 401
    client = kfp.Client(host=host, existing_token=token("pipelines.kubeflow.org"))
    result = client.create_run_from_pipeline_func(printing_pipeline, experiment_name="by token")
    assert result.wait_for_run_completion(timeout=60).state == "SUCCEEDED"


FINDS = (
    "import json, os, sys, urllib.request;"
    "url = 'http://ml-pipeline:8888/apis/v2beta1/healthz';"
    "os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True);"
    "open(sys.argv[1], 'w').write(json.load(urllib.request.urlopen(url, timeout=20))['pipeline_store'])"
)


@dsl.container_component
def finds(store: dsl.OutputPath(str)):
    return dsl.ContainerSpec(image="python:3.11", command=["python3", "-c", FINDS], args=[store])


@dsl.pipeline(name="finds")
def finding_pipeline() -> str:
    return finds().outputs["store"]


def from_a_pod() -> None:
    """A step finds the server by the name that upstream's steps use."""
    client = kfp.Client()
    result = client.create_run_from_pipeline_func(finding_pipeline, enable_caching=False)
    run = result.wait_for_run_completion(timeout=60)
    assert run.state == "SUCCEEDED", run.error


if __name__ == "__main__":
    globals()[sys.argv[1]]()
