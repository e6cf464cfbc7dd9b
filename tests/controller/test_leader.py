"""Of several replicas one leads; the next one leads when it ends, or has not been heard of for a while."""

import asyncio

import pytest

from flowdeck.controller.leader import LeaderElection, LostLease
from flowdeck.kube.kinds import LEASE
from flowdeck.kube.objects import ObjectKey, copy_of

KEY = ObjectKey("kube-system", "flowdeck")


async def for_ever():
    await asyncio.Event().wait()


async def holder(world):
    lease = await world.client.find(LEASE, KEY)
    return lease and lease["spec"]["holderIdentity"]


async def until(world, wanted):
    """Lets time pass until somebody, or nobody (`""`), holds the Lease."""
    async with asyncio.timeout(30):
        while await holder(world) != wanted:
            world.clock.advance(1)
            await world.turns(1)


def election(world, identity):
    return LeaderElection(world.client, world.clock, KEY, identity)


async def test_who_has_done_its_work_gives_the_lease_back(world):
    done = []

    async def lead():
        done.append(await holder(world))

    await election(world, "a").run(lead)
    assert done == ["a"]
    assert await holder(world) == ""


async def test_the_next_leads_when_the_first_is_ended(world):
    first = asyncio.create_task(election(world, "a").run(for_ever))
    await until(world, "a")
    second = asyncio.create_task(election(world, "b").run(for_ever))
    first.cancel()
    await until(world, "b")
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_a_lost_lease_ends_the_work_and_is_left_to_who_has_it(world):
    leading = asyncio.create_task(election(world, "a").run(for_ever))
    await until(world, "a")
    lease = copy_of(await world.client.get(LEASE, KEY))
    lease["spec"] |= {"holderIdentity": "b", "leaseDurationSeconds": 3600}
    await world.client.update(LEASE, lease)
    async with asyncio.timeout(30):
        while not leading.done():
            world.clock.advance(1)
            await world.turns(1)
    with pytest.raises(LostLease):
        leading.result()
    assert await holder(world) == "b"


async def test_who_leads_goes_on_leading_when_the_wall_clock_is_set(world):
    first = asyncio.create_task(election(world, "a").run(for_ever))
    await until(world, "a")
    second = asyncio.create_task(election(world, "b").run(for_ever))
    for jump in (3600, -7200, 86400):
        world.clock.set_wall_clock(jump)
        for _ in range(20):
            await world.clock.until_asleep(2)
            world.clock.advance(1)
        assert await holder(world) == "a"
    assert not first.done()
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
