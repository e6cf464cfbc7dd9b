"""Files by URL: from places in the lists alone, and never from where only the platform can go."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowdeck.http1.server import HttpServer
from flowdeck.kube.errors import BadRequest, ServiceUnavailable
from flowdeck.serving import answer
from flowdeck.web.downloads import Downloads, is_public


class Site:
    """A web server on loopback: `/N` has N bytes, `/to/URL` redirects, `/slow` does not answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.asked.append(path)
        if path.startswith("/to/"):
            headers = [(b"location", path.removeprefix("/to/").encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 302, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif path == "/slow":
            await asyncio.Event().wait()
        elif path[1:].isdigit():
            await answer(send, 200, b"x" * int(path[1:]), "text/plain")
        else:
            await answer(send, 404, b"", "text/plain")


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, str]]:
    app = Site()
    server = HttpServer(app, socket.create_server(("127.0.0.1", 0)))
    task = asyncio.create_task(server.run())
    await server.wait_ready()
    yield app, f"http://localhost:{server.port}"
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def trusting(origin: str, **more: Any) -> Downloads:
    return Downloads(public=("https://github.com",), trusted=(origin,), **{"limit": 1000, **more})


async def test_a_file_comes_whole_and_redirects_are_followed(site: tuple[Site, str]) -> None:
    _, origin = site
    assert await trusting(origin).get(f"{origin}/1000") == b"x" * 1000
    assert await trusting(origin).get(f"{origin}/to//7") == b"x" * 7


async def test_a_public_place_must_be_at_public_addresses(site: tuple[Site, str]) -> None:
    app, origin = site
    with pytest.raises(ServiceUnavailable, match="not public"):
        await Downloads(public=(origin,), limit=1000).get(f"{origin}/7")
    assert app.asked == []


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/1001", "larger than 1000 bytes"),
        ("/missing", "answered with 404"),
        ("/to/http://127.0.0.1:1/x", "files are not fetched from http://127.0.0.1:1"),
        ("/to/https://gitlab.com/x", "files are not fetched from https://gitlab.com"),
        ("/to/file:///etc/passwd", "is no URL"),
    ],
)
async def test_what_is_refused_on_the_way(site: tuple[Site, str], path: str, why: str) -> None:
    _, origin = site
    with pytest.raises(BadRequest, match=why):
        await trusting(origin).get(f"{origin}{path}")


async def test_redirects_end(site: tuple[Site, str]) -> None:
    app, origin = site
    place = "/to/" * 10 + "/7"
    with pytest.raises(BadRequest, match="more than 5 redirects"):
        await trusting(origin).get(f"{origin}{place}")
    assert len(app.asked) == 6


async def test_who_is_slow_is_given_up(site: tuple[Site, str]) -> None:
    _, origin = site
    with pytest.raises(ServiceUnavailable, match=r"within 0\.1 s"):
        await trusting(origin, timeout_s=0.1).get(f"{origin}/slow")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/x",
        "http://github.com/x",
        "https://github.com:8443/x",
        "https://github.com.evil.example/x",
        "https://github.com@evil.example/x",
        "https://user@github.com/x",
        "https://user:secret@github.com/x",
        "https://evil.example/https://github.com",
        "https://evil.example\\@github.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "file:///etc/passwd",
        "ftp://github.com/x",
        "gopher://github.com/",
    ],
)
async def test_other_places_are_not_even_looked_up(url: str) -> None:
    with pytest.raises(BadRequest):
        await Downloads(public=("https://github.com",), limit=10).get(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("ff02::1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public
