"""What a `Client` promises, on both implementations: in the server's process, and over HTTPS."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowdeck.client.base import Client, PatchType
from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.embedded.apiserver.server import HttpServer
from flowdeck.embedded.store import store as store_module
from flowdeck.kube.errors import AlreadyExists, Conflict, Expired, Invalid, NotFound
from flowdeck.kube.kinds import CONFIG_MAP, DEPLOYMENT, NODE, POD, SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey, Tree, key_of, owner_reference

KEY = ObjectKey("default", "a")


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiServer]:
    clock = SystemClock()
    keys = pki.prepare(tmp_path / "pki", node="node", now=clock.now())
    api = ApiServer.open(tmp_path / "store.db", keys, clock)
    await api.bootstrap()
    yield api
    api.close()


@pytest.fixture(params=["direct", "http"])
async def client(request: pytest.FixtureRequest, api: ApiServer, tmp_path: Path) -> AsyncIterator[Client]:
    if request.param == "direct":
        yield api.client
        return
    keys = pki.Pki(tmp_path / "pki")
    listener = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(api.pipeline, listener, pki.server_context(keys))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    pki.write_kubeconfig(tmp_path / "kubeconfig", server=url, pki=keys, certificate=keys.admin)
    serving = asyncio.create_task(server.run())
    async with HttpClient(load_kubeconfig(tmp_path / "kubeconfig"), SystemClock()) as http:
        yield http
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def a_config_map(name: str = "a", *, labels: dict[str, str] | None = None, **data: str) -> Tree:
    meta: Tree = {"name": name, "namespace": "default", **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def a_pod(name: str = "a", **spec: object) -> Tree:
    containers = [{"name": "c", "image": "python:3.11"}]
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers, **spec}}


async def test_what_was_created_is_read_back(client: Client) -> None:
    created = await client.create(CONFIG_MAP, a_config_map(x="1"))
    assert await client.get(CONFIG_MAP, KEY) == created
    assert created["metadata"]["uid"]


async def test_what_is_not_there_is_not_found(client: Client) -> None:
    assert await client.find(CONFIG_MAP, KEY) is None
    with pytest.raises(NotFound, match='configmaps "a" not found'):
        await client.get(CONFIG_MAP, KEY)


async def test_creating_twice_is_refused(client: Client) -> None:
    await client.create(CONFIG_MAP, a_config_map())
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAP, a_config_map())


async def test_a_dry_run_stores_nothing(client: Client) -> None:
    await client.create(CONFIG_MAP, a_config_map(), dry_run=True)
    assert await client.find(CONFIG_MAP, KEY) is None


async def test_a_broken_object_is_told_field_by_field(client: Client) -> None:
    with pytest.raises(Invalid) as refused:
        await client.create(POD, {**a_pod(), "spec": {"containers": []}})
    assert [cause.field for cause in refused.value.causes] == ["spec.containers"]


async def test_the_object_that_was_given_is_not_changed(client: Client) -> None:
    given = a_config_map(x="1")
    await client.create(CONFIG_MAP, given)
    assert given == a_config_map(x="1")


async def test_an_update_of_an_old_revision_conflicts(client: Client) -> None:
    first = await client.create(CONFIG_MAP, a_config_map())
    await client.update(CONFIG_MAP, {**first, "data": {"x": "1"}})
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAP, {**first, "data": {"x": "2"}})


@pytest.mark.parametrize(
    ("type_", "patch"),
    [
        (PatchType.MERGE, {"data": {"x": "2", "y": None}}),
        (PatchType.STRATEGIC, {"data": {"x": "2", "y": None}}),
        (PatchType.JSON, [{"op": "replace", "path": "/data/x", "value": "2"}, {"op": "remove", "path": "/data/y"}]),
    ],
)
async def test_a_patch_changes_what_it_names(client: Client, type_: PatchType, patch: Tree) -> None:
    await client.create(CONFIG_MAP, a_config_map(x="1", y="1", z="1"))
    patched = await client.patch(CONFIG_MAP, KEY, patch, type=type_)
    assert patched["data"] == {"x": "2", "z": "1"}


async def test_apply_creates_then_takes_back_what_is_left_out(client: Client) -> None:
    await client.apply(CONFIG_MAP, a_config_map(x="1", y="1"), manager="me")
    applied = await client.apply(CONFIG_MAP, a_config_map(x="1"), manager="me")
    assert applied["data"] == {"x": "1"}


async def test_apply_without_force_conflicts_over_fields_of_others(client: Client) -> None:
    await client.apply(CONFIG_MAP, a_config_map(x="1"), manager="one")
    with pytest.raises(Conflict, match="Apply failed with 1 conflict"):
        await client.apply(CONFIG_MAP, a_config_map(x="2"), manager="two", force=False)


async def test_status_is_written_apart_from_spec(client: Client) -> None:
    await client.create(POD, a_pod())
    await client.patch_status(POD, KEY, {"status": {"phase": "Running"}, "spec": {"nodeName": "elsewhere"}})
    pod = await client.get(POD, KEY)
    assert (pod["status"]["phase"], pod["spec"].get("nodeName")) == ("Running", None)
    pod = await client.update_status(POD, {**pod, "status": {"phase": "Succeeded"}})
    assert pod["status"]["phase"] == "Succeeded"


async def test_lists_are_selected_and_paged(client: Client) -> None:
    for number in range(5):
        await client.create(CONFIG_MAP, a_config_map(f"m{number}", labels={"even": str(number % 2 == 0)}))
    even = await client.list(CONFIG_MAP, namespace="default", labels="even=True")
    assert [key_of(item).name for item in even.items] == ["m0", "m2", "m4"]
    one = await client.list(CONFIG_MAP, fields="metadata.name=m3")
    assert [key_of(item).name for item in one.items] == ["m3"]
    first = await client.list(CONFIG_MAP, namespace="default", labels="even", limit=3)
    rest = await client.list(
        CONFIG_MAP, namespace="default", labels="even", limit=3, continue_token=first.continue_token
    )
    assert [key_of(item).name for item in [*first.items, *rest.items]] == [f"m{number}" for number in range(5)]
    assert rest.continue_token == ""
    assert all((item["apiVersion"], item["kind"]) == ("v1", "ConfigMap") for item in first.items)


async def test_a_watch_shows_changes_from_a_revision_on(client: Client) -> None:
    start = (await client.list(CONFIG_MAP)).resource_version
    created = await client.create(CONFIG_MAP, a_config_map())
    await client.patch(CONFIG_MAP, KEY, {"data": {"x": "1"}})
    await client.delete(CONFIG_MAP, KEY)
    async with client.watch(CONFIG_MAP, namespace="default", resource_version=start) as events:
        seen = [await anext(events) for _ in range(3)]
    assert [event.type for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[0].object == created


async def test_a_watch_from_a_compacted_revision_is_expired(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "HISTORY_EVENTS", 1)
    start = (await client.list(CONFIG_MAP)).resource_version
    for name in "abc":
        await client.create(CONFIG_MAP, a_config_map(name))
    with pytest.raises(Expired):
        async with client.watch(CONFIG_MAP, resource_version=start) as events:
            await anext(events)


async def test_deleting_takes_only_the_object_that_is_meant(client: Client) -> None:
    await client.create(CONFIG_MAP, a_config_map())
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAP, KEY, uid="another")
    assert await client.delete(CONFIG_MAP, KEY) is None
    assert await client.delete(CONFIG_MAP, KEY, missing_ok=True) is None
    with pytest.raises(NotFound):
        await client.delete(CONFIG_MAP, KEY)


async def test_what_stays_after_a_delete_is_given_back(client: Client) -> None:
    held = a_config_map()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await client.create(CONFIG_MAP, held)
    left = await client.delete(CONFIG_MAP, KEY)
    assert left is not None
    assert left["metadata"]["deletionTimestamp"]
    await client.patch(CONFIG_MAP, KEY, {"metadata": {"finalizers": None}})
    assert await client.find(CONFIG_MAP, KEY) is None


async def test_a_collection_is_deleted_by_label(client: Client) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"})):
        await client.create(CONFIG_MAP, a_config_map(name, labels=labels))
    await client.delete_all(CONFIG_MAP, namespace="default", labels="x=1")
    left = await client.list(CONFIG_MAP, namespace="default", labels="x")
    assert [key_of(item).name for item in left.items] == ["b"]


async def test_owned_objects_are_found_by_their_controller(client: Client) -> None:
    owner = await client.create(CONFIG_MAP, a_config_map("owner"))
    child = a_config_map("child")
    child["metadata"]["ownerReferences"] = [owner_reference(owner)]
    await client.create(CONFIG_MAP, child)
    assert [key_of(obj).name for obj in await client.owned(CONFIG_MAP, owner)] == ["child"]


async def test_cluster_scoped_kinds_have_no_namespace(client: Client) -> None:
    await client.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    assert (await client.get(NODE, ObjectKey("", "n")))["metadata"].get("namespace") is None


async def test_subresources_are_posted_and_patched(client: Client) -> None:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await client.create_sub(SERVICE_ACCOUNT, ObjectKey("default", "default"), "token", request)
    assert answer["status"]["token"].count(".") == 2
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": a_pod()["spec"]}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": "a", "namespace": "default"}
    await client.create(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    await client.patch(DEPLOYMENT, KEY, {"spec": {"replicas": 3}}, subresource="scale")
    assert (await client.get(DEPLOYMENT, KEY))["spec"]["replicas"] == 3


async def test_anything_else_is_one_raw_request(client: Client) -> None:
    assert b'"gitVersion"' in await client.raw("GET", "/version")
    with pytest.raises(NotFound):
        await client.raw("GET", "/apis/example.com/v1/things")
