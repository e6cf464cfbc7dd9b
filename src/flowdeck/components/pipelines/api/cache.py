"""The cache over REST: what is in it, clearing it, and why a task was cached or not. All of it is ours.

GET    /apis/v2beta1/cache?namespace=                    its entries, by pages
DELETE /apis/v2beta1/cache?namespace=&pipeline_name=     all of a namespace, of a pipeline, of a `cache_fingerprint`
DELETE /apis/v2beta1/cache/{task_id}                     one
GET    /apis/v2beta1/runs/{run_id}/tasks/{task_id}:explainCache
"""

from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import listed, reply, without_zeros
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.tenancy import asked_of, in_query
from flowdeck.components.pipelines.caching import told_differences
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.states import State
from flowdeck.components.pipelines.store import cache, runs
from flowdeck.components.pipelines.store.cache import Entry
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time
from flowdeck.web.listing import list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Needs, Route

KEYS = tuple(cache.LISTED.columns)


@dataclass(frozen=True)
class CacheRoutes:
    """The handlers; see the module's text. Rights are those on runs."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/cache"
        asked, of_entry = self.parts.tenancy.owned_by(in_query), self.parts.tenancy.owned_by(self._namespace_of_entry)
        of_run = self.parts.tenancy.owned_by(self._namespace_of_run)
        explained = "/apis/v2beta1/runs/{run_id}/tasks/{task_id}:explainCache"
        return [
            Route("GET", base, self.list, Needs("list", "runs", asked)),
            Route("DELETE", base, self.clear, Needs("delete", "runs", asked)),
            Route("DELETE", f"{base}/{{task_id}}", self.drop, Needs("delete", "runs", of_entry)),
            Route("GET", explained, self.explain, Needs("get", "runs", of_run)),
        ]

    async def list(self, request: Request) -> Response:
        query = list_query(
            request.query_params,
            sort_keys=KEYS,
            parse=lambda text: predicates_of(text, KEYS),
            default_sort="end_time asc",
        )
        namespace = self.parts.tenancy.own(asked_of(request))
        found = await self.parts.database.read(partial(cache.listed, namespace=namespace, query=query))
        items = [_told(entry) for entry in found.items]
        return reply(listed("entries", items, found.total, query.token(found.next)))

    async def clear(self, request: Request) -> Response:
        params = request.query_params
        clear = partial(
            cache.clear,
            namespace=self.parts.tenancy.own(asked_of(request)),
            pipeline=params.get("pipeline_name", ""),
            fingerprint=params.get("cache_fingerprint", ""),
        )
        return reply({"cleared": await self.parts.database.write(clear)})

    async def drop(self, request: Request) -> Response:
        entry = await self._entry(request)
        await self.parts.database.write(partial(cache.forget, run_id=entry.run_id, task_ids=[entry.task_id]))
        return reply()

    async def explain(self, request: Request) -> Response:
        """Why the task took the outputs of another, or was run; and what sets it apart from the last of its place."""

        def read(connection: Connection) -> Tree:
            run = runs.get(connection, request.path_params["run_id"])
            record = runs.task(connection, run.id, request.path_params["task_id"])
            similar = cache.similar(connection, run.namespace, run.pipeline_name, record)
            return _explained(record, similar if record.fingerprint else None)

        return reply(await self.parts.database.read(read))

    async def _entry(self, request: Request) -> Entry:
        return await self.parts.database.read(partial(cache.get, task_id=request.path_params["task_id"]))

    async def _namespace_of_entry(self, request: Request) -> str:
        return (await self._entry(request)).namespace

    async def _namespace_of_run(self, request: Request) -> str:
        return (await self.parts.database.read(partial(runs.get, id=request.path_params["run_id"]))).namespace


def _told(entry: Entry) -> Tree:
    return without_zeros(
        {
            "task_id": entry.task_id,
            "run_id": entry.run_id,
            "pipeline_name": entry.pipeline,
            "scope_path": entry.scope_path,
            "cache_fingerprint": entry.fingerprint,
            "parts": entry.parts,
            "end_time": format_time(entry.ended_at),
        }
    )


def _explained(record: TaskRecord, similar: Entry | None) -> Tree:
    told: Tree = {
        "run_id": record.run,
        "task_id": record.id,
        "cached": record.state is State.CACHED,
        "why": _why(record),
    }
    if record.fingerprint:
        told |= {"cache_fingerprint": record.fingerprint, "parts": record.fingerprint_parts}
    if similar is not None:
        told["compared_with"] = _told(similar)
        same = similar.fingerprint == record.fingerprint
        told["differences"] = [] if same else told_differences(record.fingerprint_parts, similar)
    return told


def _why(record: TaskRecord) -> str:
    if record.fingerprint:
        return record.cache_note or "the cache has not answered yet"
    if record.wire_b == "":
        return "it never had its turn"
    return "it has no part in caching: it is no program, or caching is off for it, for the run or for the server"
