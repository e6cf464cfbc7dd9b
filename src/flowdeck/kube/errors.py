"""The errors of the Kubernetes API, one family named by the API's reasons.

    ApiError
      BadRequest 400   Unauthorized 401   Forbidden 403   NotFound 404   MethodNotAllowed 405   NotAcceptable 406
      AlreadyExists 409   Conflict 409   Expired 410 (Gone 410)   RequestEntityTooLarge 413
      UnsupportedMediaType 415   Invalid 422   TooManyRequests 429
      InternalError 500   ServiceUnavailable 503   Timeout 504

Each one can become a `Status` (`to_status`) and be read back from one (`from_status`). Message texts follow
k8s.io/apimachinery (pkg/api/errors), since clients print and match them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec

from flowdeck.kube.objects import Kind, Tree


@dataclass(frozen=True)
class Cause:
    """Why one field was refused; `reason` is a Kubernetes cause type such as `FieldValueInvalid`."""

    reason: str
    message: str
    field: str = ""

    def to_tree(self) -> Tree:
        tree: Tree = {"reason": self.reason, "message": self.message, "field": self.field}
        return {name: text for name, text in tree.items() if text}


@dataclass
class ApiError(Exception):
    """An answer of the API that is not a success."""

    message: str
    causes: Sequence[Cause] = ()
    group: str = ""
    kind: str = ""
    """`details.kind`: the plural resource for most reasons, the kind for `Invalid`."""
    name: str = ""
    uid: str = ""
    retry_after_s: int = 0
    extra: Tree = field(default_factory=dict)
    """Anything else of the Status that was read from the wire."""
    warnings: Sequence[str] = ()
    """Texts for `Warning` headers that were collected before the request failed."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __str__(self) -> str:
        return self.message

    def to_status(self) -> Tree:
        """The `Status` object of the wire."""
        details: Tree = {}
        if self.name:
            details["name"] = self.name
        if self.group:
            details["group"] = self.group
        if self.kind:
            details["kind"] = self.kind
        if self.uid:
            details["uid"] = self.uid
        causes = self.causes or self._own_causes()
        if causes:
            details["causes"] = [cause.to_tree() for cause in causes]
        if self.retry_after_s:
            details["retryAfterSeconds"] = self.retry_after_s
        status: Tree = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if details or self.code in _WITH_DETAILS or self.message.startswith(f"{self.code}: "):
            status["details"] = details
        status["code"] = self.code
        return status

    def _own_causes(self) -> Sequence[Cause]:
        """An internal error says once more what it is."""
        start, _, told = self.message.partition(": ")
        return [Cause("", told)] if start == "Internal error occurred" else ()


_WITH_DETAILS = (403, 404, 405, 422)
"""Answers that have details even where there is nothing to tell in them, as upstream."""


class BadRequest(ApiError):
    code = 400
    reason = "BadRequest"


class Unauthorized(ApiError):
    code = 401
    reason = "Unauthorized"


class Forbidden(ApiError):
    code = 403
    reason = "Forbidden"


class NotFound(ApiError):
    code = 404
    reason = "NotFound"


class MethodNotAllowed(ApiError):
    code = 405
    reason = "MethodNotAllowed"


class NotAcceptable(ApiError):
    code = 406
    reason = "NotAcceptable"


class AlreadyExists(ApiError):
    code = 409
    reason = "AlreadyExists"


class Conflict(ApiError):
    code = 409
    reason = "Conflict"


class Expired(ApiError):
    """The asked-for revision was compacted away: list again."""

    code = 410
    reason = "Expired"


class Gone(ApiError):
    code = 410
    reason = "Gone"


class RequestEntityTooLarge(ApiError):
    code = 413
    reason = "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code = 415
    reason = "UnsupportedMediaType"


class Invalid(ApiError):
    code = 422
    reason = "Invalid"


class TooManyRequests(ApiError):
    code = 429
    reason = "TooManyRequests"


class InternalError(ApiError):
    code = 500
    reason = "InternalError"


class Unclassified(InternalError):
    """A 500 without a reason: what upstream makes of errors that are not its own."""

    reason = ""


class ServiceUnavailable(ApiError):
    code = 503
    reason = "ServiceUnavailable"


class Timeout(ApiError):
    code = 504
    reason = "Timeout"


_BY_REASON: dict[str, type[ApiError]] = {
    cls.reason: cls
    for cls in (
        BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict,
        Expired, Gone, RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError,
        ServiceUnavailable, Timeout,
    )
}  # fmt: skip
_BY_CODE: dict[int, type[ApiError]] = {
    400: BadRequest, 401: Unauthorized, 403: Forbidden, 404: NotFound, 405: MethodNotAllowed, 406: NotAcceptable,
    409: Conflict, 410: Expired, 413: RequestEntityTooLarge, 415: UnsupportedMediaType, 422: Invalid,
    429: TooManyRequests, 503: ServiceUnavailable, 504: Timeout,
}  # fmt: skip


def from_status(status: Tree, *, http_code: int = 500) -> ApiError:
    """The error that a `Status` of the wire stands for; an unknown reason falls back to the code's error."""
    details: dict[str, Any] = status.get("details") or {}
    code = int(status.get("code") or http_code)
    cls = _BY_REASON.get(str(status.get("reason") or "")) or _BY_CODE.get(code, InternalError)
    return cls(
        str(status.get("message") or f"the server answered {code}"),
        causes=[
            Cause(str(c.get("reason", "")), str(c.get("message", "")), str(c.get("field", "")))
            for c in details.get("causes") or ()
        ],
        group=str(details.get("group", "")),
        kind=str(details.get("kind", "")),
        name=str(details.get("name", "")),
        uid=str(details.get("uid", "")),
        retry_after_s=int(details.get("retryAfterSeconds") or 0),
        extra=status,
    )


def not_found(kind: Kind, name: str) -> NotFound:
    return NotFound(f'{kind.resource} "{name}" not found', group=kind.group, kind=kind.plural, name=name)


def page_not_found() -> NotFound:
    """For a URL that leads nowhere."""
    return NotFound("the server could not find the requested resource")


def not_allowed() -> MethodNotAllowed:
    """For a verb that a resource does not have."""
    return MethodNotAllowed("the server does not allow this method on the requested resource")


class UnknownPath(NotFound):
    """A path below no group and version that is served: answered by plain text."""


def unknown_path() -> UnknownPath:
    return UnknownPath("404 page not found\n")


def already_exists(kind: Kind, name: str, *, is_ending: bool = False) -> AlreadyExists:
    """`is_ending`: the object that is there is being deleted."""
    told = f'{kind.resource} "{name}" already exists'
    if is_ending:
        told = f"object is being deleted: {told}"
    return AlreadyExists(told, group=kind.group, kind=kind.plural, name=name)


def conflict(kind: Kind, name: str, why: str) -> Conflict:
    return Conflict(
        f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}',
        group=kind.group,
        kind=kind.plural,
        name=name,
    )


@dataclass(frozen=True)
class FieldError:
    """One broken rule at one field, as k8s.io/apimachinery (pkg/util/validation/field) words it."""

    cause: str
    """`FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, `FieldValueDuplicate`,
    `FieldValueForbidden`, `FieldValueTooLong`, `FieldValueTooMany`, `FieldValueTypeInvalid`, `FieldValueNotFound`,
    `InternalError`."""
    path: str
    """`spec.containers[0].name`; `<nil>` stands for the root, as upstream prints it."""
    body: str
    """The text after the path: `Invalid value: 0: must be greater than or equal to 1`."""

    def __str__(self) -> str:
        return f"{self.path}: {self.body}"

    def to_cause(self) -> Cause:
        return Cause(self.cause, self.body, self.path)


def required(path: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")


def invalid(path: str, value: Any, detail: str = "") -> FieldError:
    return FieldError("FieldValueInvalid", path, f"Invalid value: {_shown(value)}{detail and f': {detail}'}")


def type_invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError("FieldValueTypeInvalid", path, f"Invalid value: {_shown(value)}: {detail}")


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    listed = ", ".join(f'"{item}"' for item in supported)
    return FieldError("FieldValueNotSupported", path, f"Unsupported value: {_shown(value)}: supported values: {listed}")


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError("FieldValueDuplicate", path, f"Duplicate value: {_shown(value)}")


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", path, f"Forbidden: {detail}")


def too_long(path: str, limit: int) -> FieldError:
    return FieldError("FieldValueTooLong", path, f"Too long: may not be more than {_count(limit, 'byte')}")


def too_many(path: str, actual: int, limit: int) -> FieldError:
    return FieldError("FieldValueTooMany", path, f"Too many: {actual}: must have at most {_count(limit, 'item')}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def invalid_object(kind: Kind, name: str, errors: Sequence[FieldError]) -> Invalid:
    """The 422 answer for an object that breaks `errors`."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    told = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    qualified = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return Invalid(
        f'{qualified} "{name}" is invalid: {told}',
        causes=[error.to_cause() for error in errors],
        group=kind.group,
        kind=kind.kind,
        name=name,
    )


def invalid_options(kind: str, errors: Sequence[FieldError]) -> Invalid:
    """The 422 answer for a query or body of options (`DeleteOptions`) that breaks `errors`."""
    return invalid_object(Kind("meta.k8s.io", "v1", kind, ""), "", errors)


def _shown(value: Any) -> str:
    """A value as upstream prints it: text in quotes, trees as compact JSON, booleans lower-case."""
    text = msgspec.json.encode(value).decode()
    if isinstance(value, dict | list):  # Go writes JSON so that it may stand in HTML
        text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return text
