"""What users do with `kfp.Client()`; run by `test_client.py` in the SDK's environment: `client_scenarios.py NAME`."""

import sys

import kfp
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


if __name__ == "__main__":
    globals()[sys.argv[1]]()
