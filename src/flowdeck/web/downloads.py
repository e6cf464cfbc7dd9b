"""Fetches files whose URL a user gave, from a list of places; nobody gets the platform to ask its own network.

A place is an origin: `https://github.com`, `http://git.example:3000`. Names of places that anybody may use must lead to
public addresses, and the connection goes to the address that was looked at; places that an administrator named may be
anywhere. Each redirect is judged like the first URL. No proxy of the environment is used.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowdeck.kube.errors import BadRequest, ServiceUnavailable

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver
    from yarl import URL

MAX_REDIRECTS = 5
CHUNK = 64 * 1024
_INTERNET = ipaddress.ip_network("2000::/3")
"""Where IPv6 addresses of the internet are; ways to IPv4 that lie outside, or in it, are none of them."""


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """See the module's text."""

    public: Collection[str]
    """Origins that must be at public addresses."""
    trusted: Collection[str] = ()
    """Origins that may be anywhere."""
    limit: int
    """Bytes of a file."""
    timeout_s: float = 30.0
    """For all of it."""

    async def get(self, url: str) -> bytes:
        """The file. Raises `BadRequest` for what may not be fetched, `ServiceUnavailable` when it cannot be."""
        from aiohttp import ClientError

        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._follow(self._checked(url))
        except TimeoutError as error:
            raise ServiceUnavailable(f"{url} did not come within {self.timeout_s:g} s") from error
        except (ClientError, OSError) as error:
            raise ServiceUnavailable(f"{url} cannot be fetched: {error}") from error

    async def _follow(self, url: "URL") -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._once(url)
            if isinstance(found, bytes):
                return found
            url = self._checked(found)
        raise BadRequest(f"Invalid input error: {url}: more than {MAX_REDIRECTS} redirects")

    async def _once(self, url: "URL") -> bytes | str:
        """The file, or where it is said to be."""
        from aiohttp import ClientSession, TCPConnector

        is_trusted = str(url.origin()) in self.trusted
        connector = TCPConnector(resolver=None if is_trusted else _public_addresses(), force_close=True)
        async with (
            ClientSession(connector=connector, trust_env=False) as session,
            session.get(url, allow_redirects=False, headers={"accept-encoding": "identity"}) as answer,
        ):
            if answer.status in (301, 302, 303, 307, 308) and (place := answer.headers.get("location")):
                return str(url.join(type(url)(place)))
            if answer.status != 200:
                raise BadRequest(f"Invalid input error: {url} was answered with {answer.status}")
            data = bytearray()
            async for chunk in answer.content.iter_chunked(CHUNK):
                data += chunk
                if len(data) > self.limit:
                    raise BadRequest(f"Invalid input error: {url} is larger than {self.limit} bytes")
            return bytes(data)

    def _checked(self, text: str) -> "URL":
        """Raises `BadRequest` for a place that is not in the lists."""
        from yarl import URL

        try:
            url = URL(text)
            origin = str(url.origin())
        except ValueError as error:
            raise BadRequest(f"Invalid input error: {text!r} is no URL: {error}") from error
        if url.user is not None or url.password is not None:
            raise BadRequest("Invalid input error: a URL with a user's name or password in it is not fetched")
        if origin not in self.public and origin not in self.trusted:
            known = ", ".join(sorted({*self.public, *self.trusted}))
            raise BadRequest(f"Invalid input error: files are not fetched from {origin}, but from {known}")
        return url


def is_public(address: str) -> bool:
    """Whether it is one of the whole internet, and of one machine."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if found not in _INTERNET or found.sixtofour is not None or found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast


def _public_addresses() -> "AbstractResolver":
    from aiohttp import ThreadedResolver
    from aiohttp.abc import ResolveResult

    class PublicAddresses(ThreadedResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            found = await super().resolve(host, port, family)
            if hidden := [entry["host"] for entry in found if not is_public(entry["host"])]:
                raise OSError(errno.EACCES, f"{host} leads to {hidden[0]}, which is not public")
            return found

    return PublicAddresses()
