"""Errors as gRPC's JSON gateway tells them: `{"code": 5, "message": "...", "details": [...]}`.

Source: kubeflow/pipelines (backend/src/common/util/error.go); the codes are google.rpc.Code's
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.kube.errors import ApiError

_CODES = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    409: 6,  # ALREADY_EXISTS
    413: 8,  # RESOURCE_EXHAUSTED
    422: 3,
    429: 8,
    503: 14,  # UNAVAILABLE
    504: 4,  # DEADLINE_EXCEEDED
}
INTERNAL = 13


class FailedPrecondition(ApiError):
    """The object is not in a state in which that can be done: 400 on this wire."""

    code = 400
    reason = "BadRequest"
    rpc_code = 9


class Aborted(ApiError):
    """Others are in the way: 409 on this wire."""

    code = 409
    reason = "Conflict"
    rpc_code = 10


def rpc_error(error: ApiError, request: Request) -> Response:
    """The answer to a request that failed. `Invalid` is 400 on this wire."""
    rpc_code = error.rpc_code if isinstance(error, FailedPrecondition | Aborted) else _CODES.get(error.code, INTERNAL)
    detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": rpc_code, "message": error.message}
    body = {"code": rpc_code, "message": error.message, "details": [detail]}
    code = 400 if error.code == 422 else error.code
    return Response(msgspec.json.encode(body), code, media_type="application/json")
