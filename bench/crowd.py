"""Many TrainJobs of two nodes each, submitted at once, on a node that runs nothing: what the controllers cost."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.pods import CLUSTER_TRAINING_RUNTIME, TRAIN_JOB, runtime, train_job
from flowdeck.client.http import HttpClient
from flowdeck.clock import SystemClock
from flowdeck.controller.informer import Informer
from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import JOB_SET
from flowdeck.kube.objects import Kind, Tree

SUBMITTERS = 16
WRITES = ("create", "update", "patch", "apply", "delete", "deletecollection")
OURS = ("trainjob", "jobset")
"""Names of the controllers that are ours on any cluster."""

Asked = Counter[tuple[str, str, str]]
"""Requests of controllers by controller, verb and resource."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where they are submitted."""

    client: HttpClient
    controllers: Sequence[psutil.Process]
    """The process of our controllers; embedded, it is the API server's as well."""
    control_plane: Sequence[psutil.Process]
    """All processes but the node's."""
    metrics: Callable[[], Awaitable[str]]
    """What our controllers say of themselves."""


@dataclass
class Crowd:
    """What was seen of the TrainJobs of one run."""

    size: int
    created: dict[str, float] = field(default_factory=dict)
    to_job_set: dict[str, float] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    """From the first create to the last TrainJob that is complete."""
    controllers_s: float = 0.0
    """CPU time of our controllers' process."""
    all_s: float = 0.0
    """CPU time of the control plane."""
    controllers_mb: float = 0.0
    all_mb: float = 0.0
    asked: Asked = field(default_factory=Counter)

    @property
    def waits_s(self) -> Sequence[float]:
        """From the answer to the create to the JobSet."""
        return [max(0.0, moment - self.created[name]) for name, moment in self.to_job_set.items()]

    def each(self, verbs: Sequence[str]) -> float:
        """Requests of our controllers a TrainJob."""
        return sum(n for (who, verb, _), n in self.asked.items() if who in OURS and verb in verbs) / self.size


def asked_of(metrics: str) -> Asked:
    """What a manager's `/metrics` says of its requests."""
    found: Asked = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "controller_api_requests_total":
                labels = sample.labels
                found[labels["controller"], labels["verb"], labels["resource"]] += int(sample.value)
    return found


async def run(cluster: Cluster, size: int) -> Crowd:
    """Submits them and waits until all are complete."""
    client, crowd = cluster.client, Crowd(size)
    await client.apply(CLUSTER_TRAINING_RUNTIME, runtime(), manager="bench")
    names = {f"crowd-{size}-{number}" for number in range(size)}
    asked = asked_of(await cluster.metrics())
    crowd.controllers_s, crowd.all_s = -_cpu_s(cluster.controllers), -_cpu_s(cluster.control_plane)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_follow(client, JOB_SET, names, lambda job_set: True, crowd.to_job_set))
        tasks.create_task(_follow(client, TRAIN_JOB, names, _is_over, crowd.finished))
        for number in range(SUBMITTERS):
            tasks.create_task(_submit(client, crowd, sorted(names)[number::SUBMITTERS]))
    crowd.seconds = time.perf_counter() - began
    crowd.controllers_s += _cpu_s(cluster.controllers)
    crowd.all_s += _cpu_s(cluster.control_plane)
    crowd.controllers_mb, crowd.all_mb = _mb(cluster.controllers), _mb(cluster.control_plane)
    crowd.asked = asked_of(await cluster.metrics()) - asked
    return crowd


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _mb(processes: Sequence[psutil.Process]) -> float:
    return sum(float(process.memory_info().rss) for process in processes) / 1e6


async def _submit(client: HttpClient, crowd: Crowd, names: Sequence[str]) -> None:
    for name in names:
        await client.create(TRAIN_JOB, train_job(name, nodes=2))
        crowd.created[name] = time.perf_counter()


async def _follow(
    client: HttpClient, kind: Kind, names: set[str], holds: Callable[[Tree], bool], seen: dict[str, float]
) -> None:
    """Notes when `holds` came true of each, however often the watch breaks off; returns once it did of all."""
    all_seen = asyncio.Event()

    def note(old: Tree | None, new: Tree | None) -> None:
        if new is not None and new["metadata"]["name"] in names and holds(new):
            seen.setdefault(new["metadata"]["name"], time.perf_counter())
            if len(seen) == len(names):
                all_seen.set()

    informer = Informer(kind, client, SystemClock())
    informer.add_handler(note)
    tasks = [asyncio.create_task(informer.run()), asyncio.create_task(all_seen.wait())]
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    for task in done:
        task.result()


def _is_over(job: Tree) -> bool:
    if is_true(job, "Failed"):
        raise RuntimeError(f"TrainJob {job['metadata']['name']} failed: {job['status']}")
    return is_true(job, "Complete")
