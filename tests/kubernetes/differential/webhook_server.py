"""A webhook that both servers call: its URL says what it answers, so a scenario says it where it configures it.

    {"url": answering(allowed=False, status={"code": 409}), "caBundle": "{hooks_ca}"}

`{hooks}` and `{hooks_ca}` are texts of scenarios, as `{ns}` is.
"""

import asyncio
import base64
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.http1.server import HttpServer
from flowdeck.kube.objects import Tree


def answering(
    *,
    patch: Any = None,
    tell: tuple[str, ...] = (),
    envelope: Tree | None = None,
    raw: str | None = None,
    code: int = 200,
    wait_s: float = 0,
    **response: Any,
) -> str:
    """The URL of a webhook that allows, or what the fields of `response` say.

    `patch`: operations of a JSON patch, or a text that is none. `tell`: refuses, and the message is these fields of the
    request. `envelope`: fields of the review; `raw`: a body that is none; `code`: of HTTP; `wait_s`: before it answers.
    """
    given = {
        "patch": patch, "tell": tell, "envelope": envelope, "raw": raw, "code": code, "wait_s": wait_s,
        "response": response,
    }  # fmt: skip
    return "{hooks}/" + base64.urlsafe_b64encode(orjson.dumps(given)).decode().rstrip("=")


@asynccontextmanager
async def serving() -> AsyncIterator[Mapping[str, str]]:
    """Runs it on loopback; gives the texts of scenarios that name it."""
    with tempfile.TemporaryDirectory(prefix="hooks-") as folder:
        keys = pki.prepare(Path(folder) / "pki", node="none", now=SystemClock().now())
        http = HttpServer(_app, socket.create_server(("127.0.0.1", 0)), pki.server_context(keys))
        task = asyncio.create_task(http.run())
        await http.wait_ready()
        try:
            authority = base64.b64encode(keys.ca.read_bytes()).decode()
            yield {"hooks": f"https://127.0.0.1:{http.port}", "hooks_ca": authority}
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _app(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    path = scope["path"].strip("/")
    wanted = orjson.loads(base64.urlsafe_b64decode(path + "=" * (-len(path) % 4)))
    await asyncio.sleep(wanted["wait_s"])
    answer = wanted["raw"].encode() if wanted["raw"] is not None else orjson.dumps(_review(orjson.loads(body), wanted))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": wanted["code"], "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def _review(review: Tree, wanted: Tree) -> Tree:
    request = review.pop("request")
    response: Tree = {"uid": request["uid"], "allowed": True, **wanted["response"]}
    if wanted["patch"] is not None:
        patch = wanted["patch"] if isinstance(wanted["patch"], str) else orjson.dumps(wanted["patch"]).decode()
        response = {"patchType": "JSONPatch", **response, "patch": base64.b64encode(patch.encode()).decode()}
    if wanted["tell"]:
        told = {name: request.get(name) for name in wanted["tell"]}
        message = orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()
        response |= {"allowed": False, "status": {"message": message}}
    return {**review, "response": response, **(wanted["envelope"] or {})}
