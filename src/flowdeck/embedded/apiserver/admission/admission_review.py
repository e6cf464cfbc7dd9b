"""`AdmissionReview` v1: the question that a webhook gets, and its answer.

Source: k8s.io/apiserver (pkg/admission/plugin/webhook/request).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from flowdeck.embedded.apiserver.contract import AdmissionRequest
from flowdeck.embedded.apiserver.reviews import user_tree
from flowdeck.kube.objects import Kind, Tree

_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


class BadAnswer(ValueError):
    """A webhook's answer that cannot be used; the text says why."""


@dataclass(frozen=True)
class Verdict:
    """What a webhook answered."""

    allowed: bool
    status: Tree | None = None
    """Why not."""
    patch: Sequence[Any] = ()
    """JSON patch operations."""
    warnings: Sequence[str] = field(default_factory=list)


def request_tree(request: AdmissionRequest, uid: str = "", asked: Kind | None = None) -> Tree:
    """The `request` of a review; expressions see it as well. `asked` is the kind that the client named, if another."""
    gvk, gvr = _names(request.resource.kind)
    asked_gvk, asked_gvr = _names(asked or request.resource.kind)
    tree: Tree = {"uid": uid, "kind": gvk, "resource": gvr}
    if request.subresource:
        tree["subResource"] = request.subresource
    tree |= {"requestKind": asked_gvk, "requestResource": asked_gvr}
    if request.subresource:
        tree["requestSubResource"] = request.subresource
    if request.key.name:
        tree["name"] = request.key.name
    if request.key.namespace:
        tree["namespace"] = request.key.namespace
    options = {"kind": _OPTIONS.get(request.operation, "ConnectOptions"), "apiVersion": "meta.k8s.io/v1"}
    return tree | {
        "operation": request.operation,
        "userInfo": user_tree(request.user),
        "object": _typed(request, request.obj),
        "oldObject": _typed(request, request.old),
        "dryRun": request.dry_run,
        "options": {**options, **request.options},
    }


def _names(kind: Kind) -> tuple[Tree, Tree]:
    """GroupVersionKind and GroupVersionResource."""
    shared = {"group": kind.group, "version": kind.version}
    return {**shared, "kind": kind.kind}, {**shared, "resource": kind.plural}


def review_body(request: AdmissionRequest, uid: str, asked: Kind) -> bytes:
    """The body that is posted to a webhook."""
    tree = request_tree(request, uid, asked)
    return orjson.dumps({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": tree})


def read_verdict(body: bytes, uid: str) -> Verdict:
    """The answer of a webhook to the review with that uid. Raises `BadAnswer`."""
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(f"couldn't get version/kind; json parse error: {error}") from error
    response = review.get("response") if isinstance(review, Mapping) else None
    if not isinstance(response, Mapping):
        raise BadAnswer("webhook response is absent")
    if review.get("kind") != "AdmissionReview" or review.get("apiVersion") != "admission.k8s.io/v1":
        raise BadAnswer(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got "
            f"{review.get('apiVersion')}, Kind={review.get('kind')}"
        )
    if response.get("uid") != uid:
        raise BadAnswer(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    return Verdict(
        allowed=response.get("allowed") is True,
        status=response.get("status"),
        patch=_patch(response),
        warnings=[str(text) for text in response.get("warnings") or ()],
    )


def _patch(response: Mapping[str, Any]) -> Sequence[Any]:
    patch = response.get("patch")
    if not patch:
        return ()
    if response.get("patchType") != "JSONPatch":
        raise BadAnswer(f'unsupported patch type "{response.get("patchType", "")}"')
    try:
        operations = orjson.loads(base64.b64decode(patch))
    except (binascii.Error, orjson.JSONDecodeError, TypeError) as error:
        raise BadAnswer(f"the patch cannot be read: {error}") from error
    return operations if isinstance(operations, list) else [operations]


def _typed(request: AdmissionRequest, obj: Tree | None) -> Tree | None:
    """The object with its kind and version, in which trees on their way may be lacking."""
    if obj is None:
        return None
    kind = request.resource.kind
    return {**obj, "kind": obj.get("kind") or kind.kind, "apiVersion": obj.get("apiVersion") or kind.api_version}
