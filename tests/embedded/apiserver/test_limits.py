"""What is too much, too slow or too long for the API server."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from flowdeck.embedded.apiserver import asgi
from flowdeck.embedded.apiserver.bodies import LONG_BYTES, body_of, patch_of, read_beside
from flowdeck.embedded.apiserver.contract import SYSTEM, RequestInfo
from flowdeck.embedded.apiserver.request import MAX_BODY_BYTES
from flowdeck.embedded.apiserver.settings import WatchLimits
from flowdeck.http1.asgi import Receive
from flowdeck.kube.errors import BadRequest, RequestEntityTooLarge, Timeout, TooManyRequests
from flowdeck.kube.kinds import CONFIG_MAP
from flowdeck.kube.objects import Tree
from tests.world.world import World


def receiving(*messages: Mapping[str, Any]) -> Receive:
    waiting = list(messages)

    async def receive() -> Mapping[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    return receive


def piece(body: bytes, *, more: bool = True) -> Tree:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_comes_in_pieces() -> None:
    assert await asgi.read_body(receiving(piece(b"a"), piece(b"b"), piece(b"c", more=False))) == b"abc"


@pytest.mark.parametrize("pieces", [(MAX_BODY_BYTES + 1,), (MAX_BODY_BYTES, 1)], ids=["at-once", "in-pieces"])
async def test_a_body_that_is_too_large_is_refused(pieces: Sequence[int]) -> None:
    messages = [piece(b"x" * size) for size in pieces]
    messages[-1]["more_body"] = False
    with pytest.raises(RequestEntityTooLarge, match="limit is 3145728"):
        await asgi.read_body(receiving(*messages))


async def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    with pytest.raises(BadRequest, match="unexpected EOF"):
        await asgi.read_body(receiving(piece(b"kind: Pod"), {"type": "http.disconnect"}))


@pytest.mark.parametrize("messages", [(), (piece(b"kind: Pod"),)], ids=["not-at-all", "not-wholly"])
async def test_a_body_that_does_not_come_is_given_up(messages: Sequence[Tree], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_S", 0.02)
    with pytest.raises(Timeout, match="did not complete within the allotted timeout"):
        await asyncio.wait_for(asgi.read_body(receiving(*messages)), 5)


def sent(body: bytes, media: str) -> RequestInfo:
    headers = {"content-type": media}
    return RequestInfo("POST", "/", {}, {}, headers, SYSTEM, verb="create", body=body)


LONG: Tree = {"kind": "ConfigMap", "data": {f"key-{number}": "x" * 100 for number in range(LONG_BYTES // 100)}}
LONG_YAML = b"kind: ConfigMap\ndata:\n" + b"".join(
    f"  {name}: {value}\n".encode() for name, value in LONG["data"].items()
)


async def test_a_long_yaml_body_says_what_it_would_say_anyway() -> None:
    info = await read_beside(sent(LONG_YAML, "application/yaml"))
    assert info.body.startswith(b"{")
    assert body_of(info) == LONG


async def test_a_long_applied_body_is_still_an_apply() -> None:
    info = await read_beside(sent(LONG_YAML, "application/apply-patch+yaml"))
    assert patch_of(info) == ("application/apply-patch+yaml", LONG)


@pytest.mark.parametrize(("body", "media"), [(b"a: 1", "application/yaml"), (orjson.dumps(LONG), "application/json")])
async def test_what_is_quick_to_read_is_left_as_it_is(body: bytes, media: str) -> None:
    info = sent(body, media)
    assert await read_beside(info) is info


def a_config_map(name: str) -> Tree:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


async def watch(world: World) -> Any:
    handlers = world.api.pipeline.handlers
    resource = world.api.registry.find("", "v1", CONFIG_MAP.plural)
    assert resource is not None
    query = {"watch": "1", "resourceVersion": "0"}
    info = RequestInfo("GET", "/", query, {}, {}, SYSTEM, verb="watch", resource=resource)
    return (await handlers.answer(info)).stream


async def test_one_watch_too_many_is_told_to_come_back(world: World) -> None:
    watches = world.api.pipeline.handlers.watches
    watches.limits = WatchLimits(most_of_user=1)
    await world.create(a_config_map("a"))
    first = await watch(world)
    assert b'"ADDED"' in await anext(first)
    with pytest.raises(TooManyRequests, match=r"^Too many requests, please try again later\.$") as refused:
        await watch(world)
    assert refused.value.retry_after_s == 1
    await first.aclose()
    assert watches.open.total() == 0
    assert await watch(world) is not None


@pytest.mark.parametrize("count", [0, 1, 64, 65, 200])
async def test_a_list_of_any_length_is_one_document(world: World, count: int) -> None:
    for number in range(count):
        await world.create(a_config_map(f"m{number:03}"))
    path = "/api/v1/namespaces/default/configmaps"
    answer = await world.api.pipeline.call("GET", path, {}, b"", SYSTEM, "application/json")
    found = orjson.loads(answer)
    assert [item["metadata"]["name"] for item in found["items"]] == [f"m{number:03}" for number in range(count)]
    assert all("kind" not in item for item in found["items"])
