"""From what somebody wants to be run to the run."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flowdeck.components.pipelines.engine.run import FailurePolicy, Options
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.submission import Submission, default_options, run_of
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC: Tree = {
    "pipelineInfo": {"name": "hello"},
    "schemaVersion": "2.1.0",
    "root": {
        "dag": {"tasks": {}},
        "inputDefinitions": {"parameters": {"x": {"parameterType": "STRING", "isOptional": True}}},
    },
}


def submitted(document: Tree = SPEC, **more: Any) -> Run:
    plan = compile_plan(from_wire(document))
    values: dict[str, Any] = {
        "id": "a",
        "name": "run",
        "experiment_id": "e",
        "namespace": "n",
        "document": "d",
        "default_root": "s3://bucket/home",
        **more,
    }
    return run_of(Submission(plan=plan, **values), NOW)


def with_limit(seconds: int) -> Tree:
    """A pipeline that says how long its runs may take."""
    platforms = {"kubernetes": {"pipelineConfig": {"activeDeadlineSeconds": seconds}}}
    return {"pipeline_spec": SPEC, "platform_spec": {"platforms": platforms}}


def test_a_run_is_named_in_its_macros_and_none_is_unknown() -> None:
    run = submitted(parameters={"x": "[[RunUUID]] [[CurrentTime.2006]] [[Index]]"})
    assert run.parameters == {"x": "a 2026 [[Index]]"}
    assert run.for_engine.parameters == run.parameters
    assert run.pipeline_name == "hello"


@pytest.mark.parametrize(
    ("own", "of_the_pipeline", "folder"),
    [
        ("", "", "s3://bucket/home/hello/a"),
        ("", "gs://b/p", "gs://b/p/hello/a"),
        ("minio://x/y/?endpoint=z", "gs://b/p", "minio://x/y/hello/a"),
    ],
)
def test_who_says_where_artifacts_go(own: str, of_the_pipeline: str, folder: str) -> None:
    document = {**SPEC, "defaultPipelineRoot": of_the_pipeline} if of_the_pipeline else SPEC
    assert submitted(document, pipeline_root=own).folder == folder


@pytest.mark.parametrize(
    ("document", "wish", "deadline_s"),
    [
        pytest.param(SPEC, {}, 60, id="as-is-set"),
        pytest.param(with_limit(7), {}, 0, id="the-pipeline-comes-before-that"),
        pytest.param(with_limit(7), {"timeout_s": 5}, 5, id="the-run-comes-before-the-pipeline"),
    ],
)
def test_who_says_how_long_a_run_may_take(document: Tree, wish: Tree, deadline_s: int) -> None:
    options = default_options(PipelinesSettings(run_timeout_s=60))
    run = submitted(document, plugins_input={"flowdeck": wish}, options=options)
    assert run.for_engine.options.deadline_s == deadline_s


def test_a_run_says_how_it_is_run() -> None:
    wish = {"failure_policy": "fail_fast", "caching": False}
    run = submitted(plugins_input={"flowdeck": wish, "mlflow": {"x": 1}})
    assert run.for_engine.options == Options(failure_policy=FailurePolicy.FAIL_FAST, caching=False)
    cannot = submitted(plugins_input={"flowdeck": {"caching": True}}, options=Options(caching=False))
    assert not cannot.for_engine.options.caching


@pytest.mark.parametrize(
    "wish", [{"timeout_s": 0}, {"timeout_s": "long"}, {"failure_policy": "never"}, {"colour": "red"}, [1], "x"]
)
def test_wishes_that_nobody_understands_are_refused(wish: Any) -> None:
    with pytest.raises(BadRequest, match=r"plugins_input\.flowdeck: "):
        submitted(plugins_input={"flowdeck": wish})
