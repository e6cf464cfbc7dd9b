"""What is left of `/apis/v1beta1`: the calls that the web interface of release 2.17 still makes.

Source: kubeflow/pipelines (backend/api/v1beta1/{auth,pipeline,visualization}.proto)
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import reply, without_zeros
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.tenancy import asked_of
from flowdeck.components.pipelines.api.uploads import Uploads
from flowdeck.components.pipelines.catalog import pipeline_id_of, rest_name
from flowdeck.kube.errors import BadRequest, ServiceUnavailable
from flowdeck.kube.objects import Tree, get_in, uid_of
from flowdeck.web.routing import Needs, Route, SignedIn

_RESOURCES = {"VIEWERS": "viewers", "1": "viewers"}
_VERBS = {"CREATE": "create", "1": "create", "GET": "get", "2": "get", "DELETE": "delete", "3": "delete"}


@dataclass(frozen=True)
class FirstVersion:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v1beta1"
        draws = Needs("create", "visualizations", self.parts.tenancy.owned_by(_namespace_in_path))
        return [
            *Uploads(self.parts).routes_at(f"{base}/pipelines", self.upload, self.upload_version),
            Route("GET", f"{base}/auth", self.auth, SignedIn()),
            Route("POST", f"{base}/visualizations/{{namespace}}", self.draw, draws),
        ]

    async def upload(self, request: Request) -> Response:
        return reply(_message(await Uploads(self.parts).pipeline_of(request)))

    async def upload_version(self, request: Request) -> Response:
        version = await Uploads(self.parts).version_of(request)
        key = {"type": "PIPELINE", "id": pipeline_id_of(version)}
        return reply({**_message(version), "resource_references": [{"key": key, "relationship": "OWNER"}]})

    async def auth(self, request: Request) -> Response:
        """Whether the sender may do that: an empty answer, or `Forbidden`."""
        query = request.query_params
        resource, verb = _RESOURCES.get(query.get("resources", "")), _VERBS.get(query.get("verb", ""))
        if resource is None or verb is None:
            raise BadRequest("Invalid input error: resources must be VIEWERS, and verb CREATE, GET or DELETE")
        await self.parts.door.check(request, verb, resource, self.parts.tenancy.own(asked_of(request)))
        return reply()

    async def draw(self, request: Request) -> Response:
        raise ServiceUnavailable("Unable to reach the visualization service: there is none here")


def _message(obj: Tree) -> Tree:
    """A pipeline or a version as v1 tells both."""
    return without_zeros(
        {
            "id": uid_of(obj),
            "name": rest_name(obj),
            "description": get_in(obj, "spec", "description", default=""),
            "created_at": obj["metadata"]["creationTimestamp"],
        }
    )


async def _namespace_in_path(request: Request) -> str:
    return str(request.path_params["namespace"])
