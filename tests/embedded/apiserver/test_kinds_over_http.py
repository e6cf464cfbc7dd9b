"""Discovery, OpenAPI, tables, definitions, subresources as clients meet them over TLS, with a node that plays along."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from flowdeck.clock import SystemClock
from flowdeck.controller.manager import Manager
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.workloads.custom_kind_cleanup import CustomKindCleanup
from flowdeck.kube.objects import Tree
from tests.embedded.apiserver.kinds import a_container, a_definition, a_deployment, a_pod, a_service
from tests.embedded.apiserver.served import listening, served

PODS = "/api/v1/namespaces/default/pods"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
FOOS = "/apis/example.com/v1/namespaces/default/foos"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
MERGE = {"content-type": "application/merge-patch+json"}


@dataclass
class PlayedNode:
    """An ASGI application in the place of a node's API: remembers what it was asked, echoes streams."""

    asked: list[str] = field(default_factory=list)
    knows_asker: list[bool] = field(default_factory=list)
    """Whether a certificate was shown, for each request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.knows_asker.append(bool(scope["state"].get("peer_certificate")))
        query = scope["query_string"].decode()
        self.asked.append(scope["path"] + (f"?{query}" if query else ""))
        if scope["type"] == "websocket":
            await self._echo(scope, receive, send)
            return
        code = 404 if "missing" in scope["path"] else 200
        body = b"no such container" if code == 404 else f"{scope['method']} {scope['path']}".encode()
        await send({"type": "http.response.start", "status": code, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "end":
                await send({"type": "websocket.close", "code": 1000})
                return
            await send({"type": "websocket.send", "bytes": b"\x01" + message["bytes"]})


@dataclass
class Front:
    """A running API server, a client of it, and the node that it knows."""

    keys: pki.Pki
    port: int
    http: httpx.AsyncClient
    node: PlayedNode
    node_port: int

    async def make(self, path: str, obj: Tree) -> Tree:
        answer = await self.http.post(path, json=obj)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def told(self, method: str, path: str, **how: Any) -> tuple[int, str]:
        answer = await self.http.request(method, path, **how)
        return answer.status_code, answer.json().get("message", "")

    async def a_bound_pod(self, *containers: Tree, name: str = "pod") -> None:
        await self.make(PODS, a_pod(*containers, name=name))
        await self.make(f"{PODS}/{name}/binding", {"target": {"kind": "Node", "name": "n1"}})

    def stream(self, path: str) -> Any:
        context = pki.client_context(self.keys, self.keys.admin)
        url = f"wss://127.0.0.1:{self.port}{path}"
        protocols = [websockets.Subprotocol("v5.channel.k8s.io"), websockets.Subprotocol("v4.channel.k8s.io")]
        return websockets.connect(url, ssl=context, subprotocols=protocols, proxy=None)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    node, clock = PlayedNode(), SystemClock()
    async with served(tmp_path) as running, listening(node, pki.server_context(running.keys)) as node_port:
        manager = Manager(running.api.client, clock, lambda client: [CustomKindCleanup(client=client, clock=clock)])
        managing = asyncio.create_task(manager.run())
        await running.api.client.create(running.api.kind_of(a_node(0)), a_node(node_port))
        context = pki.client_context(running.keys, running.keys.admin)
        async with httpx.AsyncClient(base_url=running.url, verify=context, trust_env=False) as http:
            yield Front(running.keys, running.port, http, node, node_port)
        managing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await managing


def a_node(port: int) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n1"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    }


# -- discovery and documents


async def test_discovery_is_served_in_both_forms(front: Front) -> None:
    old = (await front.http.get("/apis/apps/v1")).json()
    assert {"deployments", "deployments/scale", "deployments/status"} <= {item["name"] for item in old["resources"]}
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
    new = await front.http.get("/apis", headers={"accept": accept})
    assert new.json()["kind"] == "APIGroupDiscoveryList"
    assert new.headers["content-type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    again = await front.http.get("/apis", headers={"accept": accept, "if-none-match": new.headers["etag"]})
    assert again.status_code == 304
    assert (await front.told("GET", "/apis/nothing.example.com"))[0] == 404


async def test_documents_describe_what_can_be_written(front: Front) -> None:
    root = (await front.http.get("/openapi/v3")).json()["paths"]
    address = root["apis/apps/v1"]["serverRelativeURL"]
    document = await front.http.get(address)
    assert document.headers["cache-control"].endswith("immutable") or document.headers["etag"]
    patch = document.json()["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation", "force"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert "io.k8s.api.core.v1.PodSpec" in document.json()["components"]["schemas"]
    stale = await front.http.get("/openapi/v3/apis/apps/v1?hash=OLD")
    assert (stale.status_code, stale.headers["location"]) == (301, address)
    old = (await front.http.get("/openapi/v2")).json()
    assert "io.k8s.api.apps.v1.Deployment" in old["definitions"]


async def test_only_what_is_served_can_be_accepted(front: Front) -> None:
    protobuf = {"accept": "application/vnd.kubernetes.protobuf"}
    assert await front.told("GET", PODS, headers=protobuf) == (
        406,
        "only the following media types are accepted: application/json, application/yaml",
    )
    both = await front.http.get(PODS, headers={"accept": "application/vnd.kubernetes.protobuf,application/json"})
    assert both.json()["kind"] == "PodList"


async def test_yaml_is_served_to_who_asks(front: Front) -> None:
    answer = await front.http.get("/api/v1/namespaces/default", headers={"accept": "application/yaml"})
    assert answer.headers["content-type"] == "application/yaml"
    assert "\nkind: Namespace\n" in f"\n{answer.text}"


async def test_tables_and_metadata_are_served(front: Front) -> None:
    await front.make(PODS, a_pod())
    table = (await front.http.get(PODS, headers=TABLE)).json()
    assert (table["kind"], table["rows"][0]["cells"][:3]) == ("Table", ["pod", "0/1", "Pending"])
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    metadata = (await front.http.get(PODS, headers={"accept": accept})).json()
    assert metadata["kind"] == "PartialObjectMetadataList"
    assert "spec" not in metadata["items"][0]


# -- built-in kinds


async def test_a_pod_is_filled_in_and_checked(front: Front) -> None:
    made = await front.make(PODS, a_pod())
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert made["metadata"]["generation"] == 1
    code, message = await front.told("POST", PODS, json=a_pod(a_container(), a_container(), name="other"))
    assert (code, message) == (
        422,
        'Pod "other" is invalid: spec.containers[1].name: Duplicate value: "main"',
    )
    code, message = await front.told("POST", PODS, json=a_pod(a_container(name=1)))  # type: ignore[arg-type]
    assert code == 400
    assert "json: cannot unmarshal number into Go struct field" in message


async def test_services_get_addresses_that_differ(front: Front) -> None:
    services = "/api/v1/namespaces/default/services"
    made = [await front.make(services, a_service(name, type="NodePort")) for name in ("one", "two")]
    addresses = {service["spec"]["clusterIP"] for service in made}
    ports = {service["spec"]["ports"][0]["nodePort"] for service in made}
    assert (len(addresses), len(ports)) == (2, 2)
    taken = made[0]["spec"]["clusterIP"]
    code, message = await front.told("POST", services, json=a_service("three", clusterIP=taken))
    assert code == 422
    assert message.endswith(f"failed to allocate IP {taken}: provided IP is already allocated")
    headless = await front.make(services, a_service("four", clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]


# -- custom kinds


async def test_a_definition_is_served_until_it_is_deleted(front: Front) -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"replicas": {"type": "integer", "default": 2}}},
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        },
    }
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    definition = await front.make(CRDS, a_definition(schema=schema, subresources={"status": {}, "scale": scale}))
    assert [(c["type"], c["status"]) for c in definition["status"]["conditions"]] == [
        ("NamesAccepted", "True"),
        ("Established", "True"),
    ]
    assert definition["status"]["storedVersions"] == ["v1"]
    foo = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "spec": {"odd": 1}}
    made = await front.make(FOOS, foo)
    assert (made["spec"], made["metadata"]["generation"]) == ({"replicas": 2}, 1)
    scaled = await front.http.patch(f"{FOOS}/f/scale", json={"spec": {"replicas": 5}}, headers=MERGE)
    assert scaled.json()["spec"] == {"replicas": 5}
    changed = (await front.http.get(f"{FOOS}/f")).json()
    assert (changed["spec"]["replicas"], changed["metadata"]["generation"]) == (5, 2)
    patch = {"spec": {"replicas": 9}, "status": {"replicas": 5}}
    status = await front.http.patch(f"{FOOS}/f/status", json=patch, headers=MERGE)
    assert (status.json()["spec"]["replicas"], status.json()["status"]) == (5, {"replicas": 5})
    assert (
        "/apis/example.com/v1/namespaces/{namespace}/foos"
        in (await front.http.get("/openapi/v3/apis/example.com/v1")).json()["paths"]
    )
    watch = f"{CRDS}?watch=1&fieldSelector=metadata.name=foos.example.com&timeoutSeconds=5"
    async with front.http.stream("GET", watch) as events:
        await front.http.delete(f"{CRDS}/foos.example.com")
        async for line in events.aiter_lines():
            if line.startswith('{"type":"DELETED"'):
                break
    assert (await front.http.get(FOOS)).status_code == 404


async def test_a_name_can_be_had_by_one_definition_only(front: Front) -> None:
    await front.make(CRDS, a_definition("foos"))
    second = a_definition("bars")
    second["spec"]["names"] |= {"kind": "Foo", "singular": "bar"}
    made = await front.make(CRDS, second)
    accepted, established = made["status"]["conditions"]
    assert (accepted["status"], accepted["reason"]) == ("False", "KindConflict")
    assert accepted["message"] == '"Foo" is already in use'
    assert established["status"] == "False"
    assert (await front.told("GET", "/apis/example.com/v1/bars"))[0] == 404


# -- subresources


async def test_a_deployment_is_scaled(front: Front) -> None:
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    await front.make(deployments, a_deployment())
    scale = (await front.http.get(f"{deployments}/web/scale")).json()
    assert (scale["kind"], scale["spec"], scale["status"]) == (
        "Scale",
        {"replicas": 1},
        {"replicas": 0, "selector": "app=x"},
    )
    scale["spec"]["replicas"] = 3
    assert (await front.http.put(f"{deployments}/web/scale", json=scale)).json()["spec"] == {"replicas": 3}
    code, message = await front.told("PUT", f"{deployments}/web/scale", json=scale)
    assert (code, message.split(":")[0]) == (409, 'Operation cannot be fulfilled on deployments.apps "web"')
    del scale["metadata"]["resourceVersion"]
    scale["spec"]["replicas"] = -1
    code, message = await front.told("PUT", f"{deployments}/web/scale", json=scale)
    assert code == 422
    assert message.endswith("spec.replicas: Invalid value: -1: must be greater than or equal to 0")


async def test_a_scale_is_applied(front: Front) -> None:
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    await front.make(deployments, a_deployment())
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 1}}

    async def applied(replicas: int, manager: str, force: bool = False) -> tuple[int, str]:
        query = f"fieldManager={manager}&force={str(force).lower()}"
        body = {**scale, "spec": {"replicas": replicas}}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        answer = await front.http.patch(f"{deployments}/web/scale?{query}", json=body, headers=headers)
        return answer.status_code, answer.json().get("message", "")

    assert (await applied(1, "one"))[0] == 200
    assert (await applied(2, "one"))[0] == 200
    code, message = await applied(3, "two")
    told = 'Apply failed with 1 conflict: conflict with "one" with subresource "scale": .spec.replicas'
    assert (code, message) == (409, told)
    assert (await applied(3, "two", force=True))[0] == 200
    deployment = (await front.http.get(f"{deployments}/web")).json()
    owners = [entry for entry in deployment["metadata"]["managedFields"] if entry.get("subresource") == "scale"]
    assert deployment["spec"]["replicas"] == 3
    assert [(entry["manager"], entry["operation"], entry["apiVersion"], entry["fieldsV1"]) for entry in owners] == [
        ("two", "Apply", "apps/v1", {"f:spec": {"f:replicas": {}}})
    ]


async def test_a_pod_is_bound_once(front: Front) -> None:
    await front.a_bound_pod()
    pod = (await front.http.get(f"{PODS}/pod")).json()
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["status"]["conditions"][0]["type"] == "PodScheduled"
    code, message = await front.told("POST", f"{PODS}/pod/binding", json={"target": {"kind": "Node", "name": "n2"}})
    assert (code, message) == (
        409,
        'Operation cannot be fulfilled on pods/binding "pod": pod pod is already assigned to node "n1"',
    )


async def test_a_budget_keeps_a_pod_from_eviction(front: Front) -> None:
    pod = a_pod()
    pod["metadata"]["labels"] = {"app": "x"}
    await front.make(PODS, pod)
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    await front.http.patch(f"{PODS}/pod/status", json=status, headers=MERGE)
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}
    await front.make(budgets, budget)
    seen = {
        "observedGeneration": 1,
        "disruptionsAllowed": 0,
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "expectedPods": 1,
    }
    await front.http.patch(f"{budgets}/b/status", json={"status": seen}, headers=MERGE)
    answer = await front.http.post(f"{PODS}/pod/eviction", json={"metadata": {"name": "pod"}})
    assert answer.status_code == 429
    assert answer.json()["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert answer.json()["details"]["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget b needs 1 healthy pods and has 1 currently"}
    ]
    await front.http.patch(f"{budgets}/b/status", json={"status": {"disruptionsAllowed": 1}}, headers=MERGE)
    answer = await front.http.post(f"{PODS}/pod/eviction", json={"metadata": {"name": "pod"}})
    assert (answer.status_code, answer.json()["status"]) == (201, "Success")
    assert (await front.http.get(f"{PODS}/pod")).status_code == 404
    after = (await front.http.get(f"{budgets}/b")).json()["status"]
    assert (after["disruptionsAllowed"], list(after["disruptedPods"])) == (0, ["pod"])


async def test_a_namespace_goes_when_it_is_finalized(front: Front) -> None:
    await front.make("/api/v1/namespaces", {"metadata": {"name": "gone"}})
    await front.http.delete("/api/v1/namespaces/gone")
    left = (await front.http.get("/api/v1/namespaces/gone")).json()
    left["spec"]["finalizers"] = []
    await front.http.put("/api/v1/namespaces/gone/finalize", json=left)
    assert (await front.http.get("/api/v1/namespaces/gone")).status_code == 404


async def test_logs_come_from_the_node(front: Front) -> None:
    await front.a_bound_pod()
    log = await front.http.get(f"{PODS}/pod/log?tailLines=3&follow=true")
    assert (log.text, log.headers["content-type"]) == ("GET /containerLogs/default/pod/main", "text/plain")
    assert front.node.asked == ["/containerLogs/default/pod/main?follow=true&tailLines=3"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/missing/log", (404, 'pods "missing" not found')),
        (
            "/two/log",
            (400, "a container name must be specified for pod two, choose one of: [a missing]"),
        ),
        ("/two/log?container=c", (400, "container c is not valid for pod two")),
        ("/two/log?container=missing", (404, "no such container")),
        (
            "/two/log?container=a&tailLines=-1",
            (422, 'PodLogOptions "two" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0'),
        ),
        ("/two/exec?container=c&command=ls", (400, "container c is not valid for pod two")),
    ],
)
async def test_a_log_that_cannot_be_had_says_why(front: Front, path: str, told: tuple[int, str]) -> None:
    await front.a_bound_pod(a_container("a"), a_container("missing"), name="two")
    assert await front.told("GET", f"{PODS}{path}") == told


async def test_streams_pass_through_both_ways(front: Front) -> None:
    await front.a_bound_pod()
    async with front.stream(f"{PODS}/pod/exec?command=ls&command=-l&stdout=1&tty=true") as stream:
        assert stream.subprotocol == "v5.channel.k8s.io"
        await stream.send(b"\x00hello")
        assert await stream.recv() == b"\x01\x00hello"
        await stream.send("end")
        with pytest.raises(websockets.ConnectionClosedOK):
            await stream.recv()
    assert front.node.asked == ["/exec/default/pod/main?output=1&tty=1&command=ls&command=-l"]


async def test_a_stream_that_cannot_be_is_refused_in_words(front: Front) -> None:
    await front.make(PODS, a_pod())
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with front.stream(f"{PODS}/pod/exec?command=ls"):
            pass
    assert refused.value.response.status_code == 400
    assert b"pod pod does not have a host assigned" in (refused.value.response.body or b"")


async def test_proxies_reach_nodes_and_services(front: Front) -> None:
    node = await front.http.get("/api/v1/nodes/n1/proxy/stats/summary?only=cpu")
    assert node.text == "GET /stats/summary"
    assert front.node.asked[-1] == "/stats/summary?only=cpu"
    await front.make("/api/v1/namespaces/default/services", a_service())
    code, message = await front.told("GET", "/api/v1/namespaces/default/services/web/proxy/x")
    assert (code, message) == (503, 'no endpoints available for service "web"')
    endpoints = {
        "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": front.node_port}]}],
    }
    await front.make("/api/v1/namespaces/default/endpoints", endpoints)
    answer = await front.http.post("/api/v1/namespaces/default/services/https:web:80/proxy/a/b", content=b"x")
    assert answer.text == "POST /a/b"


async def test_what_runs_beside_the_kubelet_is_shown_no_certificate_of_ours(front: Front) -> None:
    await front.make("/api/v1/namespaces/default/services", a_service())
    endpoints = {
        "metadata": {"name": "web"},
        "subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": front.node_port}]}],
    }
    await front.make("/api/v1/namespaces/default/endpoints", endpoints)
    web = "services/https:web:80/proxy/x"
    await front.http.get(f"/api/v1/namespaces/default/{web}")
    with contextlib.suppress(websockets.ConnectionClosed):
        async with front.stream(f"/api/v1/namespaces/default/{web}") as stream:
            await stream.send("end")
    await front.http.get("/api/v1/nodes/n1/proxy/x")
    assert front.node.knows_asker == [False, False, True]


async def test_headers_without_end_are_not_kept(front: Front) -> None:
    context = pki.client_context(front.keys)
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port, ssl=context)
    writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\n")
    with contextlib.suppress(ConnectionError):
        for number in range(64):
            writer.write(b"x-%d: " % number + b"y" * 64 * 1024 + b"\r\n")
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large") or answer == b""
    writer.close()
    assert (await front.http.get("/readyz")).text == "ok"


async def test_a_body_may_be_larger_than_headers_may(front: Front) -> None:
    answer = await front.http.post("/api/v1/namespaces/default/configmaps", content=b" " * 2 * 1024 * 1024)
    assert answer.status_code == 400
    answer = await front.http.post("/api/v1/namespaces/default/configmaps", content=b" " * 4 * 1024 * 1024)
    assert answer.status_code == 413
