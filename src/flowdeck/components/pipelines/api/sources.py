"""What a run or a recurring run is made from: a version of a pipeline, or a document of its own."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from flowdeck.components.pipelines.admission import document_in
from flowdeck.components.pipelines.api import messages
from flowdeck.components.pipelines.api.messages import VersionReference
from flowdeck.components.pipelines.api.tenancy import Tenancy
from flowdeck.components.pipelines.catalog import Catalog, pipeline_id_of
from flowdeck.components.pipelines.ir.document import Document, from_wire
from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import key_of, uid_of
from flowdeck.web.routing import Door


@dataclass(frozen=True)
class Source:
    """Where a document comes from."""

    document: Document
    pipeline_id: str = ""
    pipeline_version_id: str = ""
    """Both empty: it came with the request."""
    namespace: str = ""
    """The pipeline's."""


async def source_for(
    request: Request, asked: messages.Run | messages.RecurringRun, *, catalog: Catalog, tenancy: Tenancy, door: Door
) -> Source:
    """What somebody asks to run, if he may read it. Raises as `source_of`, and `Forbidden`."""
    source = await source_of(catalog, asked.pipeline_version_reference, asked.pipeline_spec, asked.pipeline_version_id)
    if tenancy.multi_user and source.namespace:
        await door.check(request, "get", "pipelines", source.namespace)
    return source


async def source_of(
    catalog: Catalog, reference: VersionReference | None, spec: dict[str, Any] | None, version_id: str = ""
) -> Source:
    """The newest version where only a pipeline is named. Raises `BadRequest`, `NotFound`."""
    if reference is None and not version_id:
        if spec is None:
            raise BadRequest(
                "Invalid input error: no pipeline is named: give pipeline_version_reference or pipeline_spec"
            )
        return Source(from_wire(spec))
    wanted = reference or VersionReference(pipeline_version_id=version_id)
    if wanted.pipeline_version_id:
        version = await catalog.version(wanted.pipeline_version_id)
    elif wanted.pipeline_id:
        version = await catalog.latest_version(wanted.pipeline_id)
    else:
        raise BadRequest("Invalid input error: pipeline_version_reference names neither a pipeline nor a version")
    pipeline_id = pipeline_id_of(version)
    if wanted.pipeline_id not in ("", pipeline_id):
        raise BadRequest(
            f"Invalid input error: pipeline version {uid_of(version)} is one of pipeline {pipeline_id}, "
            f"not of {wanted.pipeline_id}"
        )
    return Source(document_in(version), pipeline_id, uid_of(version), key_of(version).namespace)
