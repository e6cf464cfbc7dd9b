"""What is not served answers as docs/kubernetes-compatibility.md says; and a few things that it calls the same."""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import websockets

from flowdeck.embedded.apiserver import pki
from tests.embedded.apiserver.kinds import a_pod
from tests.embedded.apiserver.served import served

NOT_FOUND = "the server could not find the requested resource"
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"


@dataclass
class Front:
    """A running API server and how to reach it."""

    port: int
    admin: ssl.SSLContext
    nobody: ssl.SSLContext

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, *, body: bytes | None = None
    ) -> httpx.Response:
        """As administrator, or as whoever the `authorization` header says."""
        context = self.nobody if headers and "authorization" in headers else self.admin
        async with httpx.AsyncClient(verify=context, trust_env=False) as http:
            return await http.request(method, f"https://127.0.0.1:{self.port}{path}", headers=headers, content=body)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}}
    async with served(tmp_path) as running:
        for obj in (config_map, a_pod()):
            await running.api.client.create(running.api.kind_of(obj), obj)
        keys = running.keys
        yield Front(running.port, pki.client_context(keys, keys.admin), pki.client_context(keys))


NOT_SERVED = (
    "/apis/apiregistration.k8s.io/v1/apiservices",
    "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
    "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims",
    "/apis/resource.k8s.io",
    "/apis/networking.k8s.io/v1/servicecidrs",
    "/apis/networking.k8s.io/v1/ipaddresses",
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    f"{PODS}/pod/resize",
    "/logs",
    "/configz",
    "/flagz",
    "/statusz",
    "/debug/pprof",
    "/nothing",
)


async def test_what_is_not_served_is_not_found(front: Front) -> None:
    answers = {path: await front.ask("GET", path) for path in NOT_SERVED}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(NOT_SERVED, 404)
    told = {a.json()["message"] if "json" in a.headers["content-type"] else a.text for a in answers.values()}
    assert told == {"404 page not found\n", NOT_FOUND}


OPENAPI_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
REFUSED = (
    ("PATCH", f"{MAPS}/c", {"content-type": "application/apply-patch+cbor"}, 415),
    ("PATCH", f"{MAPS}/c", {"content-type": "application/json"}, 415),
    ("POST", MAPS, {"content-type": "application/cbor"}, 415),
    ("GET", MAPS, {"accept": "application/vnd.kubernetes.protobuf"}, 406),
    ("GET", MAPS, {"accept": "application/cbor"}, 406),
    ("GET", "/openapi/v2", {"accept": OPENAPI_PROTOBUF}, 406),
    ("DELETE", "/api/v1/namespaces", {}, 405),
    ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, 405),
    ("POST", "/api/v1/componentstatuses", {}, 405),
    ("GET", MAPS, {"authorization": "Bearer abcdef.0123456789abcdef"}, 401),
    ("GET", MAPS, {"authorization": "Basic YTpi"}, 403),
)
"""Method, path, headers, code."""


async def test_what_is_not_spoken_is_refused(front: Front) -> None:
    for method, path, headers, code in REFUSED:
        body = b"\x00" if method in ("POST", "PATCH") else None
        answer = await front.ask(method, path, dict(headers), body=body)
        assert (answer.status_code, answer.json()["kind"]) == (code, "Status"), (method, path, headers)


async def test_a_stream_that_is_no_websocket_is_refused(front: Front) -> None:
    answer = await front.ask("POST", f"{PODS}/pod/exec?command=ls&container=main")
    assert (answer.status_code, answer.json()["message"]) == (400, "pod pod does not have a host assigned")


async def test_a_watch_is_no_websocket(front: Front) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(f"wss://127.0.0.1:{front.port}{MAPS}?watch=true", ssl=front.admin, proxy=None):
            pass
    assert refused.value.response.status_code == 405


async def test_answers_are_plain_json_over_http_1(front: Front) -> None:
    answer = await front.ask("GET", MAPS, {"accept-encoding": "gzip"})
    assert (answer.http_version, answer.headers["content-type"]) == ("HTTP/1.1", "application/json")
    assert "content-encoding" not in answer.headers
    assert answer.headers["audit-id"]


async def test_small_answers_are_as_the_page_says(front: Front) -> None:
    statuses = await front.ask("GET", "/api/v1/componentstatuses")
    assert statuses.json()["items"] == []
    assert "deprecated" in statuses.headers["warning"]
    assert [(await front.ask("GET", f"/{path}")).text for path in ("healthz", "livez", "readyz")] == ["ok"] * 3
    version = (await front.ask("GET", "/version")).json()
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "36", "v1.36.2+flowdeck")
