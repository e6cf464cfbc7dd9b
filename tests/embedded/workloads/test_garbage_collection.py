"""What becomes of objects whose owners go."""

import pytest

from flowdeck.controller.events import EventRecorder
from flowdeck.embedded.workloads.garbage_collection import GarbageCollector
from flowdeck.kube.kinds import CONFIG_MAP, EVENT, NAMESPACE, SECRET
from flowdeck.kube.objects import ObjectKey, owner_reference


@pytest.fixture
async def gc(world):
    def make(client, clock):
        events = EventRecorder(client, clock, "garbage-collector-controller")
        return [GarbageCollector(client=client, events=events, store=world.api.store, registry=world.api.registry)]

    await world.start(make)
    return world


async def an_object(world, name, *owners, kind="ConfigMap", namespace="default", **meta):
    refs = [owner_reference(owner, controller=False) for owner in owners]
    metadata = {"name": name, "namespace": namespace, **meta} | ({"ownerReferences": refs} if refs else {})
    obj = await world.create({"apiVersion": "v1", "kind": kind, "metadata": metadata})
    await world.settle()
    return obj


def key(name, namespace="default"):
    return ObjectKey(namespace, name)


async def test_dependents_go_with_their_owner(gc):
    a = await an_object(gc, "a")
    b = await an_object(gc, "b", a, kind="Secret")
    await an_object(gc, "c", b)
    await gc.client.delete(CONFIG_MAP, key("a"))
    await gc.settle()
    assert not await gc.exists(SECRET, "b")
    assert not await gc.exists(CONFIG_MAP, "c")


async def test_a_dependent_stays_while_one_owner_is_left(gc):
    a, b = await an_object(gc, "a"), await an_object(gc, "b")
    await an_object(gc, "c", a, b)
    await gc.client.delete(CONFIG_MAP, key("a"))
    await gc.settle()
    refs = (await gc.get(CONFIG_MAP, "c"))["metadata"]["ownerReferences"]
    assert [ref["name"] for ref in refs] == ["b"]


async def test_foreground_deletion_waits_for_the_dependents(gc):
    a = await an_object(gc, "a")
    await an_object(gc, "b", a, finalizers=["example.com/hold"])
    await gc.client.delete(CONFIG_MAP, key("a"), propagation="Foreground")
    await gc.settle()
    assert (await gc.get(CONFIG_MAP, "a"))["metadata"]["deletionTimestamp"]
    assert (await gc.get(CONFIG_MAP, "b"))["metadata"]["deletionTimestamp"]
    await gc.client.patch(CONFIG_MAP, key("b"), {"metadata": {"finalizers": None}})
    await gc.settle()
    assert not await gc.exists(CONFIG_MAP, "b")
    assert not await gc.exists(CONFIG_MAP, "a")


async def test_foreground_deletion_goes_down_all_levels_from_the_bottom(gc):
    a = await an_object(gc, "a")
    b = await an_object(gc, "b", a)
    await an_object(gc, "c", b, finalizers=["example.com/hold"])
    await gc.client.delete(CONFIG_MAP, key("a"), propagation="Foreground")
    await gc.settle()
    assert await gc.exists(CONFIG_MAP, "b")
    await gc.client.patch(CONFIG_MAP, key("c"), {"metadata": {"finalizers": None}})
    await gc.settle()
    assert not await gc.list(CONFIG_MAP, "default", labels="")


async def test_owners_in_a_circle_do_not_wait_for_each_other_for_ever(gc):
    a = await an_object(gc, "a")
    b = await an_object(gc, "b", a)
    patch = {"metadata": {"ownerReferences": [owner_reference(b, controller=False)]}}
    await gc.client.patch(CONFIG_MAP, key("a"), patch)
    await gc.settle()
    await gc.client.delete(CONFIG_MAP, key("a"), propagation="Foreground")
    await gc.settle()
    assert not await gc.list(CONFIG_MAP, "default")


async def test_orphans_stay_and_forget_their_owner(gc):
    a = await an_object(gc, "a")
    await an_object(gc, "b", a)
    await gc.client.delete(CONFIG_MAP, key("a"), propagation="Orphan")
    await gc.settle()
    assert not await gc.exists(CONFIG_MAP, "a")
    assert "ownerReferences" not in (await gc.get(CONFIG_MAP, "b"))["metadata"]


async def test_an_object_whose_owner_never_was_is_deleted(gc):
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such-uid"}}
    await an_object(gc, "a", ghost)
    assert not await gc.exists(CONFIG_MAP, "a")


async def test_an_owner_of_that_name_but_another_uid_is_not_the_owner(gc):
    a = await an_object(gc, "a")
    await an_object(gc, "b", {**a, "metadata": {**a["metadata"], "uid": "another"}})
    assert not await gc.exists(CONFIG_MAP, "b")


async def test_an_owner_in_another_namespace_does_not_count_and_an_event_says_so(gc):
    await gc.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    a = await an_object(gc, "a", namespace="other")
    await an_object(gc, "b", a)
    assert not await gc.exists(CONFIG_MAP, "b")
    assert [event["reason"] for event in await gc.list(EVENT)] == ["OwnerRefInvalidNamespace"]


async def test_a_namespaced_owner_of_a_cluster_wide_object_is_left_unresolved(gc):
    a = await an_object(gc, "a")
    metadata = {"name": "n", "ownerReferences": [owner_reference(a, controller=False)]}
    await gc.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    await gc.settle()
    assert await gc.exists(NAMESPACE, "n")


async def test_an_owner_of_an_unknown_kind_is_left_unresolved(gc):
    stranger = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x", "uid": "y"}}
    await an_object(gc, "a", stranger)
    assert await gc.exists(CONFIG_MAP, "a")


async def test_what_was_left_behind_by_a_crash_is_found_at_the_next_start(world):
    a = await an_object(world, "a")
    await an_object(world, "b", a)
    await world.client.delete(CONFIG_MAP, key("a"))
    await world.start(
        lambda client, clock: [
            GarbageCollector(
                client=client,
                events=EventRecorder(client, clock, "gc"),
                store=world.api.store,
                registry=world.api.registry,
            )
        ]
    )
    assert not await world.exists(CONFIG_MAP, "b")
