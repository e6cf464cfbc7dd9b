"""An informer shows what there is, through deletions that only the deleter knows of and watches that break off."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.controller.makers import a_config_map

from flowdeck.client.base import Client, WatchEvent
from flowdeck.clock import FakeClock
from flowdeck.controller.informer import RETRY_S, Informer
from flowdeck.embedded.store import store as store_module
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import ObjectKey, key_of, uid_of


@contextlib.asynccontextmanager
async def running(informer):
    task = asyncio.ensure_future(informer.run())
    try:
        await informer.wait_synced()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def informer(world):
    return Informer(CONFIG_MAP, world.client, world.clock)


async def test_an_object_that_its_deleter_knows_to_be_gone_is_hidden(world, informer):
    async with running(informer):
        gone = await world.create(a_config_map("a"))
        await informer.wait_for(int(gone["metadata"]["resourceVersion"]))
        informer.forget(gone)
        assert informer.find(key_of(gone)) is None
        assert informer.list("default") == []


async def test_a_deletion_that_was_missed_is_told_of_after_a_new_list_even_where_the_object_was_hidden(world, informer):
    told = []
    async with running(informer):
        gone = await world.create(a_config_map("a"))
        await informer.wait_for(int(gone["metadata"]["resourceVersion"]))
    informer.add_handler(lambda old, new: told.append((old, new)))
    informer.forget(gone)
    await world.client.delete(CONFIG_MAP, key_of(gone))
    informer.is_synced = False
    told.clear()
    async with running(informer):
        assert [(old["metadata"]["name"], new) for old, new in told if old] == [("a", None)]


async def test_an_object_made_anew_in_the_place_of_a_hidden_one_is_shown(world, informer):
    async with running(informer):
        first = await world.create(a_config_map("a"))
        await informer.wait_for(int(first["metadata"]["resourceVersion"]))
    informer.forget(first)
    await world.client.delete(CONFIG_MAP, key_of(first))
    second = await world.create(a_config_map("a"))
    informer.is_synced = False
    async with running(informer):
        assert uid_of(informer.find(ObjectKey("default", "a")) or {}) == uid_of(second)


async def test_changes_that_are_compacted_away_are_learnt_from_a_new_list(world, informer, monkeypatch):
    for name in ("kept", "changed", "deleted"):
        await world.create(a_config_map(name))
    async with running(informer):
        pass
    monkeypatch.setattr(store_module, "HISTORY_EVENTS", 2)
    await world.client.delete(CONFIG_MAP, ObjectKey("default", "deleted"))
    await world.client.patch(CONFIG_MAP, ObjectKey("default", "changed"), {"data": {"x": "1"}})
    for name in ("made", "made-later", "made-last"):
        await world.create(a_config_map(name))
    told = []
    informer.add_handler(lambda old, new: told.append((old and key_of(old).name, new and key_of(new).name)))
    told.clear()
    latest = await world.create(a_config_map("z"))
    async with running(informer), asyncio.timeout(5):
        await informer.wait_for(int(latest["metadata"]["resourceVersion"]))
        assert [key_of(obj).name for obj in informer.list("default")] == [
            "changed",
            "kept",
            "made",
            "made-last",
            "made-later",
            "z",
        ]
    assert set(told) == {
        ("deleted", None),
        ("changed", "changed"),
        (None, "made"),
        (None, "made-last"),
        (None, "made-later"),
        (None, "z"),
    }


@dataclass
class Unsteady:
    """A client whose watches all break off as soon as they are open."""

    client: Client
    watches: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(self, kind):
        return await self.client.list(kind)

    @contextlib.asynccontextmanager
    async def watch(self, kind, *, resource_version) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        self.watches += 1
        self.opened.set()
        yield self._events()
        raise AssertionError("read to its end")

    async def _events(self):
        raise OSError("the connection broke off")
        yield


async def test_watches_that_were_answered_and_broke_off_do_not_make_the_next_wait_longer(world):
    clock = FakeClock()
    unsteady = Unsteady(world.client)
    async with running(Informer(CONFIG_MAP, unsteady, clock)):
        for number in range(1, 12):
            while unsteady.watches < number:
                unsteady.opened.clear()
                await asyncio.wait_for(unsteady.opened.wait(), 30)
            await clock.until_asleep()
            clock.advance(RETRY_S[0] * 1.5)
