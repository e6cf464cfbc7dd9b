"""A Service's EndpointSlices and Endpoints say where its traffic may go."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowdeck.embedded.workloads.endpoints.controller import EndpointsController
from flowdeck.embedded.workloads.endpoints.mirroring import EndpointsMirroringController
from flowdeck.embedded.workloads.endpoints.slices import Group, Identity, pack
from flowdeck.kube.kinds import ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE
from flowdeck.kube.objects import ObjectKey, Tree, get_in
from tests.embedded.workloads.makers import LABELS, a_node, a_pod, open_world, run_pod
from tests.world.world import World

WEB = ObjectKey("default", "web")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await open_world(
        tmp_path,
        lambda client, clock, recorder: [
            EndpointsController(client=client),
            EndpointsMirroringController(client=client),
        ],
    )
    await world.create(a_node("n1", labels={"topology.kubernetes.io/zone": "z1"}))
    yield world
    await world.close()


def a_service(**spec: Any) -> Tree:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "labels": {"team": "a"}},
        "spec": {"selector": LABELS, "ports": ports, **spec},
    }


async def a_running_pod(world: World, name: str, ip: str, *, ready: bool = True, **spec: Any) -> Tree:
    return await run_pod(world, await world.create(a_pod(name, **spec)), ip=ip, ready=ready)


async def the_slice(world: World) -> Tree:
    (found,) = await world.list(ENDPOINT_SLICE, "default", "kubernetes.io/service-name=web")
    return found


async def test_a_service_without_pods_has_one_empty_slice(world: World) -> None:
    await world.create(a_service())
    await world.settle()
    found = await the_slice(world)
    assert found["endpoints"] is None
    assert found["metadata"]["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "team": "a",
    }
    assert "subsets" not in await world.get(ENDPOINTS, "web") or not (await world.get(ENDPOINTS, "web"))["subsets"]


async def test_ready_and_unready_pods_are_told_apart(world: World) -> None:
    await world.create(a_service())
    good = await a_running_pod(world, "good", "10.1.0.1")
    await a_running_pod(world, "bad", "10.1.0.2", ready=False)
    await world.settle()
    found = await the_slice(world)
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    by_ip = {endpoint["addresses"][0]: endpoint for endpoint in found["endpoints"]}
    assert by_ip["10.1.0.1"] == {
        "addresses": ["10.1.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": "n1",
        "zone": "z1",
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "good", "uid": good["metadata"]["uid"]},
    }
    assert by_ip["10.1.0.2"]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    (subset,) = (await world.get(ENDPOINTS, "web"))["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["10.1.0.1"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["10.1.0.2"]
    assert subset["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


async def test_a_pod_leaves_when_it_dies_finishes_or_changes_its_labels(world: World) -> None:
    await world.create(a_service())
    for number, name in enumerate(("a", "b", "c", "d")):
        await a_running_pod(world, name, f"10.1.0.{number}")
    await world.settle()
    assert len((await the_slice(world))["endpoints"]) == 4
    await world.client.patch(POD, ObjectKey("default", "a"), {"metadata": {"labels": {"app": "other"}}})
    await world.set_status(POD, "b", phase="Succeeded")
    await world.client.delete(POD, ObjectKey("default", "c"), grace_period_s=0)
    await world.client.delete(POD, ObjectKey("default", "d"))
    await world.settle()
    (left,) = (await the_slice(world))["endpoints"]
    assert left["targetRef"]["name"] == "d"
    assert left["conditions"] == {"ready": False, "serving": True, "terminating": True}
    assert not (await world.get(ENDPOINTS, "web")).get("subsets")


async def test_a_headless_service_gives_hostnames_and_publishes_what_is_not_ready(world: World) -> None:
    await world.create(a_service(clusterIP="None", publishNotReadyAddresses=True))
    await a_running_pod(world, "web-0", "10.1.0.1", ready=False, hostname="web-0", subdomain="web")
    await world.settle()
    found = await the_slice(world)
    assert found["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    (endpoint,) = found["endpoints"]
    assert endpoint["hostname"] == "web-0"
    assert endpoint["conditions"] == {"ready": True, "serving": False, "terminating": False}
    (subset,) = (await world.get(ENDPOINTS, "web"))["subsets"]
    assert subset["addresses"][0]["hostname"] == "web-0"


async def test_named_ports_are_looked_up_in_each_pod(world: World) -> None:
    await world.create(a_service(ports=[{"name": "http", "port": 80, "targetPort": "web"}]))
    for name, port, ip in (("a", 8080, "10.1.0.1"), ("b", 9090, "10.1.0.2")):
        ports = [{"name": "web", "containerPort": port}]
        await a_running_pod(world, name, ip, containers=[{"name": "m", "image": "i", "ports": ports}])
    await world.settle()
    slices = await world.list(ENDPOINT_SLICE, "default")
    found = {s["ports"][0]["port"]: s["endpoints"][0]["addresses"][0] for s in slices}
    assert found == {8080: "10.1.0.1", 9090: "10.1.0.2"}
    assert len((await world.get(ENDPOINTS, "web"))["subsets"]) == 2


async def test_a_changed_selector_changes_the_endpoints(world: World) -> None:
    await world.create(a_service())
    await a_running_pod(world, "a", "10.1.0.1")
    await world.settle()
    await world.client.patch(SERVICE, WEB, {"spec": {"selector": {"app": "nobody"}}})
    await world.settle()
    assert (await the_slice(world))["endpoints"] is None


async def test_endpoints_go_with_their_service(world: World) -> None:
    await world.create(a_service())
    await world.settle()
    await world.client.delete(SERVICE, WEB)
    await world.settle()
    assert not await world.exists(ENDPOINTS, "web")


async def test_hand_written_endpoints_are_mirrored_as_slices(world: World) -> None:
    service = a_service()
    del service["spec"]["selector"]
    await world.create(service)
    subsets = [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "ports": [{"port": 5432}]}]
    meta = {"name": "web", "namespace": "default"}
    await world.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets})
    await world.settle()
    found = await world.list(ENDPOINT_SLICE, "default", "kubernetes.io/service-name=web")
    assert {(s["addressType"], s["endpoints"][0]["addresses"][0]) for s in found} == {
        ("IPv4", "192.0.2.1"),
        ("IPv6", "2001:db8::1"),
    }
    managers = {s["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for s in found}
    assert managers == {"endpointslicemirroring-controller.k8s.io"}
    label = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
    await world.client.patch(ENDPOINTS, WEB, label)
    await world.settle()
    assert await world.list(ENDPOINT_SLICE, "default") == []


def some_endpoints(numbers: range) -> list[Tree]:
    return [{"addresses": [f"10.0.{n // 250}.{n % 250}"], "targetRef": {"uid": f"u{n}"}} for n in numbers]


def named(made: list[Tree]) -> list[Tree]:
    return [{**s, "metadata": {**s["metadata"], "name": f"s{i}"}} for i, s in enumerate(made)]


def test_many_endpoints_fill_slices_of_a_hundred_and_change_only_what_must() -> None:
    owner = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "d", "uid": "u"}}
    identity = Identity(owner=owner, service_name="s", labels={})
    first = pack(identity, [Group((), some_endpoints(range(250)))], [])
    assert [len(s["endpoints"]) for s in first.create] == [100, 100, 50]
    there = named(first.create)
    same = pack(identity, [Group((), some_endpoints(range(250)))], there)
    assert (same.create, same.update, same.delete) == ([], [], [])
    one_less = pack(identity, [Group((), some_endpoints(range(1, 250)))], there)
    assert [get_in(s, "metadata", "name") for s in one_less.update] == ["s0"]
    more = pack(identity, [Group((), some_endpoints(range(260)))], there)
    assert ([s["metadata"]["name"] for s in more.update], more.create) == (["s2"], [])
    none = pack(identity, [Group((), [])], there)
    assert (len(none.update), len(none.delete)) == (1, 2)
