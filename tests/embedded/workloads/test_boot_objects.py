"""A cluster has what it must have from the start, once, and keeps what its owner changed."""

from flowdeck.embedded.workloads import boot_objects
from flowdeck.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, PRIORITY_CLASS, SERVICE, STORAGE_CLASS
from flowdeck.kube.objects import ObjectKey
from tests.world.world import World


async def test_what_is_missing_is_made_and_made_once(world: World) -> None:
    await boot_objects.ensure(world.client, address="127.0.0.1", port=6443)
    revision = world.api.store.revision
    await boot_objects.ensure(world.client, address="127.0.0.1", port=6443)
    assert world.api.store.revision == revision
    service = await world.get(SERVICE, "kubernetes")
    assert service["spec"]["clusterIP"] == "10.96.0.1"
    assert {name["metadata"]["name"] for name in await world.list(PRIORITY_CLASS)} >= set(boot_objects.PRIORITIES)


async def test_a_new_address_of_the_server_is_written_down(world: World) -> None:
    await boot_objects.ensure(world.client, address="127.0.0.1", port=6443)
    await boot_objects.ensure(world.client, address="10.0.0.7", port=7443)
    (subset,) = (await world.get(ENDPOINTS, "kubernetes"))["subsets"]
    assert (subset["addresses"][0]["ip"], subset["ports"][0]["port"]) == ("10.0.0.7", 7443)
    found = await world.get(ENDPOINT_SLICE, "kubernetes")
    assert (found["endpoints"][0]["addresses"], found["ports"][0]["port"]) == (["10.0.0.7"], 7443)


async def test_what_the_owner_changed_stays(world: World) -> None:
    await boot_objects.ensure(world.client, address="127.0.0.1", port=6443)
    no_default = {"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "false"}}}
    await world.client.patch(STORAGE_CLASS, ObjectKey("", "standard"), no_default)
    await boot_objects.ensure(world.client, address="127.0.0.1", port=6443)
    annotations = (await world.get(STORAGE_CLASS, "standard"))["metadata"]["annotations"]
    assert annotations["storageclass.kubernetes.io/is-default-class"] == "false"


async def test_the_service_of_the_api_server_comes_back_when_it_is_deleted(world: World) -> None:
    await boot_objects.ensure(world.client, address="127.0.0.1", port=6443)
    await world.start(lambda client, clock: [boot_objects.ApiServiceController(client=client, port=6443)])
    before = await world.get(SERVICE, "kubernetes")
    await world.client.delete(SERVICE, boot_objects.API_SERVICE)
    await world.settle()
    after = await world.get(SERVICE, "kubernetes")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
