"""All pods of this node: a worker for each, fed by an informer; and what is left of pods that are gone."""

import asyncio
from collections.abc import Sequence
from typing import Generic

import structlog

from flowdeck.controller.informer import Informer
from flowdeck.embedded.node.pods.acting import Acting, K
from flowdeck.embedded.node.pods.decide import SETTLED
from flowdeck.embedded.node.pods.means import Basics
from flowdeck.embedded.node.pods.worker import PodWorker
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_being_deleted, key_of, uid_of

log = structlog.get_logger()


class Roster(Generic[K]):
    """The pods of one node, by uid and by name."""

    def __init__(self, informer: Informer, means: Basics, acting: Acting[K]) -> None:
        self._informer = informer
        self._means = means
        self._acting = acting
        self._workers: dict[str, PodWorker[K]] = {}
        self._by_key: dict[ObjectKey, str] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._recalled = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; the containers stay."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await self._informer.wait_synced()
            self._take_in_orphans()
            self._informer.add_handler(self._on_change)
            for worker in self.workers():
                await worker.recalled.wait()
            self._recalled.set()
            await asyncio.Event().wait()

    async def recalled(self) -> None:
        """Returns once it is known of all pods that were here before what became of them."""
        await self._recalled.wait()

    def find(self, key: ObjectKey) -> PodWorker[K] | None:
        """The worker of the pod that has that name now."""
        uid = self._by_key.get(key)
        return self._workers.get(uid) if uid else None

    def workers(self) -> Sequence[PodWorker[K]]:
        return list(self._workers.values())

    def pods(self) -> Sequence[Tree]:
        """The objects, as they were last seen."""
        return [worker.pod for worker in self._workers.values()]

    def _on_change(self, old: Tree | None, new: Tree | None) -> None:
        if (
            old is not None
            and (new is None or uid_of(new) != uid_of(old))
            and (worker := self._workers.get(uid_of(old)))
        ):
            worker.is_gone()
        if new is None:
            return
        uid = uid_of(new)
        self._by_key[key_of(new)] = uid
        if worker := self._workers.get(uid):
            worker.update(new)
        elif self._is_work(new):
            self._employ(new)

    def _is_work(self, pod: Tree) -> bool:
        """False for a pod that was finished and cleared away before this process began."""
        is_over = get_in(pod, "status", "phase") in SETTLED and not is_being_deleted(pod)
        return not is_over or self._acting.is_here(uid_of(pod))

    def _employ(self, pod: Tree) -> PodWorker[K]:
        worker = PodWorker(pod, self._means, self._acting)
        self._workers[worker.uid] = worker
        assert self._tasks is not None
        self._tasks.create_task(self._run(worker), name=f"pod {worker.key}")
        return worker

    async def _run(self, worker: PodWorker[K]) -> None:
        """One pod that goes wrong in a way nobody thought of must not take the others along: it is tried again."""
        pause = 1.0
        while True:
            try:
                await worker.run()
                break
            except* Exception as group:
                log.exception("pod worker failed, starting it again", pod=str(worker.key), exc_info=group)
            worker.recalled.set()
            if (us := asyncio.current_task()) and us.cancelling():
                raise asyncio.CancelledError  # a group that fails while it is cancelled tells only of the failure
            await self._means.clock.sleep(pause)
            pause = min(60.0, pause * 2)
            worker = self._workers[worker.uid] = PodWorker(worker.pod, self._means, self._acting)
            if self._informer.find(worker.key) is None:
                worker.is_gone()
        del self._workers[worker.uid]
        if self._by_key.get(worker.key) == worker.uid:
            del self._by_key[worker.key]

    def _take_in_orphans(self) -> None:
        """Pods on this machine whose objects were deleted while nobody looked are stopped and cleared away."""
        known = {uid_of(pod) for pod in self._informer.list()}
        for pod in self._acting.left_behind(known):
            self._employ(pod).is_gone()
