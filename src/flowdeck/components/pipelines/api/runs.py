"""`/apis/v2beta1/runs`.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto, backend/src/apiserver/server/run_server.go)
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api import messages
from flowdeck.components.pipelines.api.experiments import experiment_for
from flowdeck.components.pipelines.api.messages import RuntimeConfig, listed, message_in, reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.pipelines import checked_name
from flowdeck.components.pipelines.api.plugins import checked_plugins
from flowdeck.components.pipelines.api.run_message import run_message
from flowdeck.components.pipelines.api.sources import Source, source_for, source_of
from flowdeck.components.pipelines.api.task_details import task_details
from flowdeck.components.pipelines.api.task_messages import task_messages
from flowdeck.components.pipelines.api.tenancy import asked_of
from flowdeck.components.pipelines.engine.events import RetryRequested, TerminateRequested
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.states import RUN_FINISHED, RunStatus
from flowdeck.components.pipelines.late import LEFTOVERS, RUNS
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.store import experiments, runs, task_lists
from flowdeck.components.pipelines.store.experiments import Experiment
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.components.pipelines.submission import Submission, run_of
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.web.listing import DEFAULT_PAGE, list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Needs, Route
from flowdeck.web.rpc_errors import Aborted

KEYS = tuple(runs.LISTED.columns)
MAX_NAME = 128
LARGEST_FULL = 100
"""Runs on a page that tells their tasks of wire B."""


@dataclass(frozen=True)
class Runs:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/runs"
        one = f"{base}/{{run_id}}"
        of_one = self.parts.tenancy.owned_by(self._namespace_of)

        def needs(verb: str) -> Needs:
            return Needs(verb, "runs", of_one)

        return [
            Route(
                "POST", base, self.create, Needs("create", "runs", self.parts.tenancy.owned_by(self._namespace_of_new))
            ),
            Route("GET", base, self.list, Needs("list", "runs", self.parts.tenancy.owned_by(self._namespace_of_list))),
            Route("GET", one, self.get, needs("get")),
            Route("DELETE", one, self.delete, needs("delete")),
            Route("POST", f"{one}:archive", self.archive, needs("archive")),
            Route("POST", f"{one}:unarchive", self.unarchive, needs("unarchive")),
            Route("POST", f"{one}:terminate", self.terminate, needs("terminate")),
            Route("POST", f"{one}:retry", self.retry, needs("retry")),
        ]

    # ---- new ones ----------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        asked = await self._asked(request)
        if asked.plugins_output is not None:
            raise BadRequest("Invalid input error: plugins_output is the server's to say")
        name = checked_name(asked.display_name, MAX_NAME, "run")
        experiment = await self._experiment(request, asked)
        source = await source_for(
            request, asked, catalog=self.parts.catalog, tenancy=self.parts.tenancy, door=self.parts.door
        )
        root = await self.parts.homes.default_root(experiment.namespace)
        wanted = await asyncio.to_thread(self._run, asked, name, experiment, source, root)
        run = await self.parts.database.write(lambda connection: _kept(connection, wanted, source))
        self._tell(run)
        return reply(run_message(run, source.document.wire))

    def _run(self, asked: messages.Run, name: str, experiment: Experiment, source: Source, root: str) -> Run:
        """Raises `InvalidPipeline`, `InvalidParameters`."""
        config = asked.runtime_config or RuntimeConfig()
        wanted = Submission(
            id=str(uuid.uuid4()),
            name=name,
            description=asked.description,
            experiment_id=experiment.id,
            namespace=experiment.namespace,
            plan=compile_plan(source.document),
            document=runs.hash_of(source.document),
            pipeline_id=source.pipeline_id,
            pipeline_version_id=source.pipeline_version_id,
            parameters=config.parameters or {},
            pipeline_root=config.pipeline_root,
            default_root=root,
            service_account=asked.service_account or self.parts.tenancy.service_account,
            plugins_input=checked_plugins(asked.plugins_input),
            options=self.parts.options,
        )
        return run_of(wanted, self.parts.clock.now())

    async def _experiment(self, request: Request, asked: messages.Run) -> Experiment:
        id = asked.experiment_id or request.query_params.get("experiment_id", "")
        return await experiment_for(self.parts.database, self.parts.tenancy, id, self.parts.clock.now())

    # ---- those that there are ----------------------------------------------------------------------------------

    async def get(self, request: Request) -> Response:
        is_full = _is_full(request)

        def read(connection: Connection) -> Tree:
            run = runs.get(connection, _id(request))
            records = runs.tasks(connection, run.id)
            tasks = task_messages(records)
            document = runs.document(connection, run.document).wire
            return run_message(run, document, task_details(records), tasks if is_full else (), len(tasks))

        return reply(await self.parts.database.read(read))

    async def list(self, request: Request) -> Response:
        sort_keys = (*KEYS, runs.METRIC)
        query = list_query(request.query_params, sort_keys=sort_keys, parse=lambda text: predicates_of(text, KEYS))
        experiment_id = request.query_params.get("experiment_id", "")
        namespace = self.parts.tenancy.own(await self._namespace_of_list(request))
        if _is_full(request):
            query = replace(query, size=min(query.size, LARGEST_FULL))
        with_tasks = _is_full(request) or query.size <= DEFAULT_PAGE

        def read(connection: Connection) -> Tree:
            found = runs.listed(connection, query, namespace=namespace, experiment_id=experiment_id)
            wires = runs.documents(connection, {run.document for run in found.items if not run.pipeline_version_id})
            ids = [run.id for run in found.items]
            tasks = _by_run(runs.tasks_of(connection, ids)) if with_tasks else {}
            counts = task_lists.counts(connection, ids)
            items = [
                run_message(
                    run,
                    wires.get(run.document),
                    task_details(tasks.get(run.id, ())),
                    task_messages(tasks.get(run.id, ())) if _is_full(request) else (),
                    counts.get(run.id, 0),
                )
                for run in found.items
            ]
            return listed("runs", items, found.total, query.token(found.next))

        return reply(await self.parts.database.read(read))

    # ---- what is done to them ----------------------------------------------------------------------------------

    async def archive(self, request: Request) -> Response:
        await self.parts.database.write(lambda connection: runs.archive(connection, _id(request)))
        return reply()

    async def unarchive(self, request: Request) -> Response:
        await self.parts.database.write(lambda connection: runs.unarchive(connection, _id(request)))
        return reply()

    async def delete(self, request: Request) -> Response:
        leaves_at = self.parts.clock.now() if self.parts.settings.retention.with_runs else None

        def remove(connection: Connection) -> Run:
            run = runs.get(connection, _id(request))
            runs.remove(connection, run.id, leaves_at=leaves_at)
            return run

        removed = await self.parts.database.write(remove)
        self._tell(removed)
        self.parts.news.tell(LEFTOVERS, ObjectKey("", removed.id))
        return reply()

    async def terminate(self, request: Request) -> Response:
        """One that is over stays as it is."""
        now = self.parts.clock.now()
        event = TerminateRequested(at=now.timestamp(), cause=str(uuid.uuid4()))
        self._tell(await self.parts.database.write(partial(runs.wish, run_id=_id(request), event=event, at=now)))
        return reply()

    async def retry(self, request: Request) -> Response:
        asked: messages.Retry = await message_in(request, messages.Retry, may_be_empty=True)
        if asked.pipeline_spec is not None:
            source = await source_of(self.parts.catalog, None, asked.pipeline_spec)
            await asyncio.to_thread(compile_plan, source.document)
        now = self.parts.clock.now()

        def wish(connection: Connection) -> Run:
            run = runs.held(connection, _id(request))
            if run.state != RunStatus.FAILED and not (asked.task_id and run.state in RUN_FINISHED):
                raise Aborted(f"BadRequestError: Failed to retry run {run.id}: it is {run.state}, not FAILED")
            if asked.task_id and all(task.id != asked.task_id for task in runs.tasks(connection, run.id)):
                raise NotFound(f"ResourceNotFoundError: Task {asked.task_id} of run {run.id} not found.")
            event = RetryRequested(
                at=now.timestamp(), cause=str(uuid.uuid4()), task=asked.task_id, document=asked.pipeline_spec
            )
            return runs.wish(connection, run.id, event, now)

        self._tell(await self.parts.database.write(wish))
        return reply()

    def _tell(self, run: Run) -> None:
        self.parts.news.tell(RUNS, ObjectKey(run.namespace, run.id))

    # ---- whose they are ----------------------------------------------------------------------------------------

    async def _asked(self, request: Request) -> messages.Run:
        asked: messages.Run = await message_in(request, messages.Run)
        return asked

    async def _namespace_of_new(self, request: Request) -> str:
        return (await self._experiment(request, await self._asked(request))).namespace

    async def _namespace_of_list(self, request: Request) -> str:
        experiment_id = request.query_params.get("experiment_id", "")
        if not self.parts.tenancy.multi_user or not experiment_id:
            return asked_of(request)
        found = await self.parts.database.read(lambda connection: experiments.get(connection, experiment_id))
        return found.namespace

    async def _namespace_of(self, request: Request) -> str:
        return (await self.parts.database.read(lambda connection: runs.get(connection, _id(request)))).namespace


def _kept(connection: Connection, run: Run, source: Source) -> Run:
    runs.keep_document(connection, source.document)
    runs.create(connection, run)
    return runs.get(connection, run.id)


def _by_run(records: Sequence[TaskRecord]) -> Mapping[str, Sequence[TaskRecord]]:
    found: defaultdict[str, list[TaskRecord]] = defaultdict(list)
    for record in records:
        found[record.run].append(record)
    return found


def _is_full(request: Request) -> bool:
    """Whether tasks of wire B are asked for."""
    return bool(request.query_params.get("view") == "FULL")


def _id(request: Request) -> str:
    return str(request.path_params["run_id"])
