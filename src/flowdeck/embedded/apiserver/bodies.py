"""What stands in a request's body: an object, or a patch."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from flowdeck.embedded.apiserver.contract import RequestInfo
from flowdeck.embedded.apiserver.negotiation import JSON, YAML, decode
from flowdeck.kube.errors import BadRequest, UnsupportedMediaType
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.openapi import schema_for

PatchContent = Literal[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
]

_PATCHES: tuple[PatchContent, ...] = get_args(PatchContent)


def media_of(info: RequestInfo) -> str:
    """The body's media type, without parameters."""
    return info.headers.get("content-type", "").partition(";")[0].strip()


def body_of(info: RequestInfo) -> Any:
    """What the body says, whatever it is. Raises `BadRequest`, `UnsupportedMediaType`."""
    return decode(info.body, media_of(info))


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
        raise unsupported_patch(_PATCHES)
    is_yaml = content.endswith("yaml") and info.body[:1] != b"{"
    return content, decode(info.body, YAML if is_yaml else JSON)


def unsupported_patch(served: Sequence[PatchContent]) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "the body of the request was in an unknown format - accepted media types include: " + ", ".join(served)
    )
