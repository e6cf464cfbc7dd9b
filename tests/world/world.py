"""A world: API server, controllers and a fake clock in one event loop.

    await world.create(obj)            stores an object (its apiVersion and kind say where)
    await world.settle()               lets all controllers work until nothing is left to do
    await world.advance(seconds=61)    moves the clock, then settles
    await world.get(KIND, "name")      the object as it is now

At the end every controller looks at everything once more, and nothing may be written.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowdeck.client.base import Client
from flowdeck.clock import Clock, FakeClock
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.controller.manager import Manager
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.embedded.apiserver.direct_client import DirectClient
from flowdeck.embedded.apiserver.pki import Pki
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of

REST_S = 60  # of real time: a reconcile may wait for a thread, which counts no turns of the loop

MakeControllers = Callable[[Client, Clock], Sequence[Controller]]


@dataclass
class World:
    """See the module's text."""

    clock: FakeClock
    api: ApiServer
    manager: Manager | None = None
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    @classmethod
    async def open(cls, folder: Path, *, rules: Sequence[AdmissionRule] = ()) -> "World":
        """A world without controllers; `rules` are the admission rules of components."""
        clock = FakeClock()
        api = ApiServer.open(folder / "store.db", Pki(folder / "pki"), clock, rules=rules)
        await api.bootstrap()
        return cls(clock, api)

    @property
    def client(self) -> DirectClient:
        return self.api.client

    async def start(self, make: MakeControllers) -> None:
        """Starts controllers, and lets them settle; `make` gets the cached client and the clock."""
        self.begin(make)
        await self.settle()

    def begin(self, make: MakeControllers) -> None:
        """Starts controllers, which work whenever the test waits for something."""
        self.manager = Manager(self.client, self.clock, lambda client: make(client, self.clock))
        self._tasks.append(asyncio.create_task(self.manager.run()))

    async def kill(self) -> None:
        """Ends the controllers wherever they are, as a crash would; `start` starts others on what is stored."""
        self.manager = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Returns when no controller has anything to do and every change was seen."""
        try:
            async with asyncio.timeout(REST_S):
                await self._rest()
        except TimeoutError:
            depths = self.manager and self.manager.depths()
            raise AssertionError(f"the world does not come to rest in {REST_S} s: {depths}") from None

    async def _rest(self) -> None:
        quiet = 0
        while quiet <= 3:
            self._raise_failures()
            quiet = quiet + 1 if self._is_quiet() else 0
            await self.turns(1)

    async def turns(self, number: int) -> None:
        """Lets everybody work for so many turns of the loop; a write is one, however long the disk takes."""
        for _ in range(number):
            await asyncio.sleep(0)
            if self.api.store.is_writing:
                await self.api.store.written()

    async def advance(self, *, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.settle()

    def _is_quiet(self) -> bool:
        if self.api.store.is_writing:
            return False
        if self.manager is None:
            return True
        return self.manager.is_idle and all(
            informer.is_synced and informer.revision >= self.api.store.last_change(informer.kind.resource)
            for informer in self.manager.informers
        )

    def _raise_failures(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    async def create(self, obj: Tree) -> Tree:
        return await self.client.create(self.kind_of(obj), obj)

    async def get(self, kind: Kind, name: str, namespace: str = "default") -> Tree:
        return await self.client.get(kind, ObjectKey(namespace if kind.namespaced else "", name))

    async def list(self, kind: Kind, namespace: str = "", labels: str = "") -> Sequence[Tree]:
        return (await self.client.list(kind, namespace=namespace, labels=labels)).items

    async def exists(self, kind: Kind, name: str, namespace: str = "default") -> bool:
        try:
            await self.get(kind, name, namespace)
        except NotFound:
            return False
        return True

    async def condition(self, kind: Kind, name: str, type_: str, namespace: str = "default") -> tuple[str, str] | None:
        """`(status, reason)` of a condition, None when there is none."""
        found = find_condition(await self.get(kind, name, namespace), type_)
        return (found["status"], found["reason"]) if found else None

    async def set_status(self, kind: Kind, name: str, namespace: str = "default", **status: Any) -> Tree:
        """Plays another controller (the node): patches status, then settles."""
        obj = await self.client.patch_status(kind, ObjectKey(namespace, name), {"status": status})
        await self.settle()
        return obj

    def kind_of(self, obj: Tree) -> Kind:
        group = obj["apiVersion"].rpartition("/")[0]
        resource = self.api.registry.by_kind(group, obj["kind"])
        assert resource is not None, f"{obj['apiVersion']} {obj['kind']} is not served"
        return resource.kind

    async def close(self, *, check: bool = True) -> None:
        """Looks at everything once more (nothing may be written), then stops."""
        try:
            if check and self.manager is not None:
                await self.settle()
                before = self.api.store.revision
                self.manager.reconcile_all()
                await self.settle()
                assert self.api.store.revision == before, self._told_since(before)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.api.end()

    def _told_since(self, revision: int) -> str:
        changes = self.api.store.changes_since(revision)
        told = [f"{c.entry.key.resource} {key_of(c.entry.tree)}: {c.entry.tree.get('status')}" for c in changes]
        return "reconciling again wrote: " + "; ".join(told)
