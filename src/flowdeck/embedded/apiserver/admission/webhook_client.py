"""Calls webhooks: by URL, or by the Service that their configuration names.

Source: k8s.io/apiserver (pkg/util/webhook/client.go).
"""

import asyncio
import base64
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flowdeck.embedded.apiserver.pods_network import ToPod, reached_directly
from flowdeck.kube.objects import Tree

if TYPE_CHECKING:
    import httpx

ResolveService = Callable[[str, str, int], str]
"""`(namespace, name, port)` of a Service -> `host:port` where it answers. Raises `LookupError` with the reason."""

DEFAULT_TIMEOUT_S = 10
KEPT = 20
"""Idle connections to webhooks that have the same authority."""


class CallFailed(Exception):
    """No usable answer; the text says why."""


@dataclass(frozen=True)
class WebhookClient:
    """Posts reviews; one connection pool for each set of trusted certificates."""

    resolve: ResolveService
    to_pod: ToPod = reached_directly
    _clients: dict[str, "httpx.AsyncClient"] = field(default_factory=dict)

    async def post(self, hook: Tree, body: bytes) -> bytes:
        """The body of the answer. Raises `CallFailed`."""
        import httpx

        from flowdeck.embedded.apiserver.answers import answer_of

        timeout_s = hook.get("timeoutSeconds") or DEFAULT_TIMEOUT_S
        url, address, server_name = self._target(hook.get("clientConfig") or {}, timeout_s)
        shown = f"{url}?timeout={timeout_s}s"
        try:
            client = self._client((hook.get("clientConfig") or {}).get("caBundle") or "")
            async with asyncio.timeout(timeout_s):
                answer, content = await answer_of(
                    client,
                    "POST",
                    address,
                    content=body,
                    params={"timeout": f"{timeout_s}s"},
                    headers={"Content-Type": "application/json", "Host": server_name} if server_name else _JSON,
                    extensions={"sni_hostname": server_name} if server_name else {},
                )
        except TimeoutError as error:
            raise CallFailed(f'failed to call webhook: Post "{shown}": context deadline exceeded') from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise CallFailed(f'failed to call webhook: Post "{shown}": {_why(error, address)}') from error
        if not answer.is_success:
            raise CallFailed(f"failed to call webhook: {_told(answer.status_code)}")
        if not content:
            media = answer.headers.get("content-type", "")
            told = f"0-length response with status code: {answer.status_code} and content type: {media}"
            raise CallFailed(f"failed to call webhook: {told}")
        return content

    def _target(self, config: Tree, timeout_s: int) -> tuple[str, str, str]:
        """The URL to tell, the one to connect to, and the name that the certificate must have."""
        service = config.get("service")
        if not service:
            url = config.get("url") or ""
            return url, url, ""
        name, namespace, port = service.get("name", ""), service.get("namespace", ""), service.get("port") or 443
        path = (service.get("path") or "").lstrip("/")
        server_name = f"{name}.{namespace}.svc"
        url = f"https://{server_name}:{port}/{path}"
        try:
            return url, f"https://{self.resolve(namespace, name, port)}/{path}", server_name
        except LookupError as error:
            raise CallFailed(f'failed to call webhook: Post "{url}?timeout={timeout_s}s": {error.args[0]}') from error

    def _client(self, ca_bundle: str) -> "httpx.AsyncClient":
        import httpx

        from flowdeck.embedded.apiserver.pods_transport import Transport

        client = self._clients.get(ca_bundle)
        if client is None:
            cadata = base64.b64decode(ca_bundle).decode() if ca_bundle else None
            context = ssl.create_default_context(cadata=cadata)
            transport = Transport(context, self.to_pod, kept=KEPT)
            client = httpx.AsyncClient(transport=transport, timeout=None, follow_redirects=False, trust_env=False)
            self._clients[ca_bundle] = client
        return client

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


def _told(status: int) -> str:
    """What upstream's client says of an answer without a Status."""
    if status == 404:
        return "the server could not find the requested resource"
    if status == 500:
        return 'an error on the server ("unknown") has prevented the request from succeeding'
    if status == 503:
        return "the server is currently unable to handle the request"
    return f"the server responded with the status code {status} but did not return more information"


def _why(error: Exception, address: str) -> str:
    """The words of Go for what is seen often."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {urlsplit(address).netloc}: connect: connection refused"
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _UNKNOWN_AUTHORITY:
            return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
"""OpenSSL's numbers: nobody whom we trust has signed it."""
_JSON = {"Content-Type": "application/json"}
