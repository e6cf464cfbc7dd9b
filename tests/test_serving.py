"""A server's certificate is read again when its files change, whoever writes them, and however badly."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowdeck.certificates import Leaf, make_authority, make_leaf, split_pem
from flowdeck.clock import FakeClock, SystemClock
from flowdeck.serving import RELOAD_S, BodyTooLarge, CertificateFiles, body_of


def a_certificate(name: str) -> str:
    now, life = SystemClock().now(), timedelta(hours=1)
    return make_leaf(Leaf("", name, usage="server", names=("localhost",)), make_authority(name, now=now, life=life),
                     now=now, life=life)  # fmt: skip


async def test_a_file_that_is_half_written_is_looked_at_again(tmp_path: Path) -> None:
    file, clock = tmp_path / "serving.pem", FakeClock()
    file.write_text(a_certificate("old"))
    certificate = CertificateFiles(file, file)
    keeping = asyncio.create_task(certificate.keep(clock))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificate.context)
    address = server.sockets[0].getsockname()

    async def served_after(text: str | None) -> str:
        await clock.until_asleep()
        file.unlink() if text is None else file.write_text(text)
        clock.advance(RELOAD_S)
        await clock.until_asleep()
        return await asyncio.to_thread(ssl.get_server_certificate, address)

    old, new = file.read_text(), a_certificate("new")
    assert await served_after(new[:200]) == split_pem(old)[0]
    assert await served_after(None) == split_pem(old)[0]
    assert await served_after(new) == split_pem(new)[0]
    server.close()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_body_that_does_not_end_is_not_waited_for() -> None:
    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(OSError):  # noqa: PT011 - a TimeoutError, which says nothing
        await body_of(never, limit=10, within_s=0.01)


async def test_a_body_that_is_too_long_is_refused() -> None:
    async def long() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 6, "more_body": True}

    with pytest.raises(BodyTooLarge, match="longer than 10 bytes"):
        await body_of(long, limit=10, within_s=5)
