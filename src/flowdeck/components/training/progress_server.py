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

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from flowdeck.client.base import Client
from flowdeck.client.reviews import TokenReviews
from flowdeck.clock import Clock
from flowdeck.components.base import Front, published_already
from flowdeck.components.training.progress import audience_of
from flowdeck.components.training.settings import SERVICE, SERVICE_NAMESPACE, SERVICE_PORT, TrainingSettings
from flowdeck.components.training.types import GROUP, TRAIN_JOB, VERSION
from flowdeck.http1.asgi import Receive, Scope, Send
from flowdeck.kube.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    InternalError,
    Invalid,
    NotFound,
    RequestEntityTooLarge,
)
from flowdeck.kube.objects import ObjectKey
from flowdeck.serving import BodyTooLarge, CertificateFiles, answer, body_of, serve

MANAGER = "trainer-status"
MAX_BODY = 64 * 1024
READ_TIMEOUT_S = 10

_ACCOUNT = "system:serviceaccount:"
_UNTYPED = "failed to create typed patch object"
"""How the API server begins to say, with code 500, that what is applied has a value of a wrong type."""

FRONT = Front(SERVICE, SERVICE_NAMESPACE, SERVICE_PORT, target_port=SERVICE_PORT, label="progress")


@dataclass(frozen=True)
class ProgressApp:
    """The ASGI application."""

    client: Client
    tokens: TokenReviews

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            code, body = 200, await self._answer(scope, receive)
        except ApiError as error:
            code, body = error.code, msgspec.json.encode(error.to_status())
        await answer(send, code, body)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        job = _job_at(scope["path"]) if scope["method"] == "POST" else None
        if job is None:
            raise NotFound("Not found")
        await self._check(_bearer(scope), job)
        body = await _read(receive)
        status = _trainer_status(body)
        if status is not None:
            await self._store(job, status)
        return body

    async def _check(self, token: str, job: ObjectKey) -> None:
        """Service accounts of its namespace may report on a TrainJob, with a token made for just that."""
        try:
            user = await self.tokens.user_of(token, audience=audience_of(job))
        except (ApiError, OSError) as error:
            raise InternalError("Internal error") from error
        if user is None or not user.name.startswith(f"{_ACCOUNT}{job.namespace}:"):
            raise Forbidden("Forbidden")

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
            if isinstance(error, ApiError) and error.message.startswith(_UNTYPED):
                raise Invalid(error.message) from error
            raise InternalError("Internal error") from error


@dataclass(frozen=True, kw_only=True)
class ProgressServer:
    """Serves progress reports."""

    client: Client
    clock: Clock
    settings: TrainingSettings
    publish: Callable[[Front, str, int], Awaitable[None]] = published_already
    """Tells where the server listens, once it does."""

    async def run(self) -> None:
        """Serves until it is cancelled."""
        settings = self.settings
        assert settings.tls_certificate is not None, "a progress server has a certificate"
        assert settings.tls_key is not None
        listener = socket.create_server((settings.progress_host, settings.progress_port), backlog=2048)
        await self.publish(FRONT, settings.progress_host, listener.getsockname()[1])
        app = ProgressApp(self.client, TokenReviews(self.client, self.clock))
        await serve(app, listener, self.clock, certificate=CertificateFiles(settings.tls_certificate, settings.tls_key))


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
    try:
        return await body_of(receive, limit=MAX_BODY, within_s=READ_TIMEOUT_S)
    except BodyTooLarge as error:
        raise RequestEntityTooLarge("Payload too large") from error
    except OSError as error:  # too slow, or hung up
        raise Invalid("Invalid payload") from error


def _trainer_status(body: bytes) -> Any:
    try:
        payload = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise Invalid("Invalid payload") from error
    if not isinstance(payload, dict):
        raise Invalid("Invalid payload")
    return payload.get("trainerStatus")
