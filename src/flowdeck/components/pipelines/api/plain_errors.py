"""Errors as upload and log clients expect them: `{"error_message": ..., "error_details": ...}`."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.kube.errors import ApiError
from flowdeck.web.routing import Handler


def with_plain_errors(handler: Handler) -> Handler:
    """The handler, telling what it raises in that form."""

    async def act(request: Request) -> Response:
        try:
            return await handler(request)
        except ApiError as error:
            body = {"error_message": error.message, "error_details": error.message}
            return Response(msgspec.json.encode(body), error.code, media_type="application/json")

    return act
