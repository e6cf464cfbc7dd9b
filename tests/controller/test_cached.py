"""A client with caches sees its own writes, however late the watch brings them."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest
from tests.controller.makers import A, a_config_map, a_pod

from flowdeck.client.base import Client
from flowdeck.controller.cached import CachedClient
from flowdeck.controller.informer import Informers
from flowdeck.kube.kinds import CONFIG_MAP, POD
from flowdeck.kube.objects import ObjectKey, key_of

P = ObjectKey("default", "p")


@dataclass
class Late:
    """A client whose watches bring only as many events as a test lets through."""

    client: Client
    _let: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def let(self, events=1):
        for _ in range(events):
            self._let.release()

    async def list(self, kind):
        return await self.client.list(kind)

    @contextlib.asynccontextmanager
    async def watch(self, kind, *, resource_version):
        async with self.client.watch(kind, resource_version=resource_version) as events:
            yield self._later(events)

    async def _later(self, events):
        async for event in events:
            await self._let.acquire()
            yield event


@pytest.fixture
async def late(world):
    return Late(world.client)


@pytest.fixture
async def client(world, late):
    """Caches ConfigMaps and Pods, of which there are two and one."""
    for obj in (a_config_map(x="1"), a_config_map("b"), a_pod()):
        await world.create(obj)
    informers = Informers(late, world.clock)
    tasks = [asyncio.create_task(informers.add(kind).run()) for kind in (CONFIG_MAP, POD)]
    client = CachedClient(world.client, informers)
    yield client
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def read(late, coroutine):
    """What a read gives that begins before the watch has brought anything."""
    reading = asyncio.ensure_future(coroutine)
    for _ in range(3):
        await asyncio.sleep(0)
    late.let(100)
    async with asyncio.timeout(5):
        return await reading


WRITES = {
    "update": lambda client: client.update(CONFIG_MAP, a_config_map(x="2")),
    "patch": lambda client: client.patch(CONFIG_MAP, A, {"data": {"x": "2"}}),
    "apply": lambda client: client.apply(CONFIG_MAP, a_config_map(x="2"), manager="m"),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_change_is_seen_by_the_next_read(client, late, name):
    await client.get(CONFIG_MAP, A)
    await WRITES[name](client)
    assert (await read(late, client.get(CONFIG_MAP, A)))["data"] == {"x": "2"}


@pytest.mark.parametrize("write", ["update_status", "patch_status"])
async def test_a_status_is_seen_by_the_next_read(client, late, write):
    pod = await client.get(POD, P)
    if write == "update_status":
        await client.update_status(POD, {**pod, "status": {"phase": "Running"}})
    else:
        await client.patch_status(POD, P, {"status": {"phase": "Running"}})
    assert (await read(late, client.get(POD, P)))["status"]["phase"] == "Running"


async def test_what_was_created_is_in_the_next_list(client, late):
    await client.list(CONFIG_MAP)
    await client.create(CONFIG_MAP, a_config_map("c"))
    listed = await read(late, client.list(CONFIG_MAP, namespace="default"))
    assert [key_of(obj).name for obj in listed.items] == ["a", "b", "c"]


async def test_what_was_deleted_is_gone_at_once(client):
    await client.get(CONFIG_MAP, A)
    await client.delete(CONFIG_MAP, A)
    assert await client.find(CONFIG_MAP, A) is None


async def test_what_was_created_and_deleted_before_the_watch_told_of_it_is_gone(client, late):
    await client.list(CONFIG_MAP)
    await client.create(CONFIG_MAP, a_config_map("c"))
    late.let(1)
    await client.delete(CONFIG_MAP, ObjectKey("default", "c"))
    assert await client.find(CONFIG_MAP, ObjectKey("default", "c")) is None


async def test_what_a_deletion_of_many_took_is_gone_at_once_and_the_rest_is_there(client):
    await client.list(CONFIG_MAP)
    await client.delete_all(CONFIG_MAP, namespace="default", labels="app=a")
    assert [key_of(obj).name for obj in (await client.list(CONFIG_MAP, namespace="default")).items] == ["b"]


async def test_what_a_deletion_of_many_only_marked_is_seen_as_marked(client, late):
    await client.patch(CONFIG_MAP, A, {"metadata": {"finalizers": ["example.com/hold"]}})
    late.let(1)
    await client.get(CONFIG_MAP, A)
    await client.delete_all(CONFIG_MAP, namespace="default")
    marked = await read(late, client.get(CONFIG_MAP, A))
    assert "deletionTimestamp" in marked["metadata"]
    await client.patch(CONFIG_MAP, A, {"metadata": {"finalizers": []}})


async def test_what_a_subresource_changed_is_seen_by_the_next_read(client, late):
    await client.get(POD, P)
    await client.create_sub(POD, P, "binding", {"target": {"kind": "Node", "name": "n1"}})
    assert (await read(late, client.get(POD, P)))["spec"]["nodeName"] == "n1"


async def test_a_pod_that_an_eviction_ended_is_gone_at_once(client):
    await client.get(POD, P)
    await client.create_sub(
        POD, P, "eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    )
    assert await client.find(POD, P) is None


async def test_a_dry_run_is_not_waited_for(client):
    await client.create(CONFIG_MAP, a_config_map("c"), dry_run=True)
    await client.update(CONFIG_MAP, a_config_map(x="2"), dry_run=True)
    async with asyncio.timeout(5):
        assert (await client.get(CONFIG_MAP, A))["data"] == {"x": "1"}
