"""What a build must do to be taken, line by line, where no other file here shows it: lists, cache, loops, retries."""

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest

from flowdeck.kube.objects import Tree
from tests.kfp_sdk.rest import FINISHED, Rest
from tests.pipelines.makers import a_component, a_pipeline, a_task

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(600)]

WRITE = "import os, sys; os.makedirs(os.path.dirname(sys.argv[-1]), exist_ok=True); open(sys.argv[-1], 'w').write"
ADD = a_component(
    f"{WRITE}(str(int(sys.argv[1]) + int(sys.argv[2])))",
    inputs={"a": "NUMBER_INTEGER", "b": "NUMBER_INTEGER"},
    outputs={"sum": "NUMBER_INTEGER"},
)
SLEEP = a_component("import time; time.sleep(600)")
NOW = a_component(f"import time; {WRITE}(str(time.time()))", outputs={"sum": "NUMBER_DOUBLE"})


def tasks_of(run: Tree) -> dict[str, Tree]:
    """By scope path; of iterations the last."""
    return {each["scope_path"]: each for each in run["tasks"]}


def pods_of(run: Tree) -> list[str]:
    """Those that this run started itself: a task that was not executed has none."""
    return [pod["name"] for each in run["tasks"] if each["state"] != "CACHED" for pod in each.get("pods", ())]


def cached(document: Tree, **keys: str) -> Tree:
    """The document with caching for all tasks; with a key of its own where one is given."""
    for name, task in document["root"]["dag"]["tasks"].items():
        task["cachingOptions"] = {"enableCache": True, **({"cacheKey": keys[name]} if name in keys else {})}
    return document


def the_import() -> Tree:
    """A document whose runs need no pod."""
    document = a_pipeline({}, {"bring": {"componentRef": {"name": "bring"}}}, name="imports")
    artifact = {"artifactType": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}}
    document["components"]["bring"] = {
        "executorLabel": "exec-bring",
        "outputDefinitions": {"artifacts": {"artifact": artifact}},
    }
    importer = {"artifactUri": {"constant": "gs://bucket/data"}, "typeSchema": artifact["artifactType"]}
    document["deploymentSpec"]["executors"]["exec-bring"] = {"importer": importer}
    return document


# ---- 5: lists ------------------------------------------------------------------------------------------------------


def test_pages_neither_repeat_nor_miss_while_runs_come(rest: Rest) -> None:
    experiment = rest.post("experiments", {"display_name": "45 runs"})["experiment_id"]
    first = [rest.start(the_import(), experiment_id=experiment) for _ in range(45)]
    seen: list[Sequence[str]] = []
    token = ""
    while True:
        page = rest.get("runs", experiment_id=experiment, page_size=20, sort_by="created_at desc", page_token=token)
        seen.append([run["run_id"] for run in page["runs"]])
        token = page.get("next_page_token", "")
        if not token:
            break
        rest.start(the_import(), experiment_id=experiment)
    assert [len(page) for page in seen] == [20, 20, 5]
    assert sorted(run for page in seen for run in page) == sorted(first)
    token = rest.get("runs", experiment_id=experiment, page_size=1, sort_by="created_at desc")["next_page_token"]
    params = {"experiment_id": experiment, "sort_by": "created_at asc", "page_token": token}
    other = rest.http.get("/apis/v2beta1/runs", params=params)
    assert (other.status_code, other.json()["code"]) == (400, 3)
    assert "Invalid page token" in other.json()["message"]


# ---- 7: the cache --------------------------------------------------------------------------------------------------


def a_chain(first: int, name: str = "chain") -> Tree:
    """`other` beside `one` and what follows from it."""
    return cached(
        a_pipeline(
            {"add": ADD},
            {
                "one": a_task("add", a=first, b=1),
                "two": a_task("add", a=("one", "sum"), b=10),
                "other": a_task("add", a=5, b=5),
            },
            name=name,
        )
    )


def test_what_was_run_before_is_taken_from_the_cache(rest: Rest) -> None:
    assert len(pods_of(rest.finished(rest.start(a_chain(1))))) == 3
    again = rest.finished(rest.start(a_chain(1)))
    assert (again["state"], pods_of(again)) == ("SUCCEEDED", [])
    assert {each["state"] for path, each in tasks_of(again).items() if path != "root"} == {"CACHED"}
    changed = tasks_of(rest.finished(rest.start(a_chain(2))))
    states = {name: changed[f"root.{name}"]["state"] for name in ("one", "two", "other")}
    assert states == {"one": "SUCCEEDED", "two": "SUCCEEDED", "other": "CACHED"}
    assert changed["root.two"]["outputs"]["parameters"][0]["value"] == 13


def test_a_cache_key_counts_and_inputs_do_not(rest: Rest) -> None:
    def keyed(a: int) -> Tree:
        return cached(a_pipeline({"add": ADD}, {"one": a_task("add", a=a, b=1)}, name="keyed"), one="mine")

    assert len(pods_of(rest.finished(rest.start(keyed(1))))) == 1
    other = tasks_of(rest.finished(rest.start(keyed(100))))["root.one"]
    assert (other["state"], other["outputs"]["parameters"][0]["value"]) == ("CACHED", 2)


def test_a_task_without_caching_runs_each_time(rest: Rest) -> None:
    document = a_pipeline({"now": NOW}, {"one": a_task("now")}, name="uncached")
    values = [
        tasks_of(rest.finished(rest.start(document)))["root.one"]["outputs"]["parameters"][0]["value"] for _ in range(2)
    ]
    assert values[0] < values[1]


# ---- 10: loops -----------------------------------------------------------------------------------------------------


def a_loop(count: int, limit: int) -> Tree:
    document = a_pipeline({"add": ADD}, {}, name="loop")
    item = {"parameterType": "NUMBER_INTEGER"}
    source = {"componentInputParameter": "item"}
    inner = a_task("add", a=0, b=1)
    inner["inputs"]["parameters"]["a"] = source
    document["components"]["loop"] = {
        "inputDefinitions": {"parameters": {"item": item}},
        "outputDefinitions": {"parameters": {"sums": {"parameterType": "NUMBER_INTEGER"}}},
        "dag": {
            "tasks": {"add": inner},
            "outputs": {
                "parameters": {"sums": {"valueFromParameter": {"producerSubtask": "add", "outputParameterKey": "sum"}}}
            },
        },
    }
    items = {"raw": str(list(range(count)))}
    document["root"]["dag"]["tasks"]["for-loop-1"] = {
        "componentRef": {"name": "loop"},
        "parameterIterator": {"itemInput": "item", "items": items},
        "iteratorPolicy": {"parallelismLimit": limit},
    }
    return document


def test_a_loop_keeps_its_order_and_its_limit(rest: Rest) -> None:
    run_id = rest.start(a_loop(100, 10))
    most = 0
    while (state := rest.get(f"runs/{run_id}")["state"]) not in FINISHED:
        tasks = rest.get(f"runs/{run_id}/tasks", page_size=200).get("tasks", ())
        running = [each for each in tasks if each["name"] == "for-loop-1" and each["type"] == "DAG"]
        most = max(most, sum(each["state"] == "RUNNING" for each in running))
        time.sleep(0.05)
    assert state == "SUCCEEDED"
    assert 1 <= most <= 10
    run = rest.finished(run_id)
    (loop,) = [each for each in run["tasks"] if each["type"] == "LOOP"]
    assert loop["outputs"]["parameters"][0]["value"] == [at + 1 for at in range(100)]


# ---- 11: retries ---------------------------------------------------------------------------------------------------

NEVER = a_component("import sys; sys.exit(1)", inputs={"a": "NUMBER_INTEGER"})


def test_a_policy_is_followed_attempt_by_attempt(rest: Rest) -> None:
    document = a_pipeline({"never": NEVER}, {"bad": a_task("never", a=1)}, name="attempts")
    policy = {"maxRetryCount": 2, "backoffDuration": "1s", "backoffFactor": 2.0}
    document["root"]["dag"]["tasks"]["bad"]["retryPolicy"] = policy
    run = rest.finished(rest.start(document))
    assert run["state"] == "FAILED"
    details = [each for each in run["run_details"]["task_details"] if "(attempt" in each["display_name"]]
    assert len(details) == 3
    starts = [_seconds(each["start_time"]) for each in details]
    assert all(later - earlier >= wait - 1 for (earlier, later), wait in zip(pairwise(starts), (1, 2), strict=True))


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def test_a_retry_runs_what_failed_and_keeps_the_rest(rest: Rest) -> None:
    document = a_pipeline(
        {"add": ADD, "never": NEVER},
        {
            "good": a_task("add", a=1, b=2),
            "bad": a_task("never", a=("good", "sum")),
            "after": a_task("add", after=("bad",), a=1, b=1),
        },
        name="retried",
    )
    run_id = rest.start(document)
    before = tasks_of(rest.finished(run_id))
    rest.post(f"runs/{run_id}:retry")
    assert rest.get(f"runs/{run_id}")["state"] in ("PENDING", "RUNNING", "FAILED")
    run = rest.finished(run_id)
    after = tasks_of(run)
    assert after["root.good"]["pods"] == before["root.good"]["pods"]
    assert after["root.bad"]["pods"] != before["root.bad"]["pods"]
    assert after["root.bad"]["task_id"] == before["root.bad"]["task_id"]
    assert [each["state"] for each in run["state_history"]].count("PENDING") == 2
    answer = rest.http.post(f"/apis/v2beta1/runs/{rest.start(the_import())}:retry", json={})
    assert answer.status_code == 409


# ---- 12: termination -----------------------------------------------------------------------------------------------


def test_a_sleeping_task_is_stopped_and_the_run_says_so(rest: Rest) -> None:
    run_id = rest.start(a_pipeline({"sleep": SLEEP}, {"long": a_task("sleep")}, name="sleeps"))
    while not any(each.get("pods") for each in rest.get(f"runs/{run_id}/tasks").get("tasks", ())):
        time.sleep(0.05)
    rest.post(f"runs/{run_id}:terminate")
    assert rest.get(f"runs/{run_id}")["state"] in ("CANCELING", "FAILED")
    run = rest.finished(run_id)  # how soon: `python -m bench --only pipelines`
    assert run["error"]["message"].startswith("Run was terminated")
    assert {each["display_name"]: each["state"] for each in run["run_details"]["task_details"]}["sleep"] == "CANCELED"
    rest.post(f"runs/{run_id}:terminate")


# ---- 19: words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": {"dag": {"tasks": {"x": {"componentRef": {"name": "gone"}}}}}}, ["'x'", "'gone'"]),
        ({"root": {"dag": {"tasks": {"x": a_task("add", a=1)}}}}, ["'x'", "'b'", "pass it"]),
        ({"schemaVersion": "2.0.0"}, ["2.0.0", "2.1.0"]),
    ],
    ids=["no-such-component", "an-input-is-missing", "an-old-schema"],
)
def test_a_refusal_names_the_task_the_parameter_and_what_to_do(rest: Rest, change: Tree, words: list[str]) -> None:
    document = {**a_pipeline({"add": ADD}, {"x": a_task("add", a=1, b=2)}), **change}
    answer = rest.http.post("/apis/v2beta1/runs", json={"display_name": "x", "pipeline_spec": document})
    assert answer.status_code == 400
    assert [word for word in words if word not in answer.json()["message"]] == []
