"""Whether the server answers, and what it is."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import reply
from flowdeck.components.pipelines.api.tenancy import Tenancy
from flowdeck.sql.database import Database
from flowdeck.version import VERSION
from flowdeck.web.routing import Open, Route


@dataclass(frozen=True)
class Health:
    """The handlers; see `routes`."""

    database: Database
    tenancy: Tenancy

    def routes(self) -> list[Route]:
        return [Route("GET", f"/apis/{version}/healthz", self.get, Open()) for version in ("v2beta1", "v1beta1")]

    async def get(self, request: Request) -> Response:
        """The store is the Kubernetes API in fact; `database` is what clients expect of one that keeps any name."""
        await self.database.ping()
        return reply(
            {
                "commit_sha": "unknown",
                "tag_name": VERSION,
                "multi_user": self.tenancy.multi_user,
                "pipeline_store": "database",
            }
        )
