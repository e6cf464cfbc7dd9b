"""What the node's HTTP front asks of the pods (`contract.Runtime`)."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from flowdeck.embedded.node.contract import Streams
from flowdeck.embedded.node.control_groups import Rates, Used
from flowdeck.embedded.node.pods.attempts import attempt_folder, log_files
from flowdeck.embedded.node.pods.keeper import Keeper
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.roster import Roster
from flowdeck.embedded.node.pods.worker import PodWorker
from flowdeck.embedded.node.sandbox import files
from flowdeck.embedded.node.sandbox.client import AttachedStreams, visit
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.kube.times import format_time

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")


@dataclass
class PodRuntime:
    """Implements `Runtime` over a roster."""

    roster: Roster[Keeper]
    means: Means
    _rates: Rates = field(default_factory=Rates)

    async def log_files(self, pod: ObjectKey, container: str, *, previous: bool) -> Sequence[Path]:
        await self.roster.recalled()
        keeper = self._keeper(pod, container)
        run = keeper.seen.previous if previous else keeper.seen.run
        if run is None:
            if previous:
                raise BadRequest(f'previous terminated container "{container}" in pod "{pod.name}" not found')
            waiting = keeper.seen.waiting
            if waiting and waiting.reason in _NO_IMAGE:
                why = "trying and failing to pull image"
            else:
                why = (waiting and waiting.reason) or "ContainerCreating"
            raise BadRequest(f'container "{container}" in pod "{pod.name}" is waiting to start: {why}')
        plan = files.read(str(attempt_folder(keeper.place.folder, container, run.attempt) / "plan.json"))
        return log_files(Path(plan["log"])) if plan else []

    async def past_log_files(self, pod: ObjectKey, container: str) -> Sequence[Path]:
        return await asyncio.to_thread(self.means.past_logs.find, pod, container)

    async def running(self, pod: ObjectKey) -> Collection[str]:
        await self.roster.recalled()
        worker = self.roster.find(pod)
        return [name for name, keeper in worker.keepers.items() if keeper.seen.is_running] if worker else []

    async def exec(self, pod: ObjectKey, container: str, command: Sequence[str], *, tty: bool, stdin: bool) -> Streams:
        folder = self._running_folder(pod, container)
        return visit(self.means.zygote, folder, command, tty=tty, stdin=stdin)

    async def attach(self, pod: ObjectKey, container: str, *, stdin: bool, tty: bool) -> Streams:
        streams = await AttachedStreams.to(self._running_folder(pod, container))
        if streams is None:
            raise NotFound(f"container {container} not found in pod {pod.name}_{pod.namespace}: it ended")
        return streams

    async def dial(self, pod: ObjectKey, port: int) -> tuple[int, str]:
        worker = self._worker(pod)
        address = worker.seen().ip
        if not address or not any(keeper.seen.is_running for keeper in worker.keepers.values()):
            raise BadRequest(f"unable to forward port because pod is not running. Current status={_phase(worker)}")
        connected = await self.means.dial(address, port)
        return connected.detach(), f"{address}:{port}"

    async def usage(self) -> Sequence[Tree]:
        return await asyncio.to_thread(self._usage)

    def _usage(self) -> Sequence[Tree]:
        found = []
        for worker in self.roster.workers():
            containers = [tree for keeper in worker.keepers.values() if (tree := self._container_usage(worker, keeper))]
            started = worker.seen().started_at
            if containers and started:
                namespace, name = worker.key
                found.append(
                    {"namespace": namespace, "name": name, "uid": worker.uid, "startTime": format_time(started),
                     "containers": containers}
                )  # fmt: skip
        return found

    def _container_usage(self, worker: PodWorker[Keeper], keeper: Keeper) -> Tree | None:
        run, folder = keeper.seen.run, keeper.folder
        if run is None or not run.is_running or folder is None or run.started_at is None:
            return None
        plan = files.read(str(folder / "plan.json")) or {}
        used = self.means.control_groups.used(plan.get("control_groups") or []) or used_by_processes(keeper.pid)
        return {
            "name": keeper.name,
            "startTime": format_time(run.started_at),
            "cpuNanoCores": self._rates.nano_cores(run.id, used.cpu_ns),
            "cpuNanoSeconds": used.cpu_ns,
            "memoryBytes": used.memory_bytes,
            "memoryWorkingSetBytes": used.working_set_bytes,
        }

    def _worker(self, pod: ObjectKey) -> PodWorker[Keeper]:
        worker = self.roster.find(pod)
        if worker is None:
            raise NotFound(f'pods "{pod.name}" not found', kind="pods", name=pod.name)
        return worker

    def _keeper(self, pod: ObjectKey, container: str) -> Keeper:
        worker = self._worker(pod)
        if container not in worker.keepers:
            raise BadRequest(f"container {container} is not valid for pod {pod.name}")
        return worker.keepers[container]

    def _running_folder(self, pod: ObjectKey, container: str) -> Path:
        keeper = self._keeper(pod, container)
        if not keeper.seen.is_running or keeper.folder is None:
            raise NotFound(f'container not found ("{container}")')
        return keeper.folder


def _phase(worker: PodWorker[Keeper]) -> str:
    return str((worker.pod.get("status") or {}).get("phase") or "Pending")


def used_by_processes(pid: int) -> Used:
    """What a process and all below it use, where no control group counts."""
    cpu, memory = 0.0, 0
    try:
        first = psutil.Process(pid)
        for process in [first, *first.children(recursive=True)]:
            with process.oneshot():
                times = process.cpu_times()
                cpu += times.user + times.system
                memory += process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError):
        pass
    return Used(int(cpu * 1e9), memory, memory)
