"""A loop of a thousand iterations in pods that run: never more than ten at once, everything collected in order."""

import time

import pytest

from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import key_of
from flowdeck.testing.platform import RunningPlatform
from tests.kfp_sdk.rest import Rest
from tests.kfp_sdk.test_acceptance import a_loop

pytestmark = [pytest.mark.xdist_group("kfp"), pytest.mark.timeout(1200)]
COUNT, LIMIT = 1000, 10


async def test_a_loop_of_a_thousand_keeps_its_order_and_its_limit(rest: Rest, pipelines: RunningPlatform) -> None:
    began = time.monotonic()
    async with pipelines.client() as client:
        revision = (await client.list(POD, namespace="kubeflow")).resource_version
        run_id = rest.start(a_loop(COUNT, LIMIT))
        labels = f"pipeline/runid={run_id}"
        alive: set[str] = set()
        ended: set[str] = set()
        most = 0
        async with client.watch(POD, namespace="kubeflow", labels=labels, resource_version=revision) as events:
            while len(ended) < COUNT:
                event = await anext(events)
                name = key_of(event.object).name
                alive.add(name)
                if event.type == "DELETED" or event.object.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                    ended.add(name)
                    alive.discard(name)
                most = max(most, len(alive))
    run = rest.finished(run_id)
    print(f"{COUNT} iterations in {time.monotonic() - began:.1f} s, {most} pods at once")
    assert run["state"] == "SUCCEEDED", run.get("error")
    assert most == LIMIT
    (loop,) = [each for each in run["tasks"] if each["type"] == "LOOP"]
    assert loop["outputs"]["parameters"][0]["value"] == [at + 1 for at in range(COUNT)]
    assert sum(each["name"] == "add" for each in run["tasks"]) == COUNT
