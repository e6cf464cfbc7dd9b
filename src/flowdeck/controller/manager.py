"""Runs controllers: starts the informers that they need, turns changes into keys, works on the keys."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.cached import ASKING, CachedClient
from flowdeck.controller.contract import Controller, Feeds, Maps, Terminal
from flowdeck.controller.events import held_back
from flowdeck.controller.informer import Informers
from flowdeck.controller.queue import WorkQueue
from flowdeck.kube.errors import ApiError, Conflict, NotFound
from flowdeck.kube.objects import Kind, ObjectKey, Tree, key_of

WORKERS = 8
"""Keys of one controller that are worked on at the same time."""

log = structlog.get_logger()

ControllerFactory = Callable[[Client], Sequence[Controller]]


@dataclass
class Counts:
    """What a controller has done, for `/metrics`."""

    reconciled: int = 0
    failed: int = 0
    seconds: float = 0.0


@dataclass
class _Running:
    controller: Controller
    queue: WorkQueue = field(default_factory=WorkQueue)
    counts: Counts = field(default_factory=Counts)
    timers: dict[ObjectKey, "asyncio.Task[None]"] = field(default_factory=dict)


class Manager:
    """The controllers of one process, on one set of informers.

    `kinds` are what the controllers read often; the kinds that they name and watch are cached in any case.
    """

    def __init__(self, client: Client, clock: Clock, make: ControllerFactory, kinds: Sequence[Kind] = ()) -> None:
        self._clock = clock
        self.informers = Informers(client, clock)
        self.client = CachedClient(client, self.informers)
        """What the controllers were made with."""
        controllers = make(self.client)
        for kind in kinds:
            self.informers.add(kind)
        self._feeds = ExitStack()
        self._running = {controller.name: _Running(controller) for controller in controllers}
        if len(self._running) != len(controllers):
            raise ValueError("two controllers have the same name")
        for running in self._running.values():
            self._connect(running)

    @property
    def counts(self) -> dict[str, Counts]:
        """By controller name."""
        return {name: running.counts for name, running in self._running.items()}

    def depths(self) -> dict[str, int]:
        """How many keys wait, by controller name."""
        return {name: len(running.queue) for name, running in self._running.items()}

    @property
    def is_idle(self) -> bool:
        """No key waits and none is worked on."""
        return all(running.queue.is_idle for running in self._running.values())

    def reconcile_all(self) -> None:
        """Asks every controller to look at all its objects again."""
        for running in self._running.values():
            for kind, to in _sources(running.controller):
                for obj in self.informers.add(kind).list():
                    for key in to(obj):
                        running.queue.add(key)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        with self._feeds:
            await self._run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for informer in self.informers:
                tasks.create_task(informer.run(), name=f"informer {informer.kind.resource}")
            for informer in self.informers:
                await informer.wait_synced()
            for running in self._running.values():
                for number in range(WORKERS):
                    tasks.create_task(self._work(running, tasks), name=f"{running.controller.name} {number}")

    def _connect(self, running: _Running) -> None:
        for kind, to in _sources(running.controller):
            self._on_change(kind, to, running.queue)
        for source in running.controller.watches:
            if isinstance(source, Feeds):
                disconnect = source.connect(running.queue.add)
                if disconnect is not None:
                    self._feeds.callback(disconnect)

    def _on_change(self, kind: Kind, to: Callable[[Tree], Iterable[ObjectKey]], queue: WorkQueue) -> None:
        def changed(old: Tree | None, new: Tree | None) -> None:
            for obj in (old, new):
                for key in to(obj) if obj is not None else ():
                    queue.add(key)

        self.informers.add(kind).add_handler(changed)

    async def _work(self, running: _Running, tasks: asyncio.TaskGroup) -> None:
        queue, controller = running.queue, running.controller
        ASKING.set(controller.name)
        while True:
            key = await queue.take()
            with held_back() as events:
                wait_s = await self._reconcile(running, key)
            await events.release()
            queue.done(key)
            if wait_s is not None:
                timer = running.timers.pop(key, None)
                if timer is not None:
                    timer.cancel()
                running.timers[key] = tasks.create_task(
                    self._later(running, key, wait_s), name=f"{controller.name} timer"
                )

    async def _reconcile(self, running: _Running, key: ObjectKey) -> float | None:
        """One reconcile; gives the seconds after which to look again."""
        name = running.controller.name
        began = self._clock.monotonic()
        try:
            result = await running.controller.reconcile(key)
        except Terminal as error:
            log.error("cannot be reconciled", controller=name, key=str(key), error=str(error))
            running.counts.failed += 1
            running.queue.succeeded(key)
            return None
        except (Conflict, NotFound) as error:
            log.debug("the world has moved on, trying again", controller=name, key=str(key), error=str(error))
            return running.queue.failed(key)
        except (ApiError, OSError) as error:
            running.counts.failed += 1
            log.warning("reconcile failed", controller=name, key=str(key), error=str(error))
            return running.queue.failed(key)
        except Exception:
            running.counts.failed += 1
            log.exception("reconcile raised", controller=name, key=str(key))
            return running.queue.failed(key)
        finally:
            running.counts.reconciled += 1
            running.counts.seconds += self._clock.monotonic() - began
        running.queue.succeeded(key)
        return result.look_again_in_s

    async def _later(self, running: _Running, key: ObjectKey, seconds: float) -> None:
        await self._clock.sleep(seconds)
        running.timers.pop(key, None)
        running.queue.add(key)


def _sources(controller: Controller) -> Iterable[tuple[Kind, Callable[[Tree], Iterable[ObjectKey]]]]:
    """The kinds whose changes make keys, and how."""
    if controller.kind is not None:
        yield controller.kind, lambda obj: [key_of(obj)]
    for source in controller.watches:
        if isinstance(source, Maps):
            yield source.kind, source.to
