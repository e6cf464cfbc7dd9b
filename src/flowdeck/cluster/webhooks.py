"""Admission rules as webhooks: `AdmissionReview` v1 over HTTPS. Embedded, the same rules run in the API server.

    POST <path of a rule>    200, an AdmissionReview with the verdict
    no AdmissionReview       400
    the rule cannot decide   500, so the configuration's failure policy says what becomes of the request

Source: sigs.k8s.io/controller-runtime (pkg/webhook/admission)
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson
import structlog

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.controller.admission import AdmissionRule, Review
from flowdeck.http1.asgi import Receive, Scope, Send
from flowdeck.kube.errors import ApiError, Forbidden
from flowdeck.kube.objects import Tree, copy_of, get_in
from flowdeck.serving import BodyTooLarge, answer, body_of

MAX_BODY = 7 * 1024 * 1024
"""An object of 3 MiB, old and new, and what is around them."""
BODY_S = 10.0
"""For a review to come in: the API server waits no longer for the verdict."""

log = structlog.get_logger()


class _Unreadable(Exception):
    """The body is no AdmissionReview; says why."""


@dataclass(frozen=True)
class WebhookApp:
    """The ASGI application."""

    rules: Sequence[AdmissionRule]
    reader: Reader
    clock: Clock
    _by_path: dict[str, AdmissionRule] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_path", {rule.path: rule for rule in self.rules})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        rule = self._by_path.get(scope["path"])
        if rule is None or scope["method"] != "POST":
            await answer(send, 404, b"not found\n", "text/plain")
            return
        try:
            told = await self._told(rule, await body_of(receive, limit=MAX_BODY, within_s=BODY_S))
            await answer(send, 200, orjson.dumps(told))
        except (_Unreadable, BodyTooLarge) as error:
            await answer(send, 400, f"{error}\n".encode(), "text/plain")
        except (ApiError, OSError) as error:
            log.warning("a webhook could not decide", webhook=rule.name, error=str(error))
            await answer(send, 500, f"{rule.name} could not decide: {error}\n".encode(), "text/plain")

    async def _told(self, rule: AdmissionRule, body: bytes) -> Tree:
        request = _request_in(body)
        old = request.get("oldObject")
        obj = request.get("object") or old
        if not isinstance(obj, dict):
            raise _Unreadable("the AdmissionReview has no object")
        review = await rule.review(copy_of(obj), old, reader=self.reader, clock=self.clock)
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": request["uid"], **_verdict(rule, obj, review)},
        }


def _request_in(body: bytes) -> Tree:
    try:
        review = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Unreadable(f"the body is not JSON: {error}") from error
    request = get_in(review, "request")
    if get_in(review, "kind") != "AdmissionReview" or not isinstance(request, dict) or "uid" not in request:
        raise _Unreadable("the body is no AdmissionReview with a request")
    return request


def _verdict(rule: AdmissionRule, before: Tree, review: Review) -> Tree:
    verdict: Tree = {"allowed": not review.errors}
    if review.warnings:
        verdict["warnings"] = list(review.warnings)
    if review.errors:
        verdict["status"] = Forbidden(", ".join(review.errors)).to_status()
    elif rule.phase == "mutate" and (patch := patch_between(before, review.obj)):
        verdict |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(patch)).decode()}
    return verdict


def patch_between(before: Tree, after: Tree) -> list[dict[str, Any]]:
    """A JSON patch, as fine as the top-level fields."""
    gone = [{"op": "remove", "path": _pointer(name)} for name in before if name not in after]
    changed = [
        {"op": "replace" if name in before else "add", "path": _pointer(name), "value": value}
        for name, value in after.items()
        if name not in before or before[name] != value
    ]
    return [*gone, *changed]


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")
