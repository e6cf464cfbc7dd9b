"""How long it takes until something runs: pods, TrainJobs, many TrainJobs at once; and what many cost at rest."""

import asyncio
import shlex
import time
from collections.abc import Sequence

from bench.report import Row, median
from bench.start import at_rest
from flowdeck.client.http import HttpClient
from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from flowdeck.testing.platform import RunningPlatform

TRAIN_JOB = Kind("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs")
CLUSTER_TRAINING_RUNTIME = Kind(
    "trainer.kubeflow.org", "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes", namespaced=False
)
PODS = 20
BURST = 100
KEPT = 1000
IMPORTS = 8
"""Starts of each sort, of which the first does not count."""
BUILD_S = 600
"""For the image's environment to be built."""
WARM_UP_S = 20
"""For a server to import everything."""
SETTLE_S = 15
"""For the last pods to be taken down."""
TELL_TIME = ("date", "+%s.%N")
PRINT_TIME = "import time; print(time.time(), flush=True)"
HEAVY_IMAGE = "ghcr.io/kubeflow/trainer/xgboost-runtime:v2.1.0"
IMPORT_AND_PRINT = f"import numpy, xgboost; {PRINT_TIME}"


async def measure(platform: RunningPlatform) -> Sequence[Row]:
    async with platform.client() as client:
        await client.apply(CLUSTER_TRAINING_RUNTIME, runtime(), manager="bench")
        await _first_line(client, POD, _pod("warm-up"))
        processes = [1000 * await _first_line(client, POD, _pod(f"process-{n}", TELL_TIME)) for n in range(PODS)]
        pods = [1000 * await _first_line(client, POD, _pod(f"pod-{number}")) for number in range(PODS)]
        jobs = [await _first_line(client, TRAIN_JOB, train_job(f"job-{number}")) for number in range(PODS)]
        burst = await _burst(client)
    return [
        Row(
            what="pod created to its process running, warm",
            samples=processes,
            unit="ms",
            want="<= 50 ms",
            beat="kubelet + containerd about 1,000 ms",
            is_met=median(processes) <= 50,
        ),
        Row(what="the same, to its first line of Python", samples=pods, unit="ms", want="as it is", is_met=True),
        Row(
            what="TrainJob created to first line of Python, warm",
            samples=jobs,
            unit="s",
            want="<= 0.5 s",
            beat="10-30 s",
            is_met=median(jobs) <= 0.5,
        ),
        Row(
            what=f"{BURST} TrainJobs created at once: all have running pods",
            samples=[burst],
            unit="s",
            want="<= 20 s",
            is_met=burst <= 20,
        ),
    ]


async def measure_imports(platform: RunningPlatform) -> Sequence[Row]:
    """Programs that import numpy and xgboost: by an interpreter of their own, and from a warm server."""
    async with platform.client() as client:
        await client.apply(CLUSTER_TRAINING_RUNTIME, runtime(), manager="bench")
        cold = [1000 * await _first_line(client, POD, _heavy_pod(f"cold-{n}", own=True), 600) for n in range(IMPORTS)][
            1:
        ]
        await _first_line(client, POD, _heavy_pod("makes-warm"))
        await asyncio.sleep(WARM_UP_S)
        warm = [1000 * await _first_line(client, POD, _heavy_pod(f"warm-{n}")) for n in range(IMPORTS)][1:]
        python = ["python", "-c", IMPORT_AND_PRINT]
        shell = ["bash", "-c", shlex.join(python)]
        jobs = [await _first_line(client, TRAIN_JOB, _heavy_job(f"job-{n}", python)) for n in range(IMPORTS)][1:]
        by_shell = [await _first_line(client, TRAIN_JOB, _heavy_job(f"shell-{n}", shell)) for n in range(IMPORTS)][1:]
    return [
        Row(
            what="pod created to its first line after import numpy, xgboost: cold",
            samples=cold, unit="ms", want="as it is", is_met=True,
        ),
        Row(
            what="the same, warm", samples=warm, unit="ms", want="<= cold / 5", is_met=median(warm) <= median(cold) / 5
        ),
        Row(
            what="TrainJob created to its first line after these imports, warm",
            samples=jobs, unit="s", want="<= 0.5 s", beat="10-30 s", is_met=median(jobs) <= 0.5,
        ),
        Row(
            what="the same through bash -c, which has no warm start",
            samples=by_shell, unit="s", want="as it is", is_met=True,
        ),
    ]  # fmt: skip


async def measure_scale(platform: RunningPlatform) -> Sequence[Row]:
    async with platform.client() as client:
        await client.apply(CLUSTER_TRAINING_RUNTIME, runtime(), manager="bench")
        for number in range(KEPT):
            await client.create(TRAIN_JOB, train_job(f"asleep-{number}", suspend=True))
        await _finish(client)
    await asyncio.sleep(SETTLE_S)
    return [row for row in at_rest(platform, what=f"{KEPT} finished and {KEPT} suspended TrainJobs") if row.unit == "%"]


async def _finish(client: HttpClient) -> None:
    """Runs `KEPT` jobs to their end, fifty at a time."""
    start = (await client.list(TRAIN_JOB)).resource_version
    finished: set[str] = set()
    slots = asyncio.Semaphore(50)

    async def create() -> None:
        for number in range(KEPT):
            await slots.acquire()
            await client.create(TRAIN_JOB, train_job(f"done-{number}", code="pass"))

    async def follow() -> None:
        async with client.watch(TRAIN_JOB, resource_version=start) as events:
            async for event in events:
                if event.type == "BOOKMARK":
                    continue
                name = event.object["metadata"]["name"]
                if name not in finished and (is_true(event.object, "Complete") or is_true(event.object, "Failed")):
                    finished.add(name)
                    slots.release()
                if len(finished) == KEPT:
                    return

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(create())
        tasks.create_task(follow())


async def _first_line(client: HttpClient, kind: Kind, obj: Tree, timeout_s: float = 60) -> float:
    """Seconds from the call that creates `obj` to the time that its program prints first."""
    began = time.time()  # compared with the program's own clock
    await client.create(kind, obj)
    name = obj["metadata"]["name"]
    labels = f"jobset.sigs.k8s.io/jobset-name={name}" if kind is TRAIN_JOB else ""
    fields = "" if labels else f"metadata.name={name}"
    pod = await _finished_pod(client, labels, fields, timeout_s)
    log = await client.raw("GET", POD.url(ObjectKey("default", pod), subresource="log"))
    await client.delete(kind, ObjectKey("default", name))
    return float(log.split()[0]) - began


async def _finished_pod(client: HttpClient, labels: str, fields: str, timeout_s: float) -> str:
    async with (
        client.watch(POD, namespace="default", labels=labels, fields=fields, resource_version="0") as events,
        asyncio.timeout(timeout_s),
    ):
        async for event in events:
            if (event.object.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                return str(event.object["metadata"]["name"])
    raise RuntimeError("the watch ended before the pod did")


async def _burst(client: HttpClient) -> float:
    """Seconds until every one of `BURST` two-node jobs has two running pods."""
    began = time.perf_counter()
    names = [f"burst-{number}" for number in range(BURST)]
    await asyncio.gather(
        *(client.create(TRAIN_JOB, train_job(name, nodes=2, code="import time; time.sleep(600)")) for name in names)
    )
    ran: set[str] = set()
    async with client.watch(POD, namespace="default", resource_version="0") as events, asyncio.timeout(300):
        async for event in events:
            pod = event.object
            if event.type == "BOOKMARK":
                continue
            if pod["metadata"]["name"].startswith("burst-") and (pod.get("status") or {}).get("phase") == "Running":
                ran.add(pod["metadata"]["name"])
                if len(ran) == 2 * BURST:
                    break
    took = time.perf_counter() - began
    for name in names:
        await client.delete(TRAIN_JOB, ObjectKey("default", name))
    return took


def _pod(name: str, command: Sequence[str] = ("python", "-S", "-c", PRINT_TIME)) -> Tree:
    container = {"name": "c", "image": "python:3.11", "command": list(command)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]},
    }


def _heavy_pod(name: str, *, own: bool = False) -> Tree:
    """A pod that imports a lot; `own`: with a variable that needs an interpreter of its own."""
    pod = _pod(name)
    container = pod["spec"]["containers"][0]
    container |= {"image": HEAVY_IMAGE, "command": ["python", "-c", IMPORT_AND_PRINT]}
    if own:
        container["env"] = [{"name": "PYTHONUNBUFFERED", "value": "1"}]
    return pod


def _heavy_job(name: str, command: Sequence[str]) -> Tree:
    job = train_job(name)
    job["spec"]["trainer"] |= {"image": HEAVY_IMAGE, "command": list(command)}
    return job


def train_job(name: str, *, nodes: int = 1, suspend: bool = False, code: str = PRINT_TIME) -> Tree:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "runtimeRef": {"name": "bench"},
            "suspend": suspend,
            "trainer": {"numNodes": nodes, "command": ["python", "-S", "-c", code]},
        },
    }


def runtime() -> Tree:
    """A runtime whose image is the machine's own Python."""
    container = {"name": "node", "image": "python:3.11"}
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    node = {
        "name": "node",
        "template": {
            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
            "spec": {"template": {"spec": pod}},
        },
    }
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "ClusterTrainingRuntime",
        "metadata": {"name": "bench", "labels": {"trainer.kubeflow.org/framework": "plain"}},
        "spec": {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": [node]}}},
    }
