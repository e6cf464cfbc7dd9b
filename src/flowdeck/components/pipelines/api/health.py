"""Whether the server answers, what it is, and what it counts."""

from dataclasses import dataclass

import prometheus_client
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.version import VERSION
from flowdeck.web.routing import Open, Route, SignedIn


@dataclass(frozen=True)
class Health:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        health = [Route("GET", f"/apis/{version}/healthz", self.get, Open()) for version in ("v2beta1", "v1beta1")]
        return [*health, Route("GET", "/metrics", self.metrics, SignedIn())]

    async def get(self, request: Request) -> Response:
        """The store is the Kubernetes API in fact; `database` is what clients expect of one that keeps any name."""
        await self.parts.database.ping()
        return reply(
            {
                "commit_sha": "unknown",
                "tag_name": VERSION,
                "multi_user": self.parts.tenancy.multi_user,
                "pipeline_store": "database",
            }
        )

    async def metrics(self, request: Request) -> Response:
        """Of the whole process, as Prometheus reads them."""
        return Response(prometheus_client.generate_latest(), media_type=prometheus_client.CONTENT_TYPE_LATEST)
