"""A pipeline's tasks run as pods, hand on what they made, and end as their programs end."""

from collections.abc import Sequence

import pytest

from flowdeck.components.pipelines.engine.events import RetryRequested, TerminateRequested
from flowdeck.components.pipelines.runner.workspaces import claim_name
from flowdeck.kube.kinds import PERSISTENT_VOLUME_CLAIM, POD
from flowdeck.kube.objects import ObjectKey, is_being_deleted, key_of
from tests.pipelines.conftest import Runner
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.pipelines.servers import NAMESPACE

pytestmark = [pytest.mark.xdist_group("pipelines"), pytest.mark.timeout(180)]

ADD = a_component(
    "import sys; open(sys.argv[3], 'w').write(str(int(sys.argv[1]) + int(sys.argv[2])))",
    inputs={"a": "NUMBER_INTEGER", "b": "NUMBER_INTEGER"},
    outputs={"sum": "NUMBER_INTEGER"},
)
WRITE = a_component("import sys; open(sys.argv[1], 'w').write('a model')", makes={"model": "system.Model"})
READ = a_component(
    "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1]).read().upper())",
    takes={"model": "system.Model"},
    outputs={"text": "STRING"},
)
FAIL = a_component("import sys; sys.exit(3)")
SLEEP = a_component("import time; time.sleep(600)")


async def test_parameters_travel_from_task_to_task(runner: Runner) -> None:
    document = a_pipeline(
        {"add": ADD}, {"first": a_task("add", a=1, b=2), "second": a_task("add", a=("first", "sum"), b=10)}
    )
    run_id = await runner.submit(document)
    run = await runner.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    assert [entry["state"] for entry in run.history] == ["PENDING", "RUNNING", "SUCCEEDED"]
    tasks = await runner.tasks(run_id)
    assert [(one.key, one.value) for one in tasks["root.second"].output_parameters] == [("sum", 13)]


async def test_artifacts_travel_as_files(runner: Runner) -> None:
    document = a_pipeline(
        {"write": WRITE, "read": READ},
        {"make": a_task("write"), "use": a_task("read", model=("artifact", "make", "model"))},
    )
    run_id = await runner.submit(document)
    assert (await runner.finished(run_id)).state == "SUCCEEDED"
    tasks = await runner.tasks(run_id)
    assert tasks["root.use"].output_parameters[0].value == "A MODEL"
    (made,) = tasks["root.make"].output_artifacts[0].artifacts
    assert made.uri.startswith(f"{runner.root}/tried/{run_id}/make/")
    assert await runner.artifacts.get(made.uri) == b"a model"


async def test_a_failing_program_fails_the_run_and_its_log_is_pointed_to(runner: Runner) -> None:
    run_id = await runner.submit(a_pipeline({"fail": FAIL}, {"bad": a_task("fail")}))
    run = await runner.finished(run_id)
    assert run.state == "FAILED"
    assert "exit code 3" in run.error
    assert (await runner.tasks(run_id))["root.bad"].state == "FAILED"


async def test_a_promised_output_that_is_missing_is_a_failure(runner: Runner) -> None:
    silent = {**ADD, "program": ["python3", "-c", "pass"]}
    run = await runner.finished(await runner.submit(a_pipeline({"add": silent}, {"quiet": a_task("add", a=1, b=2)})))
    assert run.state == "FAILED"
    assert 'failed to read output parameter "sum"' in run.error


async def test_a_terminated_run_ends_its_pod(runner: Runner) -> None:
    run_id = await runner.submit(a_pipeline({"sleep": SLEEP}, {"long": a_task("sleep")}))
    await runner.reaches(run_id, "root.long", "RUNNING")
    await runner.wish(run_id, TerminateRequested(at=0.0, cause="user"))
    run = await runner.finished(run_id)
    assert run.state == "FAILED"
    assert run.error.startswith("Run was terminated")


async def test_a_killed_runner_goes_on_where_it_was(runner: Runner) -> None:
    slow = a_component(
        "import sys, time; time.sleep(1); open(sys.argv[1], 'w').write('3')", outputs={"sum": "NUMBER_INTEGER"}
    )
    document = a_pipeline(
        {"add": ADD, "slow": slow},
        {"first": a_task("slow"), "second": a_task("add", a=("first", "sum"), b=10)},
    )
    run_id = await runner.submit(document)
    await runner.reaches(run_id, "root.first", "RUNNING")
    await runner.kill()
    await runner.pods_end(run_id)
    await runner.start()
    run = await runner.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    tasks = await runner.tasks(run_id)
    assert [len(tasks[label].attempts) for label in ("root.first", "root.second")] == [1, 1]


async def test_a_retry_runs_what_failed(runner: Runner) -> None:
    flaky = a_component(
        "import os, sys; p = sys.argv[1]; d = os.path.dirname(os.path.dirname(p)); m = os.path.join(d, 'mark');"
        "sys.exit(1) if os.environ.get('FAIL') else open(p, 'w').write('x')",
        outputs={"text": "STRING"},
    )
    document = a_pipeline(
        {"add": ADD, "flaky": flaky}, {"good": a_task("add", a=1, b=2), "bad": a_task("flaky", after=("good",))}
    )
    document["deploymentSpec"]["executors"]["exec-flaky"]["container"]["env"] = [{"name": "FAIL", "value": "1"}]
    run_id = await runner.submit(document)
    assert (await runner.finished(run_id)).state == "FAILED"
    first = (await runner.tasks(run_id))["root.good"]
    mended = a_pipeline(
        {"add": ADD, "flaky": flaky}, {"good": a_task("add", a=1, b=2), "bad": a_task("flaky", after=("good",))}
    )
    await runner.wish(run_id, RetryRequested(at=0.0, cause="user", document=mended))
    assert (await runner.finished(run_id)).state == "SUCCEEDED"
    assert (await runner.tasks(run_id))["root.good"].attempts == first.attempts


async def pods_of(runner: Runner, run_id: str) -> Sequence[str]:
    async with runner.platform.client() as client:
        found = await client.list(POD, namespace=NAMESPACE, labels=f"pipeline/runid={run_id}")
    return [key_of(pod).name for pod in found.items]


async def test_a_pod_that_ended_well_goes_and_its_log_stays(runner: Runner) -> None:
    say = a_component("print('hello')")
    run_id = await runner.submit(a_pipeline({"say": say, "fail": FAIL}, {"say": a_task("say"), "bad": a_task("fail")}))
    assert (await runner.finished(run_id)).state == "FAILED"
    await runner.rest()
    tasks = await runner.tasks(run_id)
    (failed,) = tasks["root.bad"].attempts
    assert await pods_of(runner, run_id) == [failed.pod]
    assert await runner.kept_log(run_id, "root.say") == "hello\n"


async def test_what_a_stopped_program_wrote_is_kept(runner: Runner) -> None:
    say = a_component("import time\nprint('so far', flush=True)\ntime.sleep(600)")
    run_id = await runner.submit(a_pipeline({"say": say}, {"long": a_task("say")}))
    await runner.reaches(run_id, "root.long", "RUNNING")
    await runner.says(run_id, "root.long", b"so far\n")
    await runner.wish(run_id, TerminateRequested(at=0.0, cause="user"))
    await runner.finished(run_id)
    assert await runner.kept_log(run_id, "root.long") == "so far\n"


async def test_tasks_share_the_workspace_of_their_run_which_goes_when_it_ended_well(runner: Runner) -> None:
    write = a_component("import sys; open(sys.argv[1] + '/note', 'w').write('here')", inputs={"place": "STRING"})
    read = a_component(
        "import sys; open(sys.argv[2], 'w').write(open(sys.argv[1] + '/note').read())",
        inputs={"place": "STRING"},
        outputs={"text": "STRING"},
    )
    document = a_pipeline(
        {"write": write, "read": read},
        {
            "write": a_task("write", place="{{$.workspace_path}}"),
            "read": a_task("read", after=("write",), place="{{$.workspace_path}}"),
        },
    )
    config = {"platforms": {"kubernetes": {"pipelineConfig": {"workspace": {"size": "1Mi"}}}}}
    run_id = await runner.submit({"pipeline_spec": document, "platform_spec": config})
    run = await runner.finished(run_id)
    assert (run.state, run.error) == ("SUCCEEDED", "")
    assert (await runner.tasks(run_id))["root.read"].output_parameters[0].value == "here"
    await runner.rest()
    async with runner.platform.client() as client:
        claim = await client.find(PERSISTENT_VOLUME_CLAIM, ObjectKey(NAMESPACE, claim_name(run_id)))
    assert claim is None or is_being_deleted(claim)
