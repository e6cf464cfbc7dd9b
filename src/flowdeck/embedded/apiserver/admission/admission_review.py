"""`AdmissionReview` v1: the question that a webhook gets, and its answer.

Source: k8s.io/apiserver (pkg/admission/plugin/webhook/request).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from flowdeck.embedded.apiserver.bodies import TYPE_META
from flowdeck.embedded.apiserver.contract import AdmissionRequest
from flowdeck.embedded.apiserver.deletion import SCHEME
from flowdeck.embedded.apiserver.reviews import user_tree
from flowdeck.kube.go_json import syntax_error
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.patches import json_type

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
    review = _review(body)
    response = review.get("response")
    if not isinstance(response, Mapping):
        raise BadAnswer("received invalid webhook response: webhook response was absent")
    if not isinstance(allowed := response.get("allowed", False), bool):
        told = f"json: cannot unmarshal {json_type(allowed)} into Go struct field AdmissionResponse.response.allowed"
        raise BadAnswer(f"failed to call webhook: {told} of type bool")
    if response.get("uid") != uid:
        got = response.get("uid", "")
        raise BadAnswer(f'received invalid webhook response: expected response.uid="{uid}", got "{got}"')
    return Verdict(
        allowed=allowed,
        status=response.get("status"),
        patch=_patch(response),
        warnings=[text for text in map(str, response.get("warnings") or ()) if text and text.isprintable()],
    )


def _review(body: bytes) -> Mapping[str, Any]:
    try:
        review = orjson.loads(body)
    except orjson.JSONDecodeError:
        wrong = syntax_error(body)
        raise BadAnswer(f"failed to call webhook: couldn't get version/kind; json parse error: {wrong}") from None
    if not isinstance(review, Mapping):
        wrong = f"json: cannot unmarshal {json_type(review)} into Go value of type {TYPE_META}"
        raise BadAnswer(f"failed to call webhook: couldn't get version/kind; json parse error: {wrong}")
    kind, version = review.get("kind"), review.get("apiVersion")
    if (kind, version) != ("AdmissionReview", "admission.k8s.io/v1"):
        told = f'no kind "{kind}" is registered for version "{version}" in scheme "{SCHEME}"'
        raise BadAnswer(f"failed to call webhook: {told}")
    return review


def _patch(response: Mapping[str, Any]) -> Sequence[Any]:
    patch, sort = response.get("patch"), response.get("patchType")
    if not patch:
        return ()
    if not sort:
        told = "webhook returned response.patch but not response.patchType"
        raise BadAnswer(f"received invalid webhook response: {told}")
    if sort != "JSONPatch":
        raise BadAnswer(f'unsupported patch type "{sort}"')
    try:
        text = base64.b64decode(patch)
        operations = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadAnswer(f"received undecodable patch in webhook response: {syntax_error(text)}") from None
    except (binascii.Error, TypeError) as error:
        raise BadAnswer(f"failed to call webhook: {error}") from error
    if not isinstance(operations, list):
        told = f"json: cannot unmarshal {json_type(operations)} into Go value of type jsonpatch.Patch"
        raise BadAnswer(f"received undecodable patch in webhook response: {told}")
    return operations


def _typed(request: AdmissionRequest, obj: Tree | None) -> Tree | None:
    """The object with its kind and version, in which trees on their way may be lacking."""
    if obj is None:
        return None
    kind = request.resource.kind
    return {**obj, "kind": obj.get("kind") or kind.kind, "apiVersion": obj.get("apiVersion") or kind.api_version}
