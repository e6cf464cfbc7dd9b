"""The same pipelines on a real cluster and on an embedded platform: equal outputs, and equal API documents."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.kube.objects import Tree
from flowdeck.testing.platform import platform
from tests.kfp_sdk.outputs import outputs_of
from tests.kfp_sdk.rest import Rest, rest_of
from tests.kubernetes.installed import InstalledPlatform
from tests.kubernetes.test_same_objects import TIME, UID, differences
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_component, a_pipeline, a_task

pytestmark = pytest.mark.timeout(600)

WRITE = "import os, sys; os.makedirs(os.path.dirname(sys.argv[-1]), exist_ok=True); open(sys.argv[-1], 'w').write"
ADD = a_component(
    f"{WRITE}(str(int(sys.argv[1]) + int(sys.argv[2])))",
    inputs={"a": "NUMBER_INTEGER", "b": "NUMBER_INTEGER"},
    outputs={"sum": "NUMBER_INTEGER"},
)
MAKE = a_component(f"{WRITE}('a model')", makes={"model": "system.Model"})
READ = a_component(
    f"{WRITE}(open(sys.argv[1]).read().upper())", takes={"model": "system.Model"}, outputs={"text": "STRING"}
)
TRAIN = a_function(
    """def train(size: int, model: dsl.Output[dsl.Model], metrics: dsl.Output[dsl.Metrics]) -> str:
    model.metadata["size"] = size
    metrics.log_metric("accuracy", 0.5)
    with open(model.path, "w") as file:
        file.write("weights")
    return "done"
""",
    inputs={"size": "NUMBER_INTEGER"},
    outputs={"Output": "STRING"},
    makes={"model": "system.Model", "metrics": "system.Metrics"},
)
USE = a_function(
    """def use(model: dsl.Input[dsl.Model]) -> dict:
    with open(model.path) as file:
        return {"text": file.read(), "size": model.metadata["size"]}
""",
    takes={"model": "system.Model"},
    outputs={"Output": "STRUCT"},
)
FAIL = a_component("import sys; print('this is why'); sys.exit(3)")
ROOT = re.compile(r"(minio://mlpipeline|s3://artifacts)/v2/artifacts")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
POD = re.compile(r"-[0-9a-z]{5}-[0-9a-f]{12}-(?=\d)")
"""What is in the names of pods: the run, and the place of the task in it."""
PLACE = re.compile(r"/(minio/mlpipeline|s3/artifacts)/v2/artifacts")
"""Where pods find what is there."""
LOGGED_AT = re.compile(r"(?<=/tmp/tmp\.)\w{10}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}")
NUMBERS = re.compile(r'(?<=")\d{15,}(?=")')
"""Ids of executions and artifacts in the tasks of release 2.17."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    rest: Rest
    store: Artifacts


def the_documents() -> Iterator[tuple[Tree, Mapping[str, Any]]]:
    """Pipelines, and what they are run with."""
    yield a_pipeline({"add": ADD}, {"one": a_task("add", a=1, b=2), "two": a_task("add", a=("one", "sum"), b=10)}), {}
    yield a_pipeline({"make": MAKE, "read": READ}, {
        "make": a_task("make"), "read": a_task("read", model=("artifact", "make", "model")),
    }, name="containers"), {}  # fmt: skip
    yield a_pipeline({"train": TRAIN, "use": USE}, {
        "train": a_task("train", size=3), "use": a_task("use", model=("artifact", "train", "model")),
    }, name="functions"), {}  # fmt: skip
    yield a_loop(), {}
    for size in (1, 5):
        yield branches(), {"size": size}
    yield with_exit(), {}


def a_loop() -> Tree:
    """Over three items, two at once; what its tasks make is collected."""
    document = a_pipeline({"add": ADD}, {}, name="loop")
    inner = a_task("add", a=0, b=1)
    inner["inputs"]["parameters"]["a"] = {"componentInputParameter": "item"}
    collected = {"valueFromParameter": {"producerSubtask": "add", "outputParameterKey": "sum"}}
    document["components"]["loop"] = {
        "inputDefinitions": {"parameters": {"item": {"parameterType": "NUMBER_INTEGER"}}},
        "outputDefinitions": {"parameters": {"sums": {"parameterType": "NUMBER_INTEGER"}}},
        "dag": {"tasks": {"add": inner}, "outputs": {"parameters": {"sums": collected}}},
    }
    document["root"]["dag"]["tasks"]["for-loop-1"] = {
        "componentRef": {"name": "loop"},
        "parameterIterator": {"itemInput": "item", "items": {"raw": "[1, 2, 3]"}},
        "iteratorPolicy": {"parallelismLimit": 2},
    }
    return document


def branches() -> Tree:
    """One of two tasks runs, as the parameter `size` says; what waits for the other one does not."""
    tasks = {name: a_task("add", a=1, b=2) for name in ("small", "large")}
    for name, sign in (("small", "<"), ("large", ">=")):
        tasks[name]["triggerPolicy"] = {"condition": f"int(inputs.parameter_values['a']) {sign} 3"}
        tasks[name]["inputs"]["parameters"]["a"] = {"componentInputParameter": "size"}
    tasks["after"] = a_task("add", a=("large", "sum"), b=0)
    document = a_pipeline({"add": ADD}, tasks, name="branches")
    document["root"]["inputDefinitions"] = {"parameters": {"size": {"parameterType": "NUMBER_INTEGER"}}}
    return document


def with_exit() -> Tree:
    """A task fails, one that would follow does not run, one that runs on any end does."""
    tasks = {"bad": a_task("fail"), "next": a_task("add", after=("bad",), a=1, b=1), "tidy": a_task("add", a=2, b=2)}
    tasks["tidy"] |= {"dependentTasks": ["bad"], "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}
    return a_pipeline({"fail": FAIL, "add": ADD}, tasks, name="exits")


@pytest.fixture(scope="module")
def both(pipelines_on_cluster: tuple[InstalledPlatform, Rest]) -> Iterator[Sequence[Side]]:
    """An embedded platform and a real cluster."""
    there, theirs = pipelines_on_cluster
    assert there.artifacts is not None
    with ExitStack() as stack:
        running = stack.enter_context(platform())
        ours = stack.enter_context(rest_of(running))
        files = Artifacts(ArtifactSettings(), running.data / "artifacts")
        yield Side(ours, files), Side(theirs, there.artifacts)


@pytest.fixture(scope="module")
def runs(both: Sequence[Side]) -> Sequence[Sequence[str]]:
    """Ids of the runs of each side, all started at once."""
    return [[side.rest.start(document, given) for document, given in the_documents()] for side in both]


@pytest.mark.parametrize("number", range(len(list(the_documents()))))
def test_outputs_and_documents_are_equal(both: Sequence[Side], runs: Sequence[Sequence[str]], number: int) -> None:
    ours, theirs = (side.rest.finished(ids[number]) for side, ids in zip(both, runs, strict=True))
    assert ours["state"] == theirs["state"], (ours.get("error"), theirs.get("error"))
    paths = Counter(task["scope_path"] for task in ours["tasks"])
    for path in (path for path, tasks in paths.items() if tasks == 1):  # iterations' are what their loop collects
        found = [outputs_of(side.store, run, of=path) for side, run in zip(both, (ours, theirs), strict=True)]
        assert found[0] == found[1], path
    told = list(differences(normal(ours), normal(theirs)))
    assert not told, "\n".join(told)
    logs = [logs_of(side.rest, run) for side, run in zip(both, (ours, theirs), strict=True)]
    assert logs[0] == logs[1]


def logs_of(rest: Rest, run: Tree) -> dict[str, str]:
    """What each task wrote."""
    found = {}
    for task in run["tasks"]:
        answer = rest.http.get(f"/apis/v1alpha1/runs/{run['run_id']}/nodes/{task['task_id']}/log")
        text = LOGGED_AT.sub("<time>", UID.sub("<uid>", PLACE.sub("<place>", ROOT.sub("<root>", answer.text))))
        found[f"{task['scope_path']} {task.get('type_attributes')}"] = f"{answer.status_code} {text}"
    return found


def normal(run: Tree) -> Tree:
    """A run without ids and times; tasks in an order of their own."""
    text = json.dumps(run)
    for pattern, word in ((UID, "<uid>"), (TIME, "<time>"), (DIGEST, "<digest>"), (ROOT, "<root>"), (POD, "-<pod>-")):
        text = pattern.sub(word, text)
    tree: Tree = json.loads(NUMBERS.sub("<number>", text))
    tree["tasks"].sort(
        key=lambda task: (task["scope_path"], json.dumps([task.get("type_attributes"), task.get("inputs")]))
    )
    tree["run_details"]["task_details"].sort(key=lambda task: (task["display_name"], json.dumps(task)))
    for task in (*tree["tasks"], *tree["run_details"]["task_details"]):
        task.get("child_tasks", []).sort(key=json.dumps)
    return tree
