"""Answers of servers that others run, read as far as they may be long. Loads httpx: imported when it is needed."""

from typing import Any

import httpx

from flowdeck.embedded.apiserver.request import MAX_BODY_BYTES


async def answer_of(client: httpx.AsyncClient, method: str, url: str, **options: Any) -> tuple[httpx.Response, bytes]:
    """The answer and its body. `options` are httpx's. Raises `ValueError` for one longer than requests may be, and
    what httpx raises.
    """
    async with client.stream(method, url, **options) as answer:
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise ValueError(f"the answer is longer than {MAX_BODY_BYTES} bytes")
    return answer, bytes(body)
