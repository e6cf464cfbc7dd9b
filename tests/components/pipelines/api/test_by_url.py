"""Pipelines by URL: `package_url` of the request says where the file is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from flowdeck.http1.server import HttpServer
from flowdeck.serving import answer
from tests.components.pipelines.api.served import DOCUMENT, serving
from tests.world.world import World


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Of a web server that has `hello.yaml` and `broken.yaml`."""

    async def files(scope: Any, receive: Any, send: Any) -> None:
        body = msgspec.json.encode(DOCUMENT if scope["path"] == "/hello.yaml" else {"a": 1})
        await answer(send, 200, body, "text/plain")

    server = HttpServer(files, socket.create_server(("127.0.0.1", 0)))
    task = asyncio.create_task(server.run())
    await server.wait_ready()
    yield f"http://127.0.0.1:{server.port}"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.fixture
async def api(world: World, tmp_path: Path, origin: str) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(world, tmp_path, url_origins=frozenset({origin})) as served, served.client() as client:
        yield client


def at(url: str) -> dict[str, Any]:
    return {"package_url": {"pipeline_url": url}}


async def test_a_pipeline_and_a_version_from_a_web_server(api: httpx.AsyncClient, origin: str) -> None:
    body = {"pipeline": {"name": "hello"}, "pipeline_version": at(f"{origin}/hello.yaml?raw=true")}
    pipeline = (await api.post("/pipelines/create", json=body)).json()
    path = f"/pipelines/{pipeline['pipeline_id']}/versions"
    (first,) = (await api.get(path)).json()["pipeline_versions"]
    assert (first["name"], first["pipeline_spec"]) == ("hello", DOCUMENT)
    second = {"pipeline_id": pipeline["pipeline_id"], "name": "second", **at(f"{origin}/hello.yaml")}
    assert (await api.post(path, json=second)).json()["name"] == "second"


@pytest.mark.parametrize("url", ["{}/broken.yaml", "{}/hello.txt", "http://127.0.0.1:1/hello.yaml", "nonsense", ""])
async def test_what_is_refused(api: httpx.AsyncClient, origin: str, url: str) -> None:
    body = {"pipeline": {"name": "hello"}, "pipeline_version": at(url.format(origin))}
    answer = await api.post("/pipelines/create", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)
    assert (await api.get("/pipelines")).json() == {}
