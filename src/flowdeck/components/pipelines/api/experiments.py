"""`/apis/v2beta1/experiments`.

Source: kubeflow/pipelines (backend/api/v2beta1/experiment.proto, backend/src/apiserver/server/experiment_server.go)
"""

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api import messages
from flowdeck.components.pipelines.api.messages import listed, message_in, reply, without_zeros
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.pipelines import checked_name
from flowdeck.components.pipelines.api.tenancy import Tenancy, asked_of, in_query
from flowdeck.components.pipelines.store import experiments
from flowdeck.components.pipelines.store.experiments import ARCHIVED, Experiment
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree
from flowdeck.kube.times import format_time
from flowdeck.sql.database import Database
from flowdeck.web.listing import list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Needs, Route
from flowdeck.web.rpc_errors import FailedPrecondition

KEYS = tuple(experiments.LISTED.columns)
MAX_NAME = 128


@dataclass(frozen=True)
class Experiments:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/experiments"
        one = f"{base}/{{experiment_id}}"
        of_one = self.parts.tenancy.owned_by(self._namespace_of)
        new = self.parts.tenancy.owned_by(_namespace_in_body)
        return [
            Route("POST", base, self.create, Needs("create", "experiments", new)),
            Route("GET", base, self.list, Needs("list", "experiments", self.parts.tenancy.owned_by(in_query))),
            Route("GET", one, self.get, Needs("get", "experiments", of_one)),
            Route("DELETE", one, self.delete, Needs("delete", "experiments", of_one)),
            Route("POST", f"{one}:archive", self.archive, Needs("archive", "experiments", of_one)),
            Route("POST", f"{one}:unarchive", self.unarchive, Needs("unarchive", "experiments", of_one)),
        ]

    async def create(self, request: Request) -> Response:
        asked: messages.Experiment = await message_in(request, messages.Experiment)
        name = checked_name(asked.display_name, MAX_NAME, "experiment")
        namespace = self.parts.tenancy.own(asked.namespace)
        made = await self.parts.database.write(
            lambda connection: experiments.create(
                connection, name=name, namespace=namespace, description=asked.description, now=self.parts.clock.now()
            )
        )
        return reply(self._told(made))

    async def list(self, request: Request) -> Response:
        namespace = self.parts.tenancy.own(asked_of(request))
        query = list_query(request.query_params, sort_keys=KEYS, parse=lambda text: predicates_of(text, KEYS))
        found = await self.parts.database.read(lambda connection: experiments.listed(connection, namespace, query))
        items = [self._told(experiment) for experiment in found.items]
        return reply(listed("experiments", items, found.total, query.token(found.next)))

    async def get(self, request: Request) -> Response:
        return reply(self._told(await self._found(request)))

    async def delete(self, request: Request) -> Response:
        await self.parts.database.write(lambda connection: experiments.remove(connection, _id(request)))
        return reply()

    async def archive(self, request: Request) -> Response:
        now = self.parts.clock.now()
        await self.parts.database.write(lambda connection: experiments.archive(connection, _id(request), now))
        return reply()

    async def unarchive(self, request: Request) -> Response:
        await self.parts.database.write(lambda connection: experiments.unarchive(connection, _id(request)))
        return reply()

    async def _found(self, request: Request) -> Experiment:
        return await self.parts.database.read(lambda connection: experiments.get(connection, _id(request)))

    async def _namespace_of(self, request: Request) -> str:
        return (await self._found(request)).namespace

    def _told(self, experiment: Experiment) -> Tree:
        told = without_zeros(
            {
                "experiment_id": experiment.id,
                "display_name": experiment.name,
                "description": experiment.description,
                "created_at": format_time(experiment.created_at),
                "namespace": experiment.namespace if self.parts.tenancy.multi_user else "",
                "storage_state": experiment.storage_state,
            }
        )
        return {**told, "last_run_created_at": format_time(experiment.last_run_created_at)}


async def experiment_for(database: Database, tenancy: Tenancy, id: str, now: datetime) -> Experiment:
    """That of a new run or recurring run; `""`: the default one, where there is one.

    Raises `NotFound`, `BadRequest`, `FailedPrecondition` when it is archived.
    """
    if id:
        found = await database.read(lambda connection: experiments.get(connection, id))
    elif tenancy.multi_user:
        raise BadRequest("Invalid input error: Experiment id can not be empty in multi-user mode")
    else:
        found = await database.write(lambda connection: experiments.default(connection, tenancy.namespace, now))
    if found.storage_state == ARCHIVED:
        raise FailedPrecondition(
            f"Invalid input error: Failed to create a run in experiment {found.id}: it is archived; unarchive it"
        )
    return found


def _id(request: Request) -> str:
    return str(request.path_params["experiment_id"])


async def _namespace_in_body(request: Request) -> str:
    asked: messages.Experiment = await message_in(request, messages.Experiment)
    return asked.namespace
