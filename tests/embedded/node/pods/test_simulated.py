"""Pods that only seem to run: their lives are those of real ones, told by nobody but their statuses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowdeck.kube.conditions import find_condition
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey, Tree
from tests.embedded.node.bench import Bench, open_bench
from tests.embedded.node.makers import a_container, a_pod

RUN_S = "simulated.flowdeck.dev/run-seconds"
EXIT_CODE = "simulated.flowdeck.dev/exit-code"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path, "simulated") as bench:
        yield bench


def annotated(pod: Tree, **annotations: str) -> Tree:
    names = {"run_s": RUN_S, "exit_code": EXIT_CODE}
    pod["metadata"]["annotations"] = {names[name]: value for name, value in annotations.items()}
    return pod


def ended(pod: Tree) -> Tree:
    return dict(pod["status"]["containerStatuses"][0]["state"]["terminated"])


async def test_a_pod_runs_for_its_time_and_succeeds_whatever_its_image(bench: Bench) -> None:
    await bench.run(annotated(a_pod(containers=[a_container("true", image="missing")]), run_s="0.3"))
    running = await bench.until("p", lambda pod: pod["status"].get("phase") == "Running")
    assert (find_condition(running, "Ready") or {})["status"] == "True"
    assert running["status"]["podIP"].startswith("198.18.")
    pod = await bench.finished("p")
    assert (pod["status"]["phase"], ended(pod)["exitCode"], ended(pod)["reason"]) == ("Succeeded", 0, "Completed")
    assert (find_condition(pod, "Ready") or {})["reason"] == "PodCompleted"


async def test_it_fails_as_its_annotation_says(bench: Bench) -> None:
    await bench.run(annotated(a_pod("true"), run_s="0", exit_code="3"))
    pod = await bench.finished("p")
    assert (pod["status"]["phase"], ended(pod)["exitCode"], ended(pod)["reason"]) == ("Failed", 3, "Error")


@pytest.mark.parametrize("run_s", ["soon", "-1", "nan", "inf", "1e300"])
async def test_a_number_that_is_none_is_refused_in_words(bench: Bench, run_s: str) -> None:
    await bench.run(annotated(a_pod("true"), run_s=run_s))
    pod = await bench.finished("p")
    assert pod["status"]["reason"] == "InvalidPod"
    why = f"annotation {RUN_S} must be a number from 0 to 1000000000, not {run_s!r}"
    assert pod["status"]["message"] == f"Pod was rejected: {why}"


async def test_init_containers_end_and_sidecars_last_as_long_as_the_pod(bench: Bench) -> None:
    init = [a_container("true", name="first"), a_container("true", name="side", restartPolicy="Always")]
    await bench.run(annotated(a_pod("true", initContainers=init), run_s="0.2", exit_code="0"))
    running = await bench.until("p", lambda pod: pod["status"].get("phase") == "Running")
    first, side = running["status"]["initContainerStatuses"]
    assert first["state"]["terminated"]["exitCode"] == 0
    assert side["started"] is True
    pod = await bench.until("p", lambda pod: pod["status"].get("phase") == "Succeeded")
    assert pod["status"]["initContainerStatuses"][1]["state"]["terminated"]["exitCode"] == 143


async def test_what_fails_is_restarted_with_growing_pauses(bench: Bench) -> None:
    await bench.run(annotated(a_pod("true", restartPolicy="OnFailure"), run_s="0", exit_code="1"))
    pod = await bench.until("p", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] >= 2
                            if pod["status"].get("containerStatuses") else False)  # fmt: skip
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1


async def test_a_pod_that_always_restarts_runs_until_it_is_deleted(bench: Bench) -> None:
    await bench.run(a_pod("true", restartPolicy="Always"))
    pod = await bench.until("p", lambda pod: pod["status"].get("phase") == "Running")
    assert "running" in pod["status"]["containerStatuses"][0]["state"]
    await bench.client.delete(POD, ObjectKey("default", "p"))
    await bench.gone("p", within_s=2)


async def test_a_deadline_ends_it(bench: Bench) -> None:
    await bench.run(annotated(a_pod("true", activeDeadlineSeconds=1), run_s="600"))
    pod = await bench.finished("p")
    assert (pod["status"]["reason"], ended(pod)["exitCode"]) == ("DeadlineExceeded", 143)


async def test_the_next_process_of_the_node_goes_on_with_it(bench: Bench) -> None:
    await bench.run(annotated(a_pod("true"), run_s="1.2"))
    before = await bench.until("p", lambda pod: pod["status"].get("phase") == "Running")
    await bench.stop()
    bench.start()
    pod = await bench.finished("p")
    [was], [now] = before["status"]["containerStatuses"], pod["status"]["containerStatuses"]
    assert (now["restartCount"], now["containerID"]) == (0, was["containerID"])
    assert ended(pod)["startedAt"] == was["state"]["running"]["startedAt"]
    assert pod["status"]["podIP"] == before["status"]["podIP"]


async def test_its_log_is_empty(bench: Bench) -> None:
    await bench.run(annotated(a_pod("true"), run_s="0"))
    await bench.finished("p")
    assert await bench.log("p") == ""


async def test_two_hundred_at_once_take_no_process_and_no_file(bench: Bench) -> None:
    for number in range(200):
        await bench.run(annotated(a_pod("true", name=f"p{number}"), run_s="0.1"))
    for number in range(200):
        await bench.finished(f"p{number}")
    assert list(bench.data.rglob("*")) == []
