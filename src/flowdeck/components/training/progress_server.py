"""Takes progress and metrics from training code: `POST <path of a TrainJob's status>`, over HTTPS.

    other path or method                       404 Not found
    no, bad, expired or foreign token          403 Forbidden
    body over 64 KiB                           413 Payload too large
    body is not a JSON object                  422 Invalid payload
    no `trainerStatus` in it                   200, nothing is stored
    `trainerStatus` against the schema         422 with the API server's words
    no such TrainJob                           404 Train job not found
    the API server cannot be asked             500 Internal error
    else                                       200; the whole `trainerStatus` is replaced

A good answer is the request's body; a bad one is a Kubernetes `Status`. Every replica of the platform serves it.

Source: kubeflow/trainer (pkg/statusserver)
"""

import asyncio
import hashlib
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.components.training.progress import audience_of
from flowdeck.components.training.settings import SERVICE, SERVICE_NAMESPACE, SERVICE_PORT, TrainingSettings
from flowdeck.components.training.types import GROUP, TRAIN_JOB, VERSION
from flowdeck.kube.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    Invalid,
    NotFound,
    RequestEntityTooLarge,
)
from flowdeck.kube.kinds import ENDPOINT_SLICE, TOKEN_REVIEW
from flowdeck.kube.kinds import SERVICE as SERVICE_KIND
from flowdeck.kube.objects import ObjectKey, Tree, get_in

MANAGER = "trainer-status"
MAX_BODY = 64 * 1024
READ_TIMEOUT_S = 10
IDLE_TIMEOUT_S = 120
SHUTDOWN_TIMEOUT_S = 5
TRUST_S = 60
"""How long a token that was found good is not asked about again."""
MAX_TRUSTED = 10_000

_ACCOUNT = "system:serviceaccount:"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class Tokens:
    """Who may report on which TrainJob: service accounts of its namespace, with a token made for just that."""

    client: Client
    clock: Clock
    _trusted: "OrderedDict[bytes, float]" = field(default_factory=OrderedDict)

    async def check(self, token: str, job: ObjectKey) -> None:
        """Raises `Forbidden`; `InternalError` when the API server cannot be asked."""
        audience = audience_of(job)
        digest = hashlib.sha256(f"{audience}\0{token}".encode()).digest()
        if self._trusted.get(digest, 0.0) > self.clock.monotonic():
            return
        status = await self._review(token, audience)
        account = get_in(status, "user", "username", default="")
        if not (
            status.get("authenticated")
            and audience in (status.get("audiences") or ())
            and account.startswith(f"{_ACCOUNT}{job.namespace}:")
        ):
            raise Forbidden("Forbidden")
        self._trusted[digest] = self.clock.monotonic() + TRUST_S
        if len(self._trusted) > MAX_TRUSTED:
            self._trusted.popitem(last=False)

    async def _review(self, token: str, audience: str) -> Tree:
        review = {
            "apiVersion": TOKEN_REVIEW.api_version,
            "kind": TOKEN_REVIEW.kind,
            "spec": {"token": token, "audiences": [audience]},
        }
        try:
            answer = await self.client.raw("POST", TOKEN_REVIEW.url(), body=review)
        except (ApiError, OSError) as error:
            raise InternalError("Internal error") from error
        status: Tree = msgspec.json.decode(answer).get("status") or {}
        return status


@dataclass(frozen=True)
class ProgressApp:
    """The ASGI application."""

    client: Client
    tokens: Tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            code, body = 200, await self._answer(scope, receive)
        except ApiError as error:
            code, body = error.code, msgspec.json.encode(error.to_status())
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        job = _job_at(scope["path"]) if scope["method"] == "POST" else None
        if job is None:
            raise NotFound("Not found")
        await self.tokens.check(_bearer(scope), job)
        body = await _read(receive)
        status = _trainer_status(body)
        if status is not None:
            await self._store(job, status)
        return body

    async def _store(self, job: ObjectKey, trainer_status: Any) -> None:
        obj = {
            "apiVersion": TRAIN_JOB.api_version,
            "kind": TRAIN_JOB.kind,
            "metadata": {"name": job.name, "namespace": job.namespace},
            "status": {"trainerStatus": trainer_status},
        }
        try:
            await self.client.apply(TRAIN_JOB, obj, manager=MANAGER, force=True, subresource="status")
        except NotFound as error:
            raise NotFound("Train job not found") from error
        except Invalid:
            raise
        except BadRequest as error:
            raise Invalid(error.message, causes=error.causes) from error
        except (ApiError, OSError) as error:
            raise InternalError("Internal error") from error


@dataclass(frozen=True, kw_only=True)
class ProgressServer:
    """Serves progress reports, and publishes where."""

    client: Client
    clock: Clock
    settings: TrainingSettings

    async def run(self) -> None:
        """Serves until it is cancelled."""
        listener = socket.create_server((self.settings.progress_host, self.settings.progress_port), backlog=2048)
        await self._publish(listener.getsockname()[1])
        server = uvicorn.Server(self._config())
        serving = asyncio.ensure_future(server._serve([listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise

    def _config(self) -> uvicorn.Config:
        settings = self.settings
        return uvicorn.Config(
            ProgressApp(self.client, Tokens(self.client, self.clock)),
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=str(settings.tls_key),
            ssl_version=ssl.PROTOCOL_TLS_SERVER,
            timeout_keep_alive=IDLE_TIMEOUT_S,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
        )

    async def _publish(self, port: int) -> None:
        """Makes the Service lead here."""
        service = {
            "apiVersion": SERVICE_KIND.api_version,
            "kind": SERVICE_KIND.kind,
            "metadata": {"name": SERVICE, "namespace": SERVICE_NAMESPACE},
            "spec": {"ports": [{"name": "progress", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": port}]},
        }
        host = self.settings.progress_host
        endpoints = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": f"{SERVICE}-{host.replace('.', '-').replace(':', '-')}",
                "namespace": SERVICE_NAMESPACE,
                "labels": {
                    "kubernetes.io/service-name": SERVICE,
                    "endpointslice.kubernetes.io/managed-by": MANAGER,
                },
            },
            "addressType": "IPv6" if ":" in host else "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [{"name": "progress", "port": port, "protocol": "TCP"}],
        }
        await self.client.apply(SERVICE_KIND, service, manager=MANAGER)
        await self.client.apply(ENDPOINT_SLICE, endpoints, manager=MANAGER)


def certificates_in(path: Path) -> str:
    """The certificates of a PEM file, without the private key that may stand beside them."""
    kept, inside = [], False
    for line in path.read_text().splitlines():
        inside = inside or line == "-----BEGIN CERTIFICATE-----"
        if inside:
            kept.append(line + "\n")
        inside = inside and line != "-----END CERTIFICATE-----"
    return "".join(kept)


def _job_at(path: str) -> ObjectKey | None:
    """The TrainJob whose status is at that path."""
    match path.split("/"):
        case ["", "apis", group, version, "namespaces", namespace, plural, name, "status"] if (
            (group, version, plural) == (GROUP, VERSION, TRAIN_JOB.plural) and namespace and name
        ):
            return ObjectKey(namespace, name)
        case _:
            return None


def _bearer(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").strip().partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                return str(token.strip())
    raise Forbidden("Forbidden")


async def _read(receive: Receive) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Invalid("Invalid payload")
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise RequestEntityTooLarge("Payload too large")
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise Invalid("Invalid payload") from error


def _trainer_status(body: bytes) -> Any:
    try:
        payload = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Invalid("Invalid payload") from error
    if not isinstance(payload, dict):
        raise Invalid("Invalid payload")
    return payload.get("trainerStatus")
