"""`/apis/v2beta1/recurringruns`.

Source: kubeflow/pipelines (backend/api/v2beta1/recurring_run.proto, backend/src/apiserver/server/job_server.go)
"""

import asyncio
import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api import messages
from flowdeck.components.pipelines.api.experiments import experiment_for
from flowdeck.components.pipelines.api.messages import RuntimeConfig, listed, message_in, reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.pipelines import checked_name
from flowdeck.components.pipelines.api.plugins import checked_plugins
from flowdeck.components.pipelines.api.recurring_run_message import recurring_run_message, trigger_of
from flowdeck.components.pipelines.api.sources import Source, source_for
from flowdeck.components.pipelines.api.tenancy import asked_of
from flowdeck.components.pipelines.late import RECURRING_RUNS
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.components.pipelines.plan.parameters import run_parameters
from flowdeck.components.pipelines.schedules.triggers import calendar_time, read_trigger
from flowdeck.components.pipelines.store import experiments, runs, schedules
from flowdeck.components.pipelines.store.experiments import Experiment
from flowdeck.components.pipelines.store.schedules import RecurringRun
from flowdeck.components.pipelines.submission import check_wishes
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.web.listing import list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Needs, Route

KEYS = tuple(schedules.LISTED.columns)
MAX_NAME = 128
MAX_BACKFILL = 10_000
"""Points of one backfill."""
_LONGEST_PREFIX = 25
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class RecurringRuns:
    """The handlers; see `routes`. Rights are asked for as `jobs`, upstream's old word."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/recurringruns"
        one = f"{base}/{{recurring_run_id}}"
        of_one = self.parts.tenancy.owned_by(self._namespace_of)

        def needs(verb: str) -> Needs:
            return Needs(verb, "jobs", of_one)

        return [
            Route(
                "POST", base, self.create, Needs("create", "jobs", self.parts.tenancy.owned_by(self._namespace_of_new))
            ),
            Route("GET", base, self.list, Needs("list", "jobs", self.parts.tenancy.owned_by(self._namespace_of_list))),
            Route("GET", one, self.get, needs("get")),
            Route("DELETE", one, self.delete, needs("delete")),
            Route("POST", f"{one}:enable", self.enable, needs("enable")),
            Route("POST", f"{one}:disable", self.disable, needs("disable")),
            Route("POST", f"{one}:backfill", self.backfill, needs("create")),
        ]

    # ---- new ones ----------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        asked = await _asked(request)
        name = checked_name(asked.display_name, MAX_NAME, "recurring run")
        if not 1 <= asked.max_concurrency <= 10:
            raise BadRequest(
                "Invalid input error: The max concurrency of the recurring run is out of range. "
                f"Support 1-10. Received {asked.max_concurrency}."
            )
        read_trigger(trigger_of(asked), self.parts.zone)
        experiment = await self._experiment(asked)
        source = await source_for(
            request, asked, catalog=self.parts.catalog, tenancy=self.parts.tenancy, door=self.parts.door
        )
        await asyncio.to_thread(_check, asked, source)
        recurring = self._row(asked, name, experiment, source)
        await self.parts.database.write(partial(_keep, recurring=recurring, source=source))
        self._tell(recurring)
        return reply(self._told(recurring, source.document.wire))

    def _row(self, asked: messages.RecurringRun, name: str, experiment: Experiment, source: Source) -> RecurringRun:
        config, now, id = asked.runtime_config or RuntimeConfig(), self.parts.clock.now(), str(uuid.uuid4())
        reference = asked.pipeline_version_reference
        takes_newest = reference is not None and not reference.pipeline_version_id
        return RecurringRun(
            id=id,
            experiment_id=experiment.id,
            namespace=experiment.namespace,
            name=name,
            resource_name=_resource_name(name, id),
            description=asked.description,
            pipeline_id=source.pipeline_id,
            pipeline_version_id="" if takes_newest else source.pipeline_version_id,
            document="" if takes_newest else runs.hash_of(source.document),
            parameters=config.parameters or {},
            pipeline_root=config.pipeline_root,
            service_account=asked.service_account or self.parts.tenancy.service_account,
            plugins_input=checked_plugins(asked.plugins_input),
            trigger=trigger_of(asked),
            max_concurrency=asked.max_concurrency,
            no_catchup=asked.no_catchup,
            is_enabled=asked.mode is messages.Mode.ENABLE,
            created_at=now,
            updated_at=now,
        )

    # ---- those that there are ----------------------------------------------------------------------------------

    async def get(self, request: Request) -> Response:
        def read(connection: Connection) -> Tree:
            recurring = schedules.get(connection, _id(request))
            wires = runs.documents(connection, [recurring.document])
            return self._told(recurring, wires.get(recurring.document))

        return reply(await self.parts.database.read(read))

    async def list(self, request: Request) -> Response:
        query = list_query(request.query_params, sort_keys=KEYS, parse=lambda text: predicates_of(text, KEYS))
        experiment_id = request.query_params.get("experiment_id", "")
        namespace = self.parts.tenancy.own(await self._namespace_of_list(request))

        def read(connection: Connection) -> Tree:
            found = schedules.listed(connection, query, namespace=namespace, experiment_id=experiment_id)
            wires = runs.documents(connection, {each.document for each in found.items if not each.pipeline_id})
            items = [self._told(each, wires.get(each.document)) for each in found.items]
            return listed("recurringRuns", items, found.total, query.token(found.next))

        return reply(await self.parts.database.read(read))

    # ---- what is done to them ----------------------------------------------------------------------------------

    async def enable(self, request: Request) -> Response:
        return await self._switch(request, enabled=True)

    async def disable(self, request: Request) -> Response:
        return await self._switch(request, enabled=False)

    async def _switch(self, request: Request, *, enabled: bool) -> Response:
        switch = partial(schedules.enable, id=_id(request), enabled=enabled, now=self.parts.clock.now())
        self._tell(await self.parts.database.write(switch))
        return reply()

    async def delete(self, request: Request) -> Response:
        """The runs that it made stay."""
        await self.parts.database.write(partial(schedules.remove, id=_id(request)))
        return reply()

    async def backfill(self, request: Request) -> Response:
        """Ours. Wants each point of a range of time to be run that was not yet: `{start_time, end_time}`.

        The answer tells how many points there are: `{"points": 24}`. They are run in order, as many at once as
        `max_concurrency` says, whether the recurring run is enabled or not.
        """
        asked: messages.Backfill = await message_in(request, messages.Backfill)
        begin, end = _range(asked, self.parts.clock.now())
        recurring = await self.parts.database.read(partial(schedules.get, id=_id(request)))
        trigger = read_trigger(recurring.trigger, self.parts.zone)
        points = sum(1 for _ in islice(trigger.points(recurring.created_at, begin, end), MAX_BACKFILL + 1))
        if not 1 <= points <= MAX_BACKFILL:
            raise BadRequest(
                f"Invalid input error: recurring run {recurring.id} is due "
                f"{'never' if not points else f'more than {MAX_BACKFILL} times'} in that range of time"
            )
        await self.parts.database.write(partial(schedules.backfill, id=recurring.id, begin=begin, end=end))
        self._tell(recurring)
        return reply({"points": points})

    # ----------------------------------------------------------------------------------------------------------

    def _tell(self, recurring: RecurringRun) -> None:
        self.parts.news.tell(RECURRING_RUNS, ObjectKey(recurring.namespace, recurring.id))

    def _told(self, recurring: RecurringRun, document: Tree | None) -> Tree:
        return recurring_run_message(recurring, document, shows_namespace=self.parts.tenancy.multi_user)

    async def _experiment(self, asked: messages.RecurringRun) -> Experiment:
        return await experiment_for(
            self.parts.database, self.parts.tenancy, asked.experiment_id, self.parts.clock.now()
        )

    async def _namespace_of_new(self, request: Request) -> str:
        return (await self._experiment(await _asked(request))).namespace

    async def _namespace_of_list(self, request: Request) -> str:
        experiment_id = request.query_params.get("experiment_id", "")
        if not self.parts.tenancy.multi_user or not experiment_id:
            return asked_of(request)
        return (await self.parts.database.read(partial(experiments.get, id=experiment_id))).namespace

    async def _namespace_of(self, request: Request) -> str:
        return (await self.parts.database.read(partial(schedules.get, id=_id(request)))).namespace


async def _asked(request: Request) -> messages.RecurringRun:
    asked: messages.RecurringRun = await message_in(request, messages.RecurringRun)
    return asked


def _check(asked: messages.RecurringRun, source: Source) -> None:
    """Raises `InvalidPipeline`, `InvalidParameters`, `BadRequest`."""
    config = asked.runtime_config or RuntimeConfig()
    check_wishes(asked.plugins_input or {})
    run_parameters(compile_plan(source.document), config.parameters or {})


def _keep(connection: Connection, recurring: RecurringRun, source: Source) -> None:
    if recurring.document:
        runs.keep_document(connection, source.document)
    schedules.create(connection, recurring)


def _resource_name(name: str, id: str) -> str:
    """What its runs are named after."""
    slug = _NOT_IN_NAMES.sub("-", name.lower()).strip("-")[:_LONGEST_PREFIX].strip("-")
    return f"{slug or 'recurring-run'}-{id[:5]}"


def _range(asked: messages.Backfill, now: datetime) -> tuple[datetime, datetime]:
    try:
        begin, end = calendar_time(asked.start_time), calendar_time(asked.end_time)
    except ValueError as error:
        raise BadRequest(f"Invalid input error: start_time, end_time: {error}") from error
    if end < begin or end > now:
        raise BadRequest("Invalid input error: end_time must not be before start_time, nor in the future")
    return begin, end


def _id(request: Request) -> str:
    return str(request.path_params["recurring_run_id"])
