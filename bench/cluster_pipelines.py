"""Pipelines of steps that do nothing: embedded, and on a real cluster with artifacts in an object store there."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tests.kfp_sdk.rest import FINISHED, Rest, rest_of, rest_on
from tests.kubernetes.installed import InstalledPlatform, installed
from tests.pipelines.functions import a_function
from tests.pipelines.makers import a_pipeline, a_task

from bench.side_by_side import Both
from flowdeck.components.pipelines.runner.pods import RUN_LABEL
from flowdeck.components.pipelines.settings import NAMESPACE
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, labels_of, uid_of
from flowdeck.testing.platform import RunningPlatform, platform

POLL_S = 0.01
LONGEST_S = 120.0
TIMES = 5
STEPS = 5
NOTHING = a_function(
    "def nothing(item: int) -> int:\n    return item\n",
    inputs={"item": "NUMBER_INTEGER"},
    outputs={"Output": "NUMBER_INTEGER"},
)


@dataclass(frozen=True)
class Seen:
    """What was measured on one platform."""

    one: Sequence[float]
    """Seconds of runs of one step."""
    chain: Sequence[float]
    """The same of `STEPS` steps, one after the other."""
    pods: float
    """For each task of those."""

    @property
    def step(self) -> Sequence[float]:
        """What one more step takes."""
        return [(chain - one) / (STEPS - 1) for one, chain in zip(sorted(self.one), sorted(self.chain), strict=True)]


def measure() -> Sequence[Both]:
    with ExitStack() as stack:
        running = stack.enter_context(platform())
        ours = asyncio.run(_seen(running, stack.enter_context(rest_of(running))))
    with ExitStack() as stack:
        there = stack.enter_context(installed(stores=True))
        theirs = asyncio.run(_seen(there, stack.enter_context(rest_on(there.cluster))))
    return [
        Both(what="pods a task", ours=[ours.pods], theirs=[theirs.pods], unit="", want="1"),
        Both(what="a run of one step that does nothing", ours=ours.one, theirs=theirs.one, unit="s"),
        Both(what=f"a run of {STEPS} such steps in a chain", ours=ours.chain, theirs=theirs.chain, unit="s"),
        Both(what="one more step", ours=ours.step, theirs=theirs.step, unit="s"),
    ]


def chain_of(steps: int) -> Tree:
    tasks = {"step-0": a_task("nothing", item=0)}
    for number in range(1, steps):
        tasks[f"step-{number}"] = a_task("nothing", item=(f"step-{number - 1}", "Output"))
    return a_pipeline({"nothing": NOTHING}, tasks, name=f"chain-of-{steps}")


async def _seen(where: RunningPlatform | InstalledPlatform, rest: Rest) -> Seen:
    for _ in range(3):  # makes the environment, and starts what is kept warm
        await asyncio.to_thread(_run, rest, 1)
    one = [await asyncio.to_thread(_run, rest, 1) for _ in range(TIMES)]
    pods: set[str] = set()
    async with where.client() as client:
        found = await client.list(POD, namespace=NAMESPACE)
        async with client.watch(POD, namespace=NAMESPACE, resource_version=found.resource_version) as events:

            async def count() -> None:
                async for event in events:
                    if RUN_LABEL in labels_of(event.object):
                        pods.add(uid_of(event.object))

            counting = asyncio.create_task(count())
            known = {uid_of(pod) for pod in found.items}
            chain = [await asyncio.to_thread(_run, rest, STEPS) for _ in range(TIMES)]
            counting.cancel()
            await asyncio.gather(counting, return_exceptions=True)
    return Seen(one, chain, len(pods - known) / (STEPS * TIMES))


def _run(rest: Rest, steps: int) -> float:
    """Seconds from the call to the end of the run."""
    began = time.perf_counter()
    run_id = rest.start(chain_of(steps))
    while (run := rest.get(f"runs/{run_id}"))["state"] not in FINISHED:
        if time.perf_counter() - began > LONGEST_S:
            raise RuntimeError(f"run {run_id} has not ended: {run}")
        time.sleep(POLL_S)
    if run["state"] != "SUCCEEDED":
        raise RuntimeError(f"run {run_id}: {run.get('error')}")
    return time.perf_counter() - began
