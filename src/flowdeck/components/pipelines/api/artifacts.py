"""`/apis/v2beta1/artifacts` and `artifact_tasks`: what tasks made, and which tasks have it as an input or output.

Ours are the download and the deletion. Rights are those on runs, as upstream's.

Source: kubeflow/pipelines (backend/api/v2beta1/artifact.proto of the branch without ML Metadata)
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api import artifact_messages
from flowdeck.components.pipelines.api.artifact_messages import (
    ArtifactTask,
    ArtifactTasks,
    ArtifactType,
    CreateArtifact,
    CreateArtifacts,
    IoType,
    Producer,
    artifact_message,
    finite,
    link_message,
    small,
)
from flowdeck.components.pipelines.api.messages import listed, message_in, reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.pipelines import checked_name
from flowdeck.components.pipelines.api.tenancy import asked_of, in_query
from flowdeck.components.pipelines.contents import download, remove_content
from flowdeck.components.pipelines.store import artifacts, runs
from flowdeck.components.pipelines.store.artifacts import Artifact, Link, LinkFilter
from flowdeck.kube.errors import BadRequest, Forbidden, NotFound
from flowdeck.kube.objects import Tree
from flowdeck.web.listing import list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Namespace, Needs, Route

KEYS = tuple(artifacts.LISTED.columns)
LINK_KEYS = tuple(artifacts.LINKS_LISTED.columns)
MAX_NAME = 128
MAX_BATCH = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class ArtifactRoutes:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/artifacts"
        one, links = f"{base}/{{artifact_id}}", "/apis/v2beta1/artifact_tasks"

        def needs(verb: str, find: Namespace) -> Needs:
            return Needs(verb, "runs", self.parts.tenancy.owned_by(find))

        of_one = self._namespace_of
        return [
            Route("GET", base, self.list, needs("list", in_query)),
            Route("POST", base, self.create, needs("update", self._namespace_of_new)),
            Route("POST", f"{base}:batchCreate", self.create_all, needs("update", self._namespace_of_new)),
            Route("GET", one, self.get, needs("get", of_one)),
            Route("DELETE", one, self.delete, needs("delete", of_one)),
            Route("GET", f"{one}:download", self.download, needs("readArtifact", of_one)),
            Route("GET", links, self.list_links, needs("list", self._namespace_of_links)),
            Route("POST", links, self.create_link, needs("update", self._namespace_of_new_links)),
            Route("POST", f"{links}:batchCreate", self.create_links, needs("update", self._namespace_of_new_links)),
        ]

    # ---- artifacts ---------------------------------------------------------------------------------------------

    async def list(self, request: Request) -> Response:
        query = list_query(request.query_params, sort_keys=KEYS, parse=lambda text: predicates_of(text, KEYS))
        namespace = self.parts.tenancy.own(asked_of(request))
        found = await self.parts.database.read(partial(artifacts.listed, namespace=namespace, query=query))
        return reply(listed("artifacts", self._told(found.items), found.total, query.token(found.next)))

    async def get(self, request: Request) -> Response:
        (told,) = self._told([await self._found(request)])
        return reply(told)

    async def create(self, request: Request) -> Response:
        (told,) = await self._create(await _new(request))
        return reply(told)

    async def create_all(self, request: Request) -> Response:
        return reply({"artifacts": await self._create(await _new(request))})

    async def _create(self, asked: Sequence[CreateArtifact]) -> Sequence[Tree]:
        now, namespace = self.parts.clock.now(), await self._namespace_of_asked(asked)
        made = await self.parts.database.write(
            lambda connection: [_made(connection, namespace, each, now) for each in asked]
        )
        return self._told(made)

    async def download(self, request: Request) -> Response:
        """Its content, or with `Range` a part of it; a folder comes as a `.tar.gz`."""
        found = await self._found(request)
        if not found.is_ours and self.parts.tenancy.multi_user:
            raise Forbidden(f"artifact {found.id} was not made by a task, so whose its content is nobody knows")
        if not found.uri:
            raise NotFound(f"ResourceNotFoundError: content of artifact {found.id} not found.")
        store, uri = await self.parts.homes.contents(found.namespace, found.uri)
        return await download(store, uri, request.headers.get("range", ""))

    async def delete(self, request: Request) -> Response:
        """With its content, where a task made it: what was imported is somebody else's."""
        found = await self._found(request)
        await remove_content(self.parts.homes, found)
        await self.parts.database.write(partial(artifacts.remove, id=found.id))
        return reply()

    # ---- links -------------------------------------------------------------------------------------------------

    async def list_links(self, request: Request) -> Response:
        params = request.query_params
        query = list_query(
            params, sort_keys=LINK_KEYS, parse=lambda text: predicates_of(text, LINK_KEYS), default_sort="id asc"
        )
        wanted = LinkFilter(
            task_ids=params.getlist("task_ids"),
            run_ids=params.getlist("run_ids"),
            artifact_ids=params.getlist("artifact_ids"),
            type=_io_type(params.get("type", "")),
        )
        namespace = self.parts.tenancy.own(await self._namespace_of_links(request))
        found = await self.parts.database.read(
            partial(artifacts.links, namespace=namespace, wanted=wanted, query=query)
        )
        items = [link_message(link) for link in found.items]
        return reply(listed("artifact_tasks", items, found.total, query.token(found.next)))

    async def create_link(self, request: Request) -> Response:
        (told,) = await self._create_links(await _new_links(request))
        return reply(told)

    async def create_links(self, request: Request) -> Response:
        return reply({"artifact_tasks": await self._create_links(await _new_links(request))})

    async def _create_links(self, asked: Sequence[ArtifactTask]) -> Sequence[Tree]:
        namespace = await self._namespace_of_runs([each.run_id for each in asked])
        made = await self.parts.database.write(
            lambda connection: [_linked(connection, namespace, each) for each in asked]
        )
        return [link_message(link) for link in made]

    # ---- whose they are ----------------------------------------------------------------------------------------

    def _told(self, found: Sequence[Artifact]) -> Sequence[Tree]:
        return [artifact_message(artifact, shows_namespace=self.parts.tenancy.multi_user) for artifact in found]

    async def _found(self, request: Request) -> Artifact:
        return await self.parts.database.read(partial(artifacts.get, id=request.path_params["artifact_id"]))

    async def _namespace_of(self, request: Request) -> str:
        return (await self._found(request)).namespace

    async def _namespace_of_new(self, request: Request) -> str:
        return await self._namespace_of_asked(await _new(request))

    async def _namespace_of_new_links(self, request: Request) -> str:
        return await self._namespace_of_runs([each.run_id for each in await _new_links(request)])

    async def _namespace_of_asked(self, asked: Sequence[CreateArtifact]) -> str:
        named = {self.parts.tenancy.own(_artifact_in(each).namespace) for each in asked if not each.run_id}
        run_ids = [each.run_id for each in asked if each.run_id]
        return _only(named | ({await self._namespace_of_runs(run_ids)} if run_ids else set()))

    async def _namespace_of_runs(self, run_ids: Sequence[str]) -> str:
        """Raises `NotFound`, `BadRequest` when they are of several."""

        def read(connection: Connection) -> set[str]:
            return {runs.get(connection, id).namespace for id in dict.fromkeys(run_ids)}

        return _only(await self.parts.database.read(read))

    async def _namespace_of_links(self, request: Request) -> str:
        run_ids = request.query_params.getlist("run_ids")
        if self.parts.tenancy.multi_user and run_ids and not asked_of(request):
            return await self._namespace_of_runs(run_ids)
        return asked_of(request)


def _only(namespaces: set[str]) -> str:
    if len(namespaces) != 1:
        raise BadRequest(
            f"Invalid input error: one request is about one namespace, and this one about {sorted(namespaces)}"
        )
    return namespaces.pop()


async def _new(request: Request) -> Sequence[CreateArtifact]:
    """What a request wants to be made: one, or a batch."""
    if not request.url.path.endswith(":batchCreate"):
        asked: CreateArtifact = await message_in(request, CreateArtifact)
        return [asked]
    batch: CreateArtifacts = await message_in(request, CreateArtifacts)
    return _some(batch.artifacts, "artifacts")


async def _new_links(request: Request) -> Sequence[ArtifactTask]:
    if not request.url.path.endswith(":batchCreate"):
        asked: ArtifactTask = await message_in(request, ArtifactTask)
        return [asked]
    batch: ArtifactTasks = await message_in(request, ArtifactTasks)
    return _some(batch.artifact_tasks, "artifact_tasks")


def _some(found: Sequence[T] | None, name: str) -> Sequence[T]:
    if not found or len(found) > MAX_BATCH:
        raise BadRequest(f"Invalid input error: {name} must hold 1 to {MAX_BATCH} entries")
    return found


def _artifact_in(asked: CreateArtifact) -> artifact_messages.Artifact:
    if asked.artifact is None:
        raise BadRequest("Invalid input error: artifact must be given")
    return asked.artifact


def _made(connection: Connection, namespace: str, asked: CreateArtifact, now: datetime) -> Artifact:
    """A new one, or the one that is there where that will do; linked to its task, if one is named."""
    given = _artifact_in(asked)
    if given.type is ArtifactType.TYPE_UNSPECIFIED:
        raise BadRequest("Invalid input error: artifact.type must be given")
    reused = artifacts.with_uri(connection, namespace, given.uri, given.type.name) if asked.reuse_if_exists else None
    made = reused or Artifact(
        id=str(uuid.uuid4()),
        namespace=namespace,
        run_id=asked.run_id,
        task_id=asked.task_id,
        name=checked_name(given.name or asked.producer_key, MAX_NAME, "artifact"),
        description=given.description,
        type=given.type.name,
        uri=given.uri,
        metadata=given.metadata or {},
        number_value=finite(given.number_value, "artifact.number_value"),
        created_at=now,
        last_update=now,
    )
    if reused is None:
        artifacts.create(connection, made)
    if asked.task_id:
        link = ArtifactTask(
            artifact_id=made.id,
            run_id=asked.run_id,
            task_id=asked.task_id,
            type=IoType.OUTPUT,
            key=asked.producer_key,
            producer=Producer(iteration=asked.iteration_index),
        )
        _linked(connection, namespace, link)
    return made


def _linked(connection: Connection, namespace: str, asked: ArtifactTask) -> Link:
    if artifacts.get(connection, asked.artifact_id).namespace != namespace:
        raise NotFound(f"ResourceNotFoundError: Artifact {asked.artifact_id} not found.")
    runs.task(connection, asked.run_id, asked.task_id)
    if asked.type is IoType.UNSPECIFIED:
        raise BadRequest("Invalid input error: type of the artifact task must be given")
    producer = asked.producer or Producer()
    made = Link(
        id=str(uuid.uuid4()),
        namespace=namespace,
        artifact_id=asked.artifact_id,
        run_id=asked.run_id,
        task_id=asked.task_id,
        type=asked.type.name,
        key=asked.key,
        producer=producer.task_name,
        iteration=small(producer.iteration, "producer.iteration"),
    )
    artifacts.create_link(connection, made)
    return made


def _io_type(text: str) -> str:
    if text and text not in IoType.__members__:
        raise BadRequest(f"Invalid input error: type must be one of {', '.join(IoType.__members__)}: got {text!r}")
    return "" if text == IoType.UNSPECIFIED.name else text
