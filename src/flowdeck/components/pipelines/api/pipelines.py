"""`/apis/v2beta1/pipelines`: pipelines and their versions.

Source: kubeflow/pipelines (backend/api/v2beta1/pipeline.proto, backend/src/apiserver/server/pipeline_server.go)
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api import messages
from flowdeck.components.pipelines.api.messages import listed, message_in, pipeline_message, reply, version_message
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.tenancy import asked_of, in_query
from flowdeck.components.pipelines.catalog import NewPipeline, NewVersion, rest_name
from flowdeck.components.pipelines.ir.document import Document, from_wire, parse
from flowdeck.components.pipelines.ir.package import text_of
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree, get_in, key_of, uid_of
from flowdeck.kube.times import parse_time
from flowdeck.web.in_memory import page
from flowdeck.web.listing import ListQuery, list_query
from flowdeck.web.predicates import predicates_of
from flowdeck.web.routing import Needs, Route

PIPELINE_KEYS = ("id", "pipeline_id", "name", "display_name", "created_at", "description", "namespace")
VERSION_KEYS = (
    "id", "pipeline_version_id", "name", "display_name", "created_at", "status", "description", "pipeline_spec",
)  # fmt: skip
MAX_NAME = 128
MAX_VERSION_NAME = 127


@dataclass(frozen=True)
class Pipelines:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        base = "/apis/v2beta1/pipelines"
        one, versions = f"{base}/{{pipeline_id}}", f"{base}/{{pipeline_id}}/versions"
        version = f"{versions}/{{pipeline_version_id}}"
        tenancy = self.parts.tenancy
        shared = tenancy.shared_by(in_query)
        of_pipeline = tenancy.shared_by(self._namespace_of_pipeline)
        of_version = tenancy.shared_by(self._namespace_of_version)
        new, new_with_version = tenancy.shared_by(_namespace_in_body), tenancy.shared_by(_in_part)
        return [
            Route("POST", base, self.create, Needs("create", "pipelines", new)),
            Route("POST", f"{base}/create", self.create_with_version, Needs("create", "pipelines", new_with_version)),
            Route("GET", base, self.list, Needs("list", "pipelines", shared)),
            Route("GET", f"{base}/names/{{name}}", self.by_name, Needs("get", "pipelines", shared)),
            Route("GET", one, self.get, Needs("get", "pipelines", of_pipeline)),
            Route("PATCH", one, self.change, Needs("update", "pipelines", of_pipeline)),
            Route("DELETE", one, self.delete, Needs("delete", "pipelines", of_pipeline)),
            Route("POST", versions, self.create_version, Needs("create", "pipelines", of_pipeline)),
            Route("GET", versions, self.list_versions, Needs("list", "pipelines", of_pipeline)),
            Route("GET", version, self.get_version, Needs("get", "pipelines", of_version)),
            Route("PATCH", version, self.change_version, Needs("update", "pipelines", of_version)),
            Route("DELETE", version, self.delete_version, Needs("delete", "pipelines", of_version)),
        ]

    # ---- pipelines ---------------------------------------------------------------------------------------------

    async def create(self, request: Request) -> Response:
        asked: messages.Pipeline = await message_in(request, messages.Pipeline)
        return reply(self._told(await self.parts.catalog.create_pipeline(self._new(asked))))

    async def create_with_version(self, request: Request) -> Response:
        asked: messages.CreatePipelineAndVersion = await message_in(request, messages.CreatePipelineAndVersion)
        if asked.pipeline is None or asked.pipeline_version is None:
            raise BadRequest("Invalid input error: both pipeline and pipeline_version must be given")
        new = self._new(asked.pipeline)
        version = await self._new_version(asked.pipeline_version, default_name=new.name)
        pipeline, _ = await self.parts.catalog.create_with_version(new, version)
        return reply(self._told(pipeline))

    async def list(self, request: Request) -> Response:
        query = _query(request, PIPELINE_KEYS, tags=True)
        found = page(
            await self.parts.catalog.pipelines(self.parts.tenancy.shared(asked_of(request))), _row, query, id_key="id"
        )
        items = [self._told(obj) for obj in found.items]
        return reply(listed("pipelines", items, found.total, query.token(found.next)))

    async def by_name(self, request: Request) -> Response:
        namespace = self.parts.tenancy.shared(asked_of(request))
        return reply(self._told(await self.parts.catalog.pipeline_called(request.path_params["name"], namespace)))

    async def get(self, request: Request) -> Response:
        return reply(self._told(await self.parts.catalog.pipeline(request.path_params["pipeline_id"])))

    async def change(self, request: Request) -> Response:
        asked: messages.Pipeline = await message_in(request, messages.Pipeline)
        pipeline = await self.parts.catalog.pipeline(request.path_params["pipeline_id"])
        return reply(
            self._told(await self.parts.catalog.change(pipeline, display_name=asked.display_name, tags=asked.tags))
        )

    async def delete(self, request: Request) -> Response:
        cascade = request.query_params.get("cascade", "") == "true"
        await self.parts.catalog.delete_pipeline(request.path_params["pipeline_id"], cascade=cascade)
        return reply()

    # ---- versions ----------------------------------------------------------------------------------------------

    async def create_version(self, request: Request) -> Response:
        asked: messages.PipelineVersion = await message_in(request, messages.PipelineVersion)
        pipeline_id = request.path_params["pipeline_id"]
        if asked.pipeline_id != pipeline_id:
            raise BadRequest(
                f"Invalid input error: pipeline_id in the body must be the one of the path: {asked.pipeline_id!r}"
            )
        pipeline = await self.parts.catalog.pipeline(pipeline_id)
        version = await self.parts.catalog.create_version(pipeline, await self._new_version(asked, default_name=""))
        return reply(version_message(version))

    async def list_versions(self, request: Request) -> Response:
        query = _query(request, VERSION_KEYS, tags=True)
        found = page(await self.parts.catalog.versions(request.path_params["pipeline_id"]), _row, query, id_key="id")
        items = [version_message(obj) for obj in found.items]
        return reply(listed("pipeline_versions", items, found.total, query.token(found.next)))

    async def get_version(self, request: Request) -> Response:
        return reply(version_message(await self.parts.catalog.version(request.path_params["pipeline_version_id"])))

    async def change_version(self, request: Request) -> Response:
        asked: messages.PipelineVersion = await message_in(request, messages.PipelineVersion)
        version = await self.parts.catalog.version(request.path_params["pipeline_version_id"])
        changed = await self.parts.catalog.change(version, display_name=asked.display_name, tags=asked.tags)
        return reply(version_message(changed))

    async def delete_version(self, request: Request) -> Response:
        await self.parts.catalog.delete_version(request.path_params["pipeline_version_id"])
        return reply()

    # ----------------------------------------------------------------------------------------------------------

    def _told(self, obj: Tree) -> Tree:
        return pipeline_message(obj, shows_namespace=self.parts.tenancy.multi_user)

    def _new(self, asked: messages.Pipeline) -> NewPipeline:
        return NewPipeline(
            name=checked_name(asked.name or asked.display_name, MAX_NAME, "pipeline"),
            namespace=self.parts.tenancy.shared(asked.namespace),
            display_name=asked.display_name,
            description=asked.description,
            tags=asked.tags or {},
        )

    async def _new_version(self, asked: messages.PipelineVersion, *, default_name: str) -> NewVersion:
        """What a request wants to be a version. Raises `BadRequest`, `ServiceUnavailable`."""
        return NewVersion(
            name=checked_name(asked.name or asked.display_name or default_name, MAX_VERSION_NAME, "pipeline version"),
            document=await self._document(asked),
            display_name=asked.display_name,
            description=asked.description,
            code_source_url=asked.code_source_url,
            tags=asked.tags or {},
        )

    async def _document(self, asked: messages.PipelineVersion) -> Document:
        if asked.pipeline_spec is not None:
            return from_wire(asked.pipeline_spec)
        url = asked.package_url.pipeline_url if asked.package_url is not None else ""
        if not url:
            raise BadRequest("Invalid input error: package_url.pipeline_url or pipeline_spec must be given")
        data = await self.parts.downloads.get(url)
        return await asyncio.to_thread(document_of, data, PurePosixPath(urlsplit(url).path).name)

    async def _namespace_of_pipeline(self, request: Request) -> str:
        return key_of(await self.parts.catalog.pipeline(request.path_params["pipeline_id"])).namespace

    async def _namespace_of_version(self, request: Request) -> str:
        return key_of(await self.parts.catalog.version(request.path_params["pipeline_version_id"])).namespace


def checked_name(name: str, longest: int, what: str) -> str:
    """The name, if it can be one. Raises `BadRequest`."""
    if not name:
        raise BadRequest(f"Invalid input error: the {what} needs a name")
    if len(name) > longest:
        raise BadRequest(f"Invalid input error: the name of the {what} has more than {longest} characters")
    return name


def document_of(data: bytes, file_name: str) -> Document:
    """The document in a file. Raises `InvalidPipeline`."""
    return parse(text_of(data, file_name))


async def _namespace_in_body(request: Request) -> str:
    asked: messages.Pipeline = await message_in(request, messages.Pipeline)
    return asked.namespace


async def _in_part(request: Request) -> str:
    asked: messages.CreatePipelineAndVersion = await message_in(request, messages.CreatePipelineAndVersion)
    return asked.pipeline.namespace if asked.pipeline else ""


def _query(request: Request, keys: tuple[str, ...], *, tags: bool) -> ListQuery:
    filter_keys = (*keys, "tags.") if tags else keys
    return list_query(request.query_params, sort_keys=keys, parse=lambda text: predicates_of(text, filter_keys))


def _row(obj: Tree) -> Mapping[str, Any]:
    """What pipelines and versions are sorted and filtered by."""
    spec = obj.get("spec") or {}
    uid = uid_of(obj)
    return {
        "id": uid,
        "pipeline_id": uid,
        "pipeline_version_id": uid,
        "name": rest_name(obj),
        "display_name": spec.get("displayName") or rest_name(obj),
        "created_at": int(parse_time(obj["metadata"]["creationTimestamp"]).timestamp()),
        "description": spec.get("description", ""),
        "namespace": key_of(obj).namespace,
        "status": get_in(obj, "status", "conditions", 0, "status", default="True"),
        **{f"tags.{key}": value for key, value in (spec.get("tags") or {}).items()},
    }
