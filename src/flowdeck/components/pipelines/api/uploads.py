"""`/apis/v2beta1/pipelines/upload` and `upload_version`: pipelines as files. Errors have a form of their own here.

Source: kubeflow/pipelines (backend/src/apiserver/server/pipeline_upload_server.go)
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from flowdeck.components.pipelines.api.messages import pipeline_message, reply, version_message
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.pipelines import MAX_NAME, MAX_VERSION_NAME, checked_name, document_of
from flowdeck.components.pipelines.api.plain_errors import plain_error
from flowdeck.components.pipelines.api.tenancy import asked_of, in_query
from flowdeck.components.pipelines.catalog import NewPipeline, NewVersion
from flowdeck.components.pipelines.ir.document import Document
from flowdeck.components.pipelines.ir.package import MAX_SIZE
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree, key_of
from flowdeck.web import bodies
from flowdeck.web.routing import Handler, Needs, Route

PART = "uploadfile"


@dataclass(frozen=True)
class Uploads:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        return self.routes_at("/apis/v2beta1/pipelines", self.upload, self.upload_version)

    def routes_at(self, base: str, upload: Handler, upload_version: Handler) -> list[Route]:
        """Both, told by these handlers."""
        pipeline = Needs("create", "pipelines", self.parts.tenancy.shared_by(in_query))
        version = Needs("create", "pipelines", self.parts.tenancy.shared_by(self._namespace_of_pipeline))
        return [
            Route("POST", f"{base}/upload", upload, pipeline, plain_error),
            Route("POST", f"{base}/upload_version", upload_version, version, plain_error),
        ]

    async def upload(self, request: Request) -> Response:
        return reply(pipeline_message(await self.pipeline_of(request), shows_namespace=self.parts.tenancy.multi_user))

    async def upload_version(self, request: Request) -> Response:
        return reply(version_message(await self.version_of(request)))

    async def pipeline_of(self, request: Request) -> Tree:
        """The new pipeline of an upload."""
        file_name, document = await _uploaded(request)
        query = request.query_params
        name = checked_name(query.get("name") or query.get("display_name") or file_name, MAX_NAME, "pipeline")
        new = NewPipeline(
            name=name,
            namespace=self.parts.tenancy.shared(asked_of(request)),
            display_name=query.get("display_name") or name,
            description=query.get("description", ""),
            tags=_tags(query),
        )
        version = _version(query, name=name[:MAX_VERSION_NAME], document=document)
        pipeline, _ = await self.parts.catalog.create_with_version(new, version)
        return pipeline

    async def version_of(self, request: Request) -> Tree:
        """The new version of an upload."""
        file_name, document = await _uploaded(request)
        query = request.query_params
        name = checked_name(
            query.get("name") or query.get("display_name") or file_name, MAX_VERSION_NAME, "pipeline version"
        )
        pipeline = await self.parts.catalog.pipeline(_pipeline_id(request))
        version = _version(query, name=name, document=document)
        return await self.parts.catalog.create_version(pipeline, version)

    async def _namespace_of_pipeline(self, request: Request) -> str:
        return key_of(await self.parts.catalog.pipeline(_pipeline_id(request))).namespace


def _version(query: Mapping[str, str], *, name: str, document: Document) -> NewVersion:
    return NewVersion(
        name=name,
        document=document,
        display_name=query.get("display_name") or name,
        description=query.get("description", ""),
        code_source_url=query.get("code_source_url", ""),
        tags=_tags(query),
    )


def _pipeline_id(request: Request) -> str:
    pipeline_id: str = request.query_params.get("pipelineid", "")
    if not pipeline_id:
        raise BadRequest("Invalid input error: Please specify a pipeline id when creating versions: ?pipelineid=")
    return pipeline_id


def _tags(query: Mapping[str, str]) -> dict[str, str]:
    text = query.get("tags", "")
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise BadRequest(f"Invalid input error: tags must be a JSON object of texts: {error}") from error


async def _uploaded(request: Request) -> tuple[str, Document]:
    """The name of the uploaded file, and the document in it. Raises `BadRequest`."""
    async with bodies.form(request, limit=MAX_SIZE + bodies.FORM) as form:
        part = form.get(PART)
        if not isinstance(part, UploadFile):
            raise BadRequest(f"Invalid input error: the form has no file in the part {PART!r}")
        data, file_name = await part.read(), part.filename or ""
    document = await asyncio.to_thread(document_of, data, file_name)
    return PurePosixPath(file_name).name, document
