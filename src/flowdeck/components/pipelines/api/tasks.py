"""`/apis/v2beta1/runs/{run_id}/tasks` and `tasks:findCached`: tasks as the next release tells them.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto of the branch without ML Metadata)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import listed, message_in, reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.reported_tasks import BatchUpdate, ReportedTask, changed, new_record
from flowdeck.components.pipelines.api.task_messages import task_message
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.ir.proto_json import Message
from flowdeck.components.pipelines.store import cache, runs, task_lists
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.objects import Tree
from flowdeck.web.listing import list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Needs, Route

KEYS = tuple(task_lists.LISTED.columns)
MAX_BATCH = 1000


class FindCached(Message):
    namespace: str = ""
    cache_fingerprint: str = ""


@dataclass(frozen=True)
class Tasks:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/runs/{run_id}/tasks"
        of_run = self.parts.tenancy.owned_by(self._namespace_of)
        asked = self.parts.tenancy.owned_by(_namespace_in_body)
        return [
            Route("GET", base, self.list, Needs("list", "runs", of_run)),
            Route("POST", base, self.create, Needs("update", "runs", of_run)),
            Route("POST", f"{base}:batchUpdate", self.change_all, Needs("update", "runs", of_run)),
            Route("GET", f"{base}/{{task_id}}", self.get, Needs("get", "runs", of_run)),
            Route("PATCH", f"{base}/{{task_id}}", self.change, Needs("update", "runs", of_run)),
            Route("POST", "/apis/v2beta1/tasks:findCached", self.find_cached, Needs("list", "runs", asked)),
        ]

    async def list(self, request: Request) -> Response:
        params = dict(request.query_params)
        query = list_query(
            {**params, "sort_by": params.get("order_by") or params.get("sort_by", "")},
            sort_keys=KEYS,
            parse=lambda text: predicates_of(text, KEYS),
            default_sort="create_time asc",
        )
        run_id, parent_id = request.path_params["run_id"], params.get("parent_id", "")

        def read(connection: Connection) -> Tree:
            found = task_lists.listed(connection, query, run_id=run_id, parent_id=parent_id)
            return listed("tasks", _told(connection, run_id, found.items), found.total, query.token(found.next))

        return reply(await self.parts.database.read(read))

    async def get(self, request: Request) -> Response:
        run_id, task_id = request.path_params["run_id"], request.path_params["task_id"]

        def read(connection: Connection) -> Tree:
            return _told(connection, run_id, [runs.task(connection, run_id, task_id)])[0]

        return reply(await self.parts.database.read(read))

    # ---- tasks that others report ------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        asked: ReportedTask = await message_in(request, ReportedTask)
        record = new_record(request.path_params["run_id"], asked, self.parts.clock.now())

        def keep(connection: Connection) -> Tree:
            if record.parent:
                runs.task(connection, record.run, record.parent)
            runs.keep_tasks(connection, [record])
            return task_message(record, ())

        return reply(await self.parts.database.write(keep))

    async def change(self, request: Request) -> Response:
        asked: ReportedTask = await message_in(request, ReportedTask)
        id = request.path_params["task_id"]
        return reply((await self._changed(request, {id: asked}))[id])

    async def change_all(self, request: Request) -> Response:
        asked: BatchUpdate = await message_in(request, BatchUpdate)
        if not asked.tasks or len(asked.tasks) > MAX_BATCH:
            raise BadRequest(f"Invalid input error: tasks must hold 1 to {MAX_BATCH} entries")
        return reply({"tasks": await self._changed(request, asked.tasks)})

    async def _changed(self, request: Request, asked: Mapping[str, ReportedTask]) -> Mapping[str, Tree]:
        """All of them or none."""
        run_id, now = request.path_params["run_id"], self.parts.clock.now()

        def keep(connection: Connection) -> Mapping[str, Tree]:
            records = [changed(runs.task(connection, run_id, id), each, now) for id, each in asked.items()]
            runs.keep_tasks(connection, records)
            return dict(zip(asked, _told(connection, run_id, records), strict=True))

        return await self.parts.database.write(keep)

    # ----------------------------------------------------------------------------------------------------------

    async def find_cached(self, request: Request) -> Response:
        """The newest task whose outputs another of that fingerprint would take."""
        asked: FindCached = await message_in(request, FindCached)
        if not asked.cache_fingerprint:
            raise BadRequest("Invalid input error: cache_fingerprint must be given")
        namespace = self.parts.tenancy.own(asked.namespace)
        find = partial(cache.candidates, namespace=namespace, fingerprint=asked.cache_fingerprint)
        found = await self.parts.database.read(find)
        if not found:
            raise NotFound(f"ResourceNotFoundError: cached task {asked.cache_fingerprint} not found.")
        return reply(task_message(found[0], ()))

    async def _namespace_of(self, request: Request) -> str:
        return (await self.parts.database.read(partial(runs.get, id=request.path_params["run_id"]))).namespace


def _told(connection: Connection, run_id: str, records: Sequence[TaskRecord]) -> Sequence[Tree]:
    inside = task_lists.inside(connection, run_id, [record.id for record in records])
    return [task_message(record, inside[record.id]) for record in records]


async def _namespace_in_body(request: Request) -> str:
    asked: FindCached = await message_in(request, FindCached)
    return asked.namespace
