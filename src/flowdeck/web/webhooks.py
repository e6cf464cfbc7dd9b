"""Messages to others' servers: a POST of JSON, signed if there is a secret."""

import asyncio
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from flowdeck.kube.errors import BadRequest, ServiceUnavailable

TIMEOUT_S = 10.0
"""Of the whole call: an answer that comes byte by byte is none."""
SIGNATURE = "X-Flowdeck-Signature-256"
"""`sha256=` and the HMAC-SHA256 of the body, in hexadecimal digits."""
_LATER = (408, 425, 429)


@dataclass(frozen=True)
class Webhooks:
    """Who sends them."""

    secret: str = field(default="", repr=False)

    async def post(self, url: str, body: bytes, id: str) -> None:
        """`id` stays the same when the message is sent again. Redirections are not followed, answers are not read.

        Raises `ServiceUnavailable` when it should be tried again, `BadRequest` when that is no use. Their texts do not
        tell the whole URL: it often is the secret.
        """
        hook = f"the web hook at {place_of(url)}"
        headers = {"Content-Type": "application/json", "X-Flowdeck-Delivery": id}
        if self.secret:
            headers[SIGNATURE] = f"sha256={hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}"
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx.AsyncClient(timeout=TIMEOUT_S) as client,
                client.stream("POST", url, content=body, headers=headers) as answer,
            ):
                code = answer.status_code
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise BadRequest(f"{hook} is no http:// or https:// URL") from None
        except TimeoutError:
            raise ServiceUnavailable(f"{hook} does not answer within {TIMEOUT_S:g} s") from None
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"{hook} does not answer: {type(error).__name__}: {error}") from error
        if code in _LATER or code >= 500:
            raise ServiceUnavailable(f"{hook} answers {code}")
        if code >= 300:
            raise BadRequest(f"{hook} answers {code}")


def place_of(url: str) -> str:
    """Scheme and host of a URL: as much as may be told."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}"
    except ValueError:
        return "a URL that is none"
