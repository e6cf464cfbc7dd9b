"""`/apis/v2beta1/runs:compare`: runs side by side, as JSON. Ours."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.comparison import Compared, compare
from flowdeck.components.pipelines.store import runs
from flowdeck.kube.errors import BadRequest
from flowdeck.web.routing import Needs, Route

FEWEST, MOST = 2, 10


@dataclass(frozen=True)
class Comparisons:
    """The handler; see `comparison.py` for what it tells."""

    parts: Parts

    def routes(self) -> list[Route]:
        rule = Needs("get", "runs", self.parts.tenancy.owned_by(self._namespace_of))
        return [Route("GET", "/apis/v2beta1/runs:compare", self.compare, rule)]

    async def compare(self, request: Request) -> Response:
        """`?run_ids=a&run_ids=b`, 2 to 10 of one namespace."""
        ids = _ids(request)

        def read(connection: Connection) -> Sequence[Compared]:
            return [_compared(connection, id) for id in ids]

        return reply(compare(await self.parts.database.read(read)))

    async def _namespace_of(self, request: Request) -> str:
        ids = _ids(request)

        def read(connection: Connection) -> set[str]:
            return {runs.get(connection, id).namespace for id in ids}

        found = await self.parts.database.read(read)
        if len(found) > 1:
            raise BadRequest("Invalid input error: the runs must be of one namespace")
        return found.pop()


def _ids(request: Request) -> Sequence[str]:
    ids = list(dict.fromkeys(request.query_params.getlist("run_ids")))
    if not FEWEST <= len(ids) <= MOST:
        raise BadRequest(f"Invalid input error: run_ids must name {FEWEST} to {MOST} runs, and names {len(ids)}")
    return ids


def _compared(connection: Connection, id: str) -> Compared:
    run = runs.get(connection, id)
    return Compared(
        run=run,
        document=runs.document(connection, run.document).wire,
        tasks=runs.tasks(connection, id),
    )
