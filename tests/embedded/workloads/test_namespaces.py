"""A namespace on its way in and out."""

import pytest

from flowdeck.embedded.workloads.namespaces import NamespaceController
from flowdeck.embedded.workloads.service_accounts import ServiceAccountController
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.kinds import CONFIG_MAP, NAMESPACE, POD, SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey


@pytest.fixture
async def spaces(world):
    def make(client, clock):
        return [
            NamespaceController(client=client, clock=clock, store=world.api.store, registry=world.api.registry),
            ServiceAccountController(client=client, root_ca="PEM"),
        ]

    await world.start(make)
    await world.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    await world.settle()
    return world


def a_config_map(name, **meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", **meta}}


async def test_each_namespace_has_an_account_and_the_authority(spaces):
    assert await spaces.exists(SERVICE_ACCOUNT, "default", "n")
    assert (await spaces.get(CONFIG_MAP, "kube-root-ca.crt", "n"))["data"] == {"ca.crt": "PEM"}
    await spaces.client.delete(SERVICE_ACCOUNT, ObjectKey("n", "default"))
    await spaces.client.patch(CONFIG_MAP, ObjectKey("n", "kube-root-ca.crt"), {"data": {"ca.crt": "x", "y": "z"}})
    await spaces.settle()
    assert await spaces.exists(SERVICE_ACCOUNT, "default", "n")
    assert (await spaces.get(CONFIG_MAP, "kube-root-ca.crt", "n"))["data"] == {"ca.crt": "PEM"}


async def test_a_deleted_namespace_takes_its_content_along(spaces):
    await spaces.create(a_config_map("a"))
    await spaces.client.delete(NAMESPACE, ObjectKey("", "n"))
    await spaces.settle()
    assert not await spaces.exists(NAMESPACE, "n")
    assert not await spaces.list(CONFIG_MAP, "n")


async def test_a_namespace_waits_for_finalizers_and_tells_of_them(spaces):
    await spaces.create(a_config_map("a", finalizers=["example.com/hold"]))
    await spaces.client.delete(NAMESPACE, ObjectKey("", "n"))
    await spaces.settle()
    namespace = await spaces.get(NAMESPACE, "n")
    assert namespace["status"]["phase"] == "Terminating"
    remaining = find_condition(namespace, "NamespaceContentRemaining")
    assert remaining["message"] == "Some resources are remaining: configmaps. has 1 resource instances"
    finalizers = find_condition(namespace, "NamespaceFinalizersRemaining")
    assert finalizers["message"].endswith("finalizers remaining: example.com/hold in 1 resource instances")
    await spaces.client.patch(CONFIG_MAP, ObjectKey("n", "a"), {"metadata": {"finalizers": None}})
    await spaces.settle()
    assert not await spaces.exists(NAMESPACE, "n")


async def test_pods_have_their_time_to_end(spaces):
    pod = {"containers": [{"name": "c", "image": "i"}], "nodeName": "node"}
    await spaces.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": pod})
    await spaces.client.delete(NAMESPACE, ObjectKey("", "n"))
    await spaces.settle()
    assert await spaces.exists(NAMESPACE, "n")
    await spaces.client.delete(POD, ObjectKey("n", "p"), grace_period_s=0)
    await spaces.settle()
    assert not await spaces.exists(NAMESPACE, "n")
