"""Events tell once of what happened, after it happened."""

import pytest
from tests.controller.makers import a_pod

from flowdeck.controller.events import MAX_MESSAGE, REMEMBERED, EventRecorder, held_back
from flowdeck.kube.kinds import EVENT, POD
from flowdeck.kube.objects import key_of


@pytest.fixture
async def pod(world):
    return await world.create(a_pod())


@pytest.fixture
def events(world):
    return EventRecorder(world.client, world.clock, "tester", "n1")


async def told(world):
    return [(event["reason"], event["message"], event["count"]) for event in await world.list(EVENT, "default")]


async def test_an_event_says_what_of_whom_when_and_by_whom(world, events, pod):
    await events.event(pod, type="Warning", reason="Failed", message="it broke")
    (event,) = await world.list(EVENT, "default")
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "default",
        "name": "p",
        "uid": pod["metadata"]["uid"],
        "resourceVersion": pod["metadata"]["resourceVersion"],
    }
    assert (event["type"], event["reason"], event["message"], event["count"]) == ("Warning", "Failed", "it broke", 1)
    assert event["source"] == {"component": "tester", "host": "n1"}
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-01-01T00:00:00Z"
    assert event["metadata"]["name"].startswith("p.")


async def test_the_same_message_about_the_same_object_is_one_event_that_counts(world, events, pod):
    for _ in range(3):
        await events.event(pod, reason="BackOff", message="waiting")
        world.clock.advance(60)
    (event,) = await world.list(EVENT, "default")
    assert event["count"] == 3
    assert (event["firstTimestamp"], event["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:02:00Z")


@pytest.mark.parametrize("other", [{"reason": "Other"}, {"message": "other"}, {"type": "Warning"}])
async def test_another_reason_message_or_type_is_another_event(world, events, pod, other):
    said = {"type": "Normal", "reason": "BackOff", "message": "waiting"}
    await events.event(pod, **said)
    await events.event(pod, **said | other)
    assert [count for _, _, count in await told(world)] == [1, 1]


async def test_an_object_made_anew_under_the_same_name_has_events_of_its_own(world, events, pod):
    await events.event(pod, reason="Started", message="running")
    await world.client.delete(POD, key_of(pod), grace_period_s=0)
    await events.event(await world.create(a_pod()), reason="Started", message="running")
    assert await told(world) == [("Started", "running", 1)] * 2


async def test_an_event_that_somebody_deleted_is_told_anew(world, events, pod):
    await events.event(pod, reason="BackOff", message="waiting")
    (event,) = await world.list(EVENT, "default")
    await world.client.delete(EVENT, key_of(event))
    await events.event(pod, reason="BackOff", message="waiting")
    assert await told(world) == [("BackOff", "waiting", 1)]


async def test_only_the_latest_events_are_remembered(events, pod):
    for number in range(REMEMBERED + 1):
        events._remember(str(number), key_of(pod), 1)
    assert len(events._told) == REMEMBERED
    assert "0" not in events._told


async def test_a_long_message_is_cut(world, events, pod):
    await events.event(pod, reason="Long", message="x" * 5000)
    (event,) = await world.list(EVENT, "default")
    assert event["message"] == "x" * MAX_MESSAGE


async def test_an_event_that_cannot_be_written_is_nobodys_error(world, events, pod):
    lost = {**pod, "metadata": {**pod["metadata"], "namespace": "gone"}}
    await events.event(lost, reason="Started", message="running")
    assert await told(world) == []


async def test_events_that_are_held_back_are_written_when_they_are_released(world, events, pod):
    with held_back() as held:
        await events.event(pod, reason="Started", message="running")
        world.clock.advance(60)
        assert await told(world) == []
    assert await told(world) == []
    await held.release()
    (event,) = await world.list(EVENT, "default")
    assert event["firstTimestamp"] == "2026-01-01T00:00:00Z"
    await events.event(pod, reason="Stopped", message="at once, outside of the block")
    assert len(await told(world)) == 2
