"""What stands in a request's body: an object, or a patch."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import orjson

from flowdeck.embedded.apiserver.contract import RequestInfo
from flowdeck.embedded.apiserver.negotiation import JSON, YAML, decode
from flowdeck.kube.errors import BadRequest, UnsupportedMediaType
from flowdeck.kube.go_json import syntax_error
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.openapi import schema_for
from flowdeck.kube.patches import json_type

PatchContent = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]

_PATCHES: tuple[PatchContent, ...] = get_args(PatchContent)

LONG_BYTES = 64 * 1024
"""YAML takes a fifth of a second for a megabyte."""


def media_of(info: RequestInfo) -> str:
    """The body's media type, without parameters."""
    return info.headers.get("content-type", "").partition(";")[0].strip()


async def read_beside(info: RequestInfo) -> RequestInfo:
    """A request whose body is quick to read: a long YAML text becomes JSON in a thread, while others are answered.

    Raises `BadRequest`.
    """
    media = media_of(info)
    if len(info.body) <= LONG_BYTES or not media.endswith("yaml") or info.body[:1] == b"{":
        return info
    body = await asyncio.to_thread(lambda: orjson.dumps(decode(info.body, YAML)))
    headers = {**info.headers, "content-type": JSON if media == YAML else media}
    return replace(info, body=body, headers=headers)


def body_of(info: RequestInfo) -> Any:
    """What the body says, whatever it is. Raises `BadRequest`, `UnsupportedMediaType`."""
    return decode(info.body, media_of(info))


def sent_object(info: RequestInfo, kind: Kind) -> Any:
    """The body of a create or update, as far as it says of which kind it is. Raises as `body_of`."""
    media = media_of(info)
    if media not in ("", JSON):
        return body_of(info)
    try:
        body = body_of(info)
        if body is None:
            return {}
        if wrong := _unrecognized(body):
            raise BadRequest(f"couldn't get version/kind; json parse error: {wrong}")
    except BadRequest as error:
        told = f"the object provided is unrecognized (must be of type {kind.kind}): {error.message}"
        raise BadRequest(f"{told} ({_summary(info.body)})") from error
    return body


def _unrecognized(body: Any) -> str:
    if not isinstance(body, dict):
        return f"json: cannot unmarshal {json_type(body)} into Go value of type {TYPE_META}"
    wrong = next((name for name in ("apiVersion", "kind") if not isinstance(body.get(name) or "", str)), "")
    if not wrong:
        return ""
    return f"json: cannot unmarshal {json_type(body[wrong])} into Go struct field .{wrong} of type string"


TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_SUMMARY_BYTES = 30


def _summary(body: bytes) -> str:
    """How a body that nobody understands is shown."""
    if not body:
        return "<empty>"
    start = body[:_SUMMARY_BYTES]
    shown = start.decode(errors="replace") if body[:1] == b"{" else start.hex()
    return shown if len(body) <= _SUMMARY_BYTES else f"{shown} ..."


def object_of(info: RequestInfo, kind: Kind) -> Tree:
    """The body as an object of a built-in kind, with fields of the right types. Raises as `body_of`."""
    body = body_of(info)
    if not isinstance(body, dict):
        raise BadRequest(f"the object provided is unrecognized (must be of type {kind.kind})")
    refuse_types(kind, schema_for(kind).type_errors(body))
    return body


def refuse_types(kind: Kind, errors: Sequence[str]) -> None:
    """Raises the `BadRequest` for an object that Go could not decode; nothing where there are no errors."""
    if errors:
        raise BadRequest(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {"; ".join(errors)}'
        )


def patch_of(info: RequestInfo) -> tuple[PatchContent, Any]:
    """The body as a patch, and of which sort it is. Raises as `body_of`."""
    content = media_of(info)
    if content not in _PATCHES:
        raise UnsupportedMediaType("415: Unsupported Media Type")
    is_yaml = content.endswith("yaml") and info.body[:1] != b"{"
    if not is_yaml and (wrong := _wrong_patch(info.body)):
        raise BadRequest(wrong if content.startswith("application/strategic") else f"error decoding patch: {wrong}")
    return content, decode(info.body, YAML if is_yaml else JSON)


def _wrong_patch(body: bytes) -> str:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return syntax_error(body)
    return ""


def unsupported_patch(served: Sequence[PatchContent]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(served)
    )
