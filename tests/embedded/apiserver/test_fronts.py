"""Through the proxy of a Service, servers of the platform learn who asks; nobody else does, and nobody can pretend."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.workloads import host_services
from flowdeck.kube.errors import Unauthorized
from flowdeck.kube.objects import ObjectKey
from flowdeck.serving import answer
from flowdeck.web.identity import User
from flowdeck.web.vouchers import HEADER, Vouchers
from tests.embedded.apiserver.served import Served, listening, served


async def tells_its_headers(scope: Any, receive: Any, send: Any) -> None:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    await answer(send, 200, json.dumps({"path": scope["path"], **headers}).encode())


class Scene:
    """An API server and a server beside it."""

    def __init__(self, running: Served, port: int) -> None:
        self.api, self.port = running.api, port
        context = pki.client_context(running.keys, running.keys.admin)
        url = f"{running.url}/api/v1/namespaces/default/services/web:http/proxy"
        self.http = httpx.AsyncClient(base_url=url, verify=context, trust_env=False)

    async def asked(self, path: str = "/x", **headers: str) -> dict[str, str]:
        told: dict[str, str] = (await self.http.get(path, headers=headers)).json()
        return told


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with served(tmp_path) as running, listening(tells_its_headers) as port:
        service, client = ObjectKey("default", "web"), running.api.client
        await host_services.lead_to(client, service, label="http", port=80, host="127.0.0.1", host_port=port)
        scene = Scene(running, port)
        yield scene
        await scene.http.aclose()


async def test_a_server_of_ours_learns_who_asks(scene: Scene) -> None:
    scene.api.fronts.add("127.0.0.1", scene.port)
    told = await scene.asked()
    user = scene.api.fronts.vouchers.read(told[HEADER], SystemClock().now())
    assert user.name == "kubernetes-admin"
    assert "system:masters" in user.groups


async def test_any_other_server_learns_nothing(scene: Scene) -> None:
    assert HEADER not in await scene.asked()


@pytest.mark.parametrize("is_ours", [True, False])
async def test_nobody_can_pretend(scene: Scene, is_ours: bool) -> None:
    if is_ours:
        scene.api.fronts.add("127.0.0.1", scene.port)
    told = await scene.asked(**{HEADER: "forged", HEADER.title(): "forged"})
    assert told.get(HEADER) != "forged"


async def test_slashes_are_one_as_upstream(scene: Scene) -> None:
    """The SDK of pipelines puts two after `proxy`."""
    told = await scene.http.get(f"{scene.http.base_url}/apis/v2beta1/runs")
    assert told.request.url.path.endswith("proxy//apis/v2beta1/runs")
    assert told.json()["path"] == "/apis/v2beta1/runs"


async def test_large_bodies_go_through(scene: Scene) -> None:
    assert (await scene.http.post("/x", content=bytes(8_000_000))).status_code == 200


def test_vouchers_of_others_and_old_ones_are_refused() -> None:
    now = SystemClock().now()
    mine, other = Vouchers(), Vouchers()
    value = mine.write(User("Zoë", ("a", "b")), now)
    assert mine.read(value, now) == User("Zoë", ("a", "b"))
    late = now.fromtimestamp(now.timestamp() + 61, now.tzinfo)
    text, _, signature = value.partition(".")
    changed = "x" + text[1:]
    for header, at, vouchers in (
        (value, now, other),
        (value, late, mine),
        (f"{changed}.{signature}", now, mine),
        (text, now, mine),
        ("", now, mine),
        (f"{text}.é", now, mine),
    ):
        with pytest.raises(Unauthorized):
            vouchers.read(header, at)
