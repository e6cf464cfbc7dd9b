"""Lists by label and by field, from the cache."""

from dataclasses import dataclass

import pytest

from flowdeck.client.base import Client
from flowdeck.controller.contract import DONE
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import ObjectKey


@dataclass(frozen=True)
class Idle:
    """A controller that only makes the manager cache a kind."""

    client: Client
    name = "idle"
    kind = CONFIG_MAP
    watches = ()

    async def reconcile(self, key):
        return DONE


@pytest.fixture
async def client(world):
    kept = []

    def make(client, clock):
        kept.append(client)
        return [Idle(client)]

    await world.start(make)
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    return kept[0]


async def put(client, name, namespace="default", **labels):
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    await client.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


async def names(client, **question):
    return [obj["metadata"]["name"] for obj in (await client.list(CONFIG_MAP, **question)).items]


async def test_lists_by_label_follow_every_change(client):
    await put(client, "b", app="x", tier="1")
    await put(client, "a", app="x", tier="2")
    await put(client, "c", "other", app="x")
    assert await names(client, labels="app=x") == ["a", "b", "c"]
    assert await names(client, labels="app=x,tier!=2", namespace="default") == ["b"]
    await client.patch(CONFIG_MAP, ObjectKey("default", "a"), {"metadata": {"labels": {"app": "y"}}})
    assert await names(client, labels="app=x", namespace="default") == ["b"]
    assert await names(client, labels="app=y") == ["a"]
    await client.delete(CONFIG_MAP, ObjectKey("default", "b"))
    assert await names(client, labels="app=x", namespace="default") == []
    assert await names(client, labels="app", namespace="other") == ["c"]


async def test_lists_by_field_follow_every_change(client):
    await put(client, "a")
    await put(client, "b")
    assert await names(client, fields="immutable=") == ["a", "b"]
    await client.patch(CONFIG_MAP, ObjectKey("default", "a"), {"immutable": True})
    assert await names(client, fields="immutable=true") == ["a"]
    assert await names(client, fields="immutable=") == ["b"]
