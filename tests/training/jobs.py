"""Jobs of several nodes: made, waited for, read."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from flowdeck.client.http import HttpClient
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.errors import NotFound
from flowdeck.kube.kinds import EVENT, NAMESPACE, POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of

PROGRAMS = Path(__file__).parent / "programs"
LONGEST_S = 150
OF_JOB = "jobset.sigs.k8s.io/jobset-name"


class Needs(Protocol):
    async def need(self, reference: str) -> None: ...


def a_job(
    name: str,
    runtime: str,
    program: str,
    *,
    start: str = "python",
    nodes: int = 2,
    namespace: str = "default",
    env: Mapping[str, str] | None = None,
    **trainer: Any,
) -> Tree:
    """A TrainJob that runs a program of `programs/` on each node, written to its working directory as the SDK does."""
    source = (PROGRAMS / f"{program}.py").read_text()
    script = f"cat > {program}.py <<'END_OF_PROGRAM'\n{source}\nEND_OF_PROGRAM\n{start} {program}.py"
    return {
        "apiVersion": TRAIN_JOB.api_version,
        "kind": TRAIN_JOB.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "runtimeRef": {"name": runtime},
            "trainer": {
                "numNodes": nodes,
                "command": ["bash", "-c", script],
                "env": [{"name": each, "value": value} for each, value in (env or {}).items()],
                "resourcesPerNode": {"requests": {"cpu": "100m"}},
                **trainer,
            },
        },
    }


@dataclass
class Jobs:
    """What a test does with the platform."""

    client: HttpClient
    environments: Needs
    _made: list[tuple[Kind, ObjectKey]] = field(default_factory=list)

    async def need(self, *references: str) -> None:
        """Images that must be ready; skips where they cannot be had."""
        for reference in references:
            await self.environments.need(reference)

    async def need_runtime(self, name: str) -> None:
        """The images of a runtime's pods."""
        runtime = await self.client.get(CLUSTER_TRAINING_RUNTIME, ObjectKey("", name))
        for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
            for container in job["template"]["spec"]["template"]["spec"]["containers"]:
                await self.need(container["image"])

    async def create(self, kind: Kind, obj: Tree) -> None:
        made = await self.client.create(kind, obj)
        self._made.append((kind, key_of(made)))

    async def namespace(self, name: str) -> None:
        await self.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def run(self, *jobs: Tree) -> list[dict[str, str]]:
        """Runs jobs at the same time until all are Complete; for each, what its pods printed."""
        for job in jobs:
            await self.create(TRAIN_JOB, job)
        return list(await asyncio.gather(*(self._completed(key_of(job)) for job in jobs)))

    async def _completed(self, key: ObjectKey) -> dict[str, str]:
        said: dict[str, str] = {}
        deadline = asyncio.get_running_loop().time() + LONGEST_S
        while True:
            job = await self.client.get(TRAIN_JOB, key)
            said |= await self.logs(key)
            if find_condition(job, "Complete"):
                return said | await self.logs(key)
            in_time = asyncio.get_running_loop().time() < deadline
            if find_condition(job, "Failed") or not in_time:
                raise AssertionError(f"{key}: {job.get('status')}\n{said}\n{await self.events()}")
            await asyncio.sleep(0.3)

    async def logs(self, key: ObjectKey) -> dict[str, str]:
        """`node-0` -> what it printed, of the job's pods that are there."""
        pods = await self.client.list(POD, namespace=key.namespace, labels=f"{OF_JOB}={key.name}")
        return {_step(pod): text for pod in pods.items if (text := await self._log(pod))}

    async def _log(self, pod: Tree) -> str:
        if (pod.get("status") or {}).get("phase") not in ("Running", "Succeeded", "Failed"):
            return ""
        try:
            return (await self.client.raw("GET", POD.url(key_of(pod), subresource="log"))).decode()
        except NotFound:
            return ""

    async def events(self) -> Sequence[str]:
        found = await self.client.list(EVENT, namespace="default")
        return [f"{event['reason']}: {event['message']}" for event in found.items if event["type"] != "Normal"]

    async def until_ready(self, name: str) -> None:
        async with asyncio.timeout(60):
            while True:
                pod = await self.client.get(POD, ObjectKey("default", name))
                ready = find_condition(pod, "Ready")
                if ready and ready["status"] == "True":
                    return
                assert pod.get("status", {}).get("phase") != "Failed", await self._log(pod)
                await asyncio.sleep(0.1)

    async def until_ended(self, name: str) -> None:
        async with asyncio.timeout(60):
            while True:
                pod = await self.client.get(POD, ObjectKey("default", name))
                phase = (pod.get("status") or {}).get("phase")
                if phase == "Succeeded":
                    return
                assert phase != "Failed", await self._log(pod)
                await asyncio.sleep(0.1)

    async def clean_up(self) -> None:
        for kind, key in reversed(self._made):
            await self.client.delete(kind, key)


def _step(pod: Tree) -> str:
    labels = pod["metadata"]["labels"]
    job, index = labels["jobset.sigs.k8s.io/replicatedjob-name"], labels["batch.kubernetes.io/job-completion-index"]
    return f"{job}-{index}"
