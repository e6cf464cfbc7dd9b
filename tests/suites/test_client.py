"""What a client promises, kept by both: in the same process, and over HTTPS with a kubeconfig."""

import asyncio
import shutil
import socket
from dataclasses import replace

import pytest

from flowdeck.client.base import PatchType
from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.http1.server import HttpServer
from flowdeck.kube.errors import AlreadyExists, Conflict, Expired, Invalid, NotFound
from flowdeck.kube.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, SERVICE_ACCOUNT, SUBJECT_ACCESS_REVIEW
from flowdeck.kube.objects import ObjectKey, key_of, owner_reference

A = ObjectKey("default", "a")


def a_config_map(name="a", **data):
    meta = {"namespace": "default", "name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def a_pod(name="p"):
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "default", "name": name}, "spec": spec}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of an API server that has run before."""
    folder = tmp_path_factory.mktemp("data")
    clock = SystemClock()
    api = ApiServer.open(folder / "store.db", pki.prepare(folder / "pki", node="n1", now=clock.now()), clock)
    asyncio.run(api.bootstrap())
    api.close()
    return folder


@pytest.fixture(params=["direct", "http"])
async def client(request, data, tmp_path):
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    clock, keys = SystemClock(), pki.Pki(tmp_path / "pki")
    api = ApiServer.open(tmp_path / "store.db", keys, clock)
    if request.param == "direct":
        yield api.client
        await api.end()
        return
    listener = socket.create_server(("127.0.0.1", 0))
    server = f"https://127.0.0.1:{listener.getsockname()[1]}"
    pki.write_kubeconfig(tmp_path / "kubeconfig", server=server, pki=keys, certificate=keys.admin)
    serving = asyncio.create_task(HttpServer(api.pipeline, listener, pki.server_context(keys)).run())
    config = replace(load_kubeconfig(tmp_path / "kubeconfig"), server_name="kubernetes.default.svc")
    async with HttpClient(config, clock) as client:
        yield client
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await api.end()


async def test_what_is_created_is_found(client):
    made = await client.create(CONFIG_MAP, a_config_map(x="1"))
    assert await client.get(CONFIG_MAP, A) == made
    assert await client.find(CONFIG_MAP, A) == made
    with pytest.raises(AlreadyExists):
        await client.create(CONFIG_MAP, a_config_map())


async def test_what_is_not_there_is_none_or_not_found(client):
    assert await client.find(CONFIG_MAP, A) is None
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAP, A)
    with pytest.raises(NotFound):
        await client.delete(CONFIG_MAP, A)
    assert await client.delete(CONFIG_MAP, A, missing_ok=True) is None


async def test_a_dry_run_stores_nothing(client):
    await client.create(CONFIG_MAP, a_config_map(), dry_run=True)
    assert await client.find(CONFIG_MAP, A) is None


async def test_lists_are_selected_paged_and_carry_their_kind(client):
    for name in "abc":
        await client.create(CONFIG_MAP, a_config_map(name))
    selected = await client.list(CONFIG_MAP, namespace="default", labels="app in (a, c)")
    assert [key_of(obj).name for obj in selected.items] == ["a", "c"]
    assert {(obj["apiVersion"], obj["kind"]) for obj in selected.items} == {("v1", "ConfigMap")}
    (only,) = (await client.list(CONFIG_MAP, fields="metadata.name=b")).items
    assert key_of(only).name == "b"
    first = await client.list(CONFIG_MAP, namespace="default", limit=2)
    rest = await client.list(CONFIG_MAP, namespace="default", limit=2, continue_token=first.continue_token)
    assert [key_of(obj).name for obj in [*first.items, *rest.items]] == ["a", "b", "c"]
    assert rest.continue_token == ""


async def test_owned_are_those_whose_controller_it_is(client):
    owner = await client.create(CONFIG_MAP, a_config_map("owner"))
    mine = a_config_map("mine")
    mine["metadata"]["ownerReferences"] = [owner_reference(owner)]
    await client.create(CONFIG_MAP, mine)
    assert [key_of(obj).name for obj in await client.owned(CONFIG_MAP, owner)] == ["mine"]


async def test_an_update_of_a_stale_object_is_a_conflict(client):
    made = await client.create(CONFIG_MAP, a_config_map())
    await client.update(CONFIG_MAP, {**made, "data": {"x": "1"}})
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAP, {**made, "data": {"x": "2"}})


@pytest.mark.parametrize(
    ("sort", "patch"),
    [
        (PatchType.MERGE, {"data": {"x": "2"}}),
        (PatchType.STRATEGIC, {"data": {"x": "2"}}),
        (PatchType.JSON, [{"op": "replace", "path": "/data/x", "value": "2"}]),
    ],
)
async def test_patches_of_every_sort(client, sort, patch):
    await client.create(CONFIG_MAP, a_config_map(x="1", y="1"))
    assert (await client.patch(CONFIG_MAP, A, patch, type=sort))["data"] == {"x": "2", "y": "1"}


async def test_apply_creates_and_then_takes_away_what_is_no_longer_applied(client):
    await client.apply(CONFIG_MAP, a_config_map(x="1", y="1"), manager="m")
    applied = await client.apply(CONFIG_MAP, a_config_map(x="2"), manager="m")
    assert applied["data"] == {"x": "2"}
    with pytest.raises(Conflict):
        await client.apply(CONFIG_MAP, a_config_map(x="3"), manager="other", force=False)


async def test_status_is_written_apart_from_the_rest(client):
    made = await client.create(POD, a_pod())
    changed = await client.patch_status(POD, key_of(made), {"status": {"phase": "Running"}, "metadata": {"labels": {}}})
    assert changed["status"]["phase"] == "Running"
    replaced = await client.update_status(POD, {**changed, "status": {"phase": "Failed"}})
    assert replaced["status"]["phase"] == "Failed"


async def test_subresources_are_posted_and_patched(client):
    token = await client.create_sub(SERVICE_ACCOUNT, ObjectKey("default", "default"), "token", {"spec": {}})
    assert token["status"]["token"]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": a_pod()["spec"]}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    meta = {"namespace": "default", "name": "d"}
    await client.create(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
    key = ObjectKey("default", "d")
    scaled = await client.patch(DEPLOYMENT, key, {"spec": {"replicas": 3}}, subresource="scale")
    assert scaled["spec"]["replicas"] == 3
    assert (await client.get(DEPLOYMENT, key))["spec"]["replicas"] == 3


async def test_a_delete_is_of_the_object_that_was_meant(client):
    made = await client.create(CONFIG_MAP, a_config_map())
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAP, A, uid="another")
    assert await client.delete(CONFIG_MAP, A, uid=made["metadata"]["uid"]) is None


async def test_what_has_finalizers_stays_marked(client):
    held = a_config_map()
    held["metadata"]["finalizers"] = ["example.com/held"]
    await client.create(CONFIG_MAP, held)
    left = await client.delete(CONFIG_MAP, A)
    assert left is not None
    assert left["metadata"]["deletionTimestamp"]
    await client.patch(CONFIG_MAP, A, {"metadata": {"finalizers": None}})
    assert await client.find(CONFIG_MAP, A) is None


async def test_a_collection_is_deleted_by_selector(client):
    for name in "abc":
        await client.create(CONFIG_MAP, a_config_map(name))
    await client.delete_all(CONFIG_MAP, namespace="default", labels="app!=b")
    assert [key_of(obj).name for obj in (await client.list(CONFIG_MAP, namespace="default")).items] == ["b"]


async def test_a_watch_tells_what_happens_to_what_is_selected(client):
    start = (await client.list(CONFIG_MAP, namespace="default")).resource_version
    async with (
        asyncio.timeout(5),
        client.watch(CONFIG_MAP, namespace="default", labels="app=a", resource_version=start) as events,
    ):
        await client.create(CONFIG_MAP, a_config_map("b"))
        await client.create(CONFIG_MAP, a_config_map("a"))
        await client.patch(CONFIG_MAP, A, {"data": {"x": "1"}})
        await client.delete(CONFIG_MAP, A)
        told = [await anext(events) for _ in range(3)]
    assert [(event.type, key_of(event.object).name) for event in told] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]


async def test_a_watch_from_a_revision_that_nothing_is_known_of_has_expired(client):
    with pytest.raises(Expired):
        async with asyncio.timeout(5), client.watch(CONFIG_MAP, resource_version="1") as events:
            await anext(events)


async def test_refusals_are_the_errors_of_the_api_with_their_causes(client):
    with pytest.raises(Invalid) as refused:
        await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "A"}})
    assert refused.value.causes[0].field == "metadata.name"
    assert await client.raw("GET", "/readyz") == b"ok"
    async with client.stream("/readyz") as pieces:
        assert b"".join([piece async for piece in pieces]) == b"ok"
    with pytest.raises(NotFound):
        async with client.stream("/api/v1/namespaces/default/pods/nobody/log"):
            pass


@pytest.mark.parametrize(("groups", "allowed"), [(["system:masters"], True), (["strangers"], False)])
async def test_a_review_is_answered_and_not_kept(client, groups, allowed):
    asked = {"user": "jane", "groups": groups, "resourceAttributes": {"verb": "delete", "resource": "nodes"}}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": asked}
    for _ in range(2):
        answer = await client.create(SUBJECT_ACCESS_REVIEW, review)
        assert answer["status"]["allowed"] is allowed
