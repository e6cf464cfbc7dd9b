"""Ephemeral containers: put into a running pod, seen in its status, gone with it; on both drivers."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowdeck.kube.errors import Invalid
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey, Tree, copy_of
from tests.embedded.node.bench import Bench, open_bench
from tests.embedded.node.makers import a_container, a_pod, a_shell

KEY = ObjectKey("default", "p")


async def debug(bench: Bench, *containers: Tree) -> Tree:
    """As `kubectl debug` does it."""
    patch = {"spec": {"ephemeralContainers": list(containers)}}
    return await bench.client.patch(POD, KEY, patch, subresource="ephemeralcontainers")


def status_of(pod: Tree, name: str = "debugger") -> Tree:
    found = pod["status"].get("ephemeralContainerStatuses", ())
    return next((dict(status) for status in found if status["name"] == name), {"state": {}})


def has_ended(name: str, pod: Tree) -> bool:
    return "terminated" in status_of(pod, name)["state"]


def is_running(pod: Tree) -> bool:
    return bool(pod["status"].get("phase") == "Running")


async def test_it_runs_once_beside_the_others_and_its_end_is_told(bench: Bench) -> None:
    await bench.run(a_pod("sleep", "60", restartPolicy="Always"))
    before = await bench.until("p", is_running)
    made = await debug(bench, a_shell("echo seen; exit 3", name="debugger"))
    assert made["metadata"]["generation"] == before["metadata"]["generation"] + 1
    pod = await bench.until("p", lambda pod: "terminated" in status_of(pod)["state"])
    status = status_of(pod)
    assert (status["state"]["terminated"]["exitCode"], status["restartCount"], status["ready"]) == (3, 0, False)
    assert pod["status"]["phase"] == "Running"
    assert await bench.log("p", "debugger") == "seen"


async def test_it_sees_the_processes_of_its_target(bench: Bench) -> None:
    if not bench.means.driver.has_own_root:
        pytest.skip("plain: everybody sees everything")
    await bench.run(a_pod("sleep", "77777"))
    await bench.until("p", is_running)
    look = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c '[7]7777'; readlink /proc/self/ns/net"
    await debug(
        bench,
        a_shell(look, name="debugger", targetContainerName="main"),
        a_shell(look, name="elsewhere"),
    )
    for name, count in (("debugger", "1"), ("elsewhere", "0")):
        await bench.until("p", partial(has_ended, name))
        assert (await bench.log("p", name)).splitlines()[0] == count
    assert await bench.log("p", "debugger") != ""


async def test_it_is_found_again_by_the_next_node_and_ends_with_the_pod(bench: Bench) -> None:
    await bench.run(a_pod("sleep", "60"))
    await bench.until("p", is_running)
    await debug(bench, a_shell("trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done", name="debugger"))
    await bench.until("p", lambda pod: "running" in status_of(pod)["state"])
    await bench.stop()
    bench.start()
    await bench.client.delete(POD, KEY, grace_period_s=5)
    await bench.gone("p")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"ports": [{"containerPort": 1}]}, "ports: Forbidden: cannot be set for an Ephemeral Container"),
        ({"targetContainerName": "none"}, 'targetContainerName: Not found: "none"'),
        ({"name": "main"}, 'name: Duplicate value: "main"'),
    ],
)
async def test_what_it_may_not_say_is_refused(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    async with open_bench(tmp_path, "plain") as bench:
        await bench.run(a_pod("sleep", "60"))
        with pytest.raises(Invalid) as caught:
            await debug(bench, a_container("true", **{"name": "debugger", **fields}))
        assert told in str(caught.value)


async def test_they_are_added_and_nothing_else(tmp_path: Path) -> None:
    async with open_bench(tmp_path, "plain") as bench:
        with pytest.raises(Invalid, match="cannot be set on create"):
            await bench.run(a_pod("true", ephemeralContainers=[a_container("true", name="debugger")]))
        await bench.run(a_pod("sleep", "60"))
        await debug(bench, a_container("true", name="debugger"))
        with pytest.raises(Invalid, match='existing ephemeral containers "debugger" may not be changed'):
            await debug(bench, a_container("false", name="debugger"))
        pod = copy_of(await bench.pod("p"))
        pod["spec"]["ephemeralContainers"] = []
        del pod["metadata"]["resourceVersion"]
        with pytest.raises(Invalid, match="may not change fields other than"):
            await bench.client.update(POD, pod)
        url = POD.url(KEY, subresource="ephemeralcontainers")
        with pytest.raises(Invalid, match='existing ephemeral containers "debugger" may not be removed'):
            await bench.client.raw("PUT", url, body=pod)
