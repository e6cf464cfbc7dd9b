"""Every call of `kfp.Client`; run by `test_every_call.py` in the SDK's environment: `every_call.py PART`.

What a call is not seen to do in one of the parts, `docs/pipelines.md` must not promise: the last part compares its
table with the calls that the client has.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
from kfp import dsl
from kfp.compiler import Compiler

PATIENCE_S = 120


@dsl.container_component
def wait(seconds: int):
    return dsl.ContainerSpec(image="python:3.11", command=["sleep"], args=[seconds])


@dsl.pipeline(name="waits", description="It waits.")
def waits(seconds: int = 0):
    wait(seconds=seconds).set_caching_options(False)


def refused(status: int, call: Callable[..., Any], *arguments: Any, **more: Any) -> str:
    """The message of the error that a call gets."""
    try:
        call(*arguments, **more)
    except kfp_server_api.ApiException as refusal:
        error = refusal
    else:
        raise AssertionError("it was taken")
    assert error.status == status, (error.status, error.body)
    told = json.loads(error.body)
    return told.get("message") or told["error_message"]


def predicate(key: str, operation: Any, **value: Any) -> str:
    return json.dumps({"predicates": [{"key": key, "operation": operation, **value}]})


def pipelines(client: kfp.Client) -> None:
    Compiler().compile(waits, "waits.yaml")
    made = client.upload_pipeline("waits.yaml", pipeline_name="Waits!", description="from a file")
    assert (made.display_name, made.description) == ("Waits!", "from a file")
    assert "already exist" in refused(409, client.upload_pipeline, "waits.yaml", pipeline_name="Waits!")
    assert client.get_pipeline(made.pipeline_id).display_name == "Waits!"
    assert client.get_pipeline_id("Waits!") == made.pipeline_id
    assert client.get_pipeline_id("nobody's") is None
    other = client.upload_pipeline_from_pipeline_func(waits, pipeline_name="of a function")
    found = client.list_pipelines(page_size=1, sort_by="created_at desc")
    first = {each.pipeline_id for each in found.pipelines}
    rest = client.list_pipelines(page_size=1, sort_by="created_at desc", page_token=found.next_page_token)
    assert first | {each.pipeline_id for each in rest.pipelines} == {made.pipeline_id, other.pipeline_id}
    named = client.list_pipelines(filter=predicate("display_name", "IS_SUBSTRING", stringValue="WAITS"))
    assert [each.pipeline_id for each in named.pipelines] == [made.pipeline_id]

    second = client.upload_pipeline_version("waits.yaml", "v2", pipeline_id=made.pipeline_id, description="second")
    third = client.upload_pipeline_version_from_pipeline_func(waits, "v3", pipeline_name="Waits!")
    assert third.pipeline_id == second.pipeline_id == made.pipeline_id
    versions = client.list_pipeline_versions(made.pipeline_id, sort_by="created_at desc").pipeline_versions
    assert {each.display_name for each in versions} == {"Waits!", "v2", "v3"}  # all within a second: in any order
    read = client.get_pipeline_version(made.pipeline_id, second.pipeline_version_id)
    assert read.description == "second"
    assert read.pipeline_spec["pipelineInfo"] == {"name": "waits", "description": "It waits."}
    assert "version" in refused(400, client.delete_pipeline, made.pipeline_id)
    for each in versions:
        client.delete_pipeline_version(made.pipeline_id, each.pipeline_version_id)
    client.delete_pipeline(made.pipeline_id)
    (last,) = client.list_pipeline_versions(other.pipeline_id).pipeline_versions
    client.delete_pipeline_version(other.pipeline_id, last.pipeline_version_id)
    client.delete_pipeline(other.pipeline_id)
    assert "not found" in refused(404, client.get_pipeline, made.pipeline_id)


def experiments(client: kfp.Client) -> None:
    made = client.create_experiment("Tries", description="of all kinds")
    assert (made.display_name, made.description, made.storage_state) == ("Tries", "of all kinds", "AVAILABLE")
    assert client.create_experiment("Tries").experiment_id == made.experiment_id
    assert client.get_experiment(experiment_name="Tries").experiment_id == made.experiment_id
    assert made.experiment_id in [each.experiment_id for each in client.list_experiments(page_size=50).experiments]
    client.archive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "ARCHIVED"
    archived = client.list_experiments(filter=predicate("storage_state", 1, stringValue="ARCHIVED"))
    assert [each.experiment_id for each in archived.experiments] == [made.experiment_id]
    Compiler().compile(waits, "waits.yaml")
    refused(400, client.run_pipeline, made.experiment_id, "no", "waits.yaml")
    client.unarchive_experiment(made.experiment_id)
    assert client.get_experiment(made.experiment_id).storage_state == "AVAILABLE"
    client.delete_experiment(made.experiment_id)
    assert "not found" in refused(404, client.get_experiment, made.experiment_id)


def runs(client: kfp.Client) -> None:
    Compiler().compile(waits, "waits.yaml")
    experiment = client.create_experiment("Runs")
    pipeline = client.upload_pipeline("waits.yaml", pipeline_name="run me")
    (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    by_ids = client.run_pipeline(
        experiment.experiment_id,
        "by ids",
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
        params={"seconds": 0},
    )
    assert by_ids.state == "PENDING"
    by_file = client.run_pipeline(experiment.experiment_id, "by file", "waits.yaml", enable_caching=False)
    of_package = client.create_run_from_pipeline_package("waits.yaml", run_name="of a package", experiment_name="Runs")
    of_function = client.create_run_from_pipeline_func(waits, {"seconds": 0}, "of a function", experiment_name="Runs")
    for run_id in (by_ids.run_id, by_file.run_id, of_package.run_id):
        assert client.wait_for_run_completion(run_id, PATIENCE_S).state == "SUCCEEDED"
    assert of_function.wait_for_run_completion(PATIENCE_S).state == "SUCCEEDED"
    found = client.list_runs(experiment_id=experiment.experiment_id, sort_by="created_at asc").runs
    assert [each.display_name for each in found] == ["by ids", "by file", "of a package", "of a function"]
    assert client.list_runs(experiment_id=experiment.experiment_id, page_size=1).total_size == 4

    long = client.create_run_from_pipeline_func(waits, {"seconds": 600}, "long", experiment_name="Runs")
    reaches(client, long.run_id, "RUNNING")
    client.terminate_run(long.run_id)
    assert client.get_run(long.run_id).state in ("CANCELING", "FAILED")
    ended = client.wait_for_run_completion(long.run_id, PATIENCE_S)
    assert ended.state == "FAILED"
    assert ended.error.message.startswith("Run was terminated")
    client.terminate_run(long.run_id)

    client.archive_run(by_ids.run_id)
    assert client.get_run(by_ids.run_id).storage_state == "ARCHIVED"
    client.unarchive_run(by_ids.run_id)
    assert client.get_run(by_ids.run_id).storage_state == "AVAILABLE"
    client.delete_run(by_ids.run_id)
    assert "not found" in refused(404, client.get_run, by_ids.run_id)
    wrong = refused(400, client.run_pipeline, experiment.experiment_id, "x", "waits.yaml", params={"second": 1})
    assert "not required" in wrong
    wrong = refused(400, client.run_pipeline, experiment.experiment_id, "x", "waits.yaml", params={"seconds": "a"})
    assert "seconds" in wrong


def reaches(client: kfp.Client, run_id: str, state: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while client.get_run(run_id).state != state:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def recurring_runs(client: kfp.Client) -> None:
    Compiler().compile(waits, "waits.yaml")
    experiment = client.create_experiment("Recurring")
    often = client.create_recurring_run(
        experiment.experiment_id, "often", interval_second=1, pipeline_package_path="waits.yaml", max_concurrency=10
    )
    assert (often.display_name, often.status, often.trigger.periodic_schedule.interval_second) == (
        "often",
        "ENABLED",
        "1",
    )
    never = client.create_recurring_run(
        experiment.experiment_id,
        "never",
        cron_expression="0 0 0 1 1 *",
        pipeline_package_path="waits.yaml",
        enabled=False,
        params={"seconds": 0},
    )
    assert (never.status, never.trigger.cron_schedule.cron) == ("DISABLED", "0 0 0 1 1 *")
    found = client.list_recurring_runs(experiment_id=experiment.experiment_id).recurring_runs
    assert {each.display_name for each in found} == {"often", "never"}
    client.enable_recurring_run(never.recurring_run_id)
    assert client.get_recurring_run(never.recurring_run_id).status == "ENABLED"
    client.disable_recurring_run(never.recurring_run_id)
    assert client.get_recurring_run(never.recurring_run_id).status == "DISABLED"
    deadline = time.monotonic() + PATIENCE_S
    while not (started := client.list_runs(experiment_id=experiment.experiment_id).runs):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    client.disable_recurring_run(often.recurring_run_id)
    assert {each.recurring_run_id for each in started} == {often.recurring_run_id}
    client.delete_recurring_run(often.recurring_run_id)
    assert "not found" in refused(404, client.get_recurring_run, often.recurring_run_id)
    bad = {"pipeline_package_path": "waits.yaml", "interval_second": 1, "max_concurrency": 11}
    refused(400, client.create_recurring_run, experiment.experiment_id, "bad", **bad)
    for old in (client.enable_job, client.disable_job, client.delete_job):
        old(never.recurring_run_id)


def the_rest(client: kfp.Client) -> None:
    health = client.get_kfp_healthz()
    assert health.multi_user is False
    assert health.pipeline_store
    assert client.get_user_namespace() == ""
    client.set_user_namespace("kubeflow")
    assert client.get_user_namespace() == "kubeflow"
    assert kfp.Client().get_user_namespace() == "kubeflow"
    assert client.list_experiments(namespace="kubeflow").total_size >= 0


def what_was_seen(client: kfp.Client) -> None:
    """The table of the page names each call that the client has, and the parts above make it."""
    calls = {name for name, value in vars(kfp.Client).items() if not name.startswith("_") and callable(value)}
    made = set(re.findall(r"client\.(\w+)", Path(__file__).read_text()))
    assert sorted(calls - made) == []
    page = Path(sys.argv[2]).read_text().partition("<!-- kfp.Client -->")[2].partition("\n## ")[0]
    assert sorted(calls - set(re.findall(r"`(\w+)", page))) == []


if __name__ == "__main__":
    globals()[sys.argv[1]](kfp.Client())
