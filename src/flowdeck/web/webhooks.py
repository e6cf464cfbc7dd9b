"""Messages to others' servers: a POST of JSON, signed if there is a secret."""

import hashlib
import hmac
from dataclasses import dataclass, field

import httpx

from flowdeck.kube.errors import BadRequest, ServiceUnavailable

TIMEOUT_S = 10.0
SIGNATURE = "X-Flowdeck-Signature-256"
"""`sha256=` and the HMAC-SHA256 of the body, in hexadecimal digits."""
_LATER = (408, 425, 429)


@dataclass(frozen=True)
class Webhooks:
    """Who sends them."""

    secret: str = field(default="", repr=False)

    async def post(self, url: str, body: bytes, id: str) -> None:
        """`id` stays the same when the message is sent again. Redirections are not followed.

        Raises `ServiceUnavailable` when it should be tried again, `BadRequest` when that is no use.
        """
        headers = {"Content-Type": "application/json", "X-Flowdeck-Delivery": id}
        if self.secret:
            headers[SIGNATURE] = f"sha256={hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()}"
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                answer = await client.post(url, content=body, headers=headers)
        except httpx.InvalidURL as error:
            raise BadRequest(f"the web hook {url} is no URL: {error}") from error
        except httpx.UnsupportedProtocol as error:
            raise BadRequest(f"the web hook {url} is no http:// or https:// URL") from error
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"the web hook {url} does not answer: {type(error).__name__}: {error}") from error
        if answer.status_code in _LATER or answer.status_code >= 500:
            raise ServiceUnavailable(f"the web hook {url} answers {answer.status_code}")
        if answer.status_code >= 300:
            raise BadRequest(f"the web hook {url} answers {answer.status_code}")
