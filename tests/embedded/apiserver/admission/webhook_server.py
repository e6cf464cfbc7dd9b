"""A webhook of a user: a small HTTPS server that answers reviews as a test says."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver.pki import prepare, server_context
from flowdeck.kube.objects import Tree

Answer = Callable[[Tree], Tree | bytes | None]
"""From the request of a review to the fields of the response; bytes are sent as they are, None is never answered."""


class WebhookServer:
    def __init__(self, folder: Path, answer: Answer) -> None:
        self.pki = prepare(folder, node="n", now=SystemClock().now(), names=["hook.team.svc"])
        self.answer = answer
        self.asked: list[Tree] = []
        self.port = 0

    @property
    def config(self) -> Tree:
        """`clientConfig` of a webhook that is served here."""
        return {"url": f"https://127.0.0.1:{self.port}/review", "caBundle": self.ca_bundle}

    @property
    def ca_bundle(self) -> str:
        return base64.b64encode(self.pki.ca.read_bytes()).decode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = self._respond(await reader.readexactly(length))
                if body is None:
                    await reader.read()
                    return
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _respond(self, body: bytes) -> bytes | None:
        review = orjson.loads(body)
        self.asked.append(review["request"])
        answer = self.answer(review["request"])
        if not isinstance(answer, dict):
            return answer
        review["response"] = {"uid": review.pop("request")["uid"], **answer}
        return orjson.dumps(review)


@asynccontextmanager
async def a_webhook(folder: Path, answer: Answer) -> AsyncIterator[WebhookServer]:
    server = WebhookServer(folder, answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server_context(server.pki))
    server.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield server


def patching(*operations: Tree) -> Any:
    """An answer that changes the object."""
    patch = base64.b64encode(orjson.dumps(list(operations))).decode()
    return {"allowed": True, "patchType": "JSONPatch", "patch": patch}
