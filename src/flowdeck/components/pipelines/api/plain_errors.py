"""Errors as upload and log clients expect them: `{"error_message": ..., "error_details": ...}`."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.kube.errors import ApiError


def plain_error(error: ApiError, request: Request) -> Response:
    """The answer to a request that failed, in that form. `Invalid` is 400 on this wire."""
    body = {"error_message": error.message, "error_details": error.message}
    code = 400 if error.code == 422 else error.code
    return Response(msgspec.json.encode(body), code, media_type="application/json")
