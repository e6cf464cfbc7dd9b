"""The pipelines and versions that there are: the store of both, over the Kubernetes API.

Names on the REST wire are free text, those of objects are not: see `object_name`.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowdeck.client.base import Client
from flowdeck.components.pipelines.admission import tag_errors
from flowdeck.components.pipelines.ir.document import Document
from flowdeck.components.pipelines.kinds import (
    CREATED_ANNOTATION,
    NAME_ANNOTATION,
    PIPELINE,
    PIPELINE_ID_LABEL,
    PIPELINE_VERSION,
)
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.kube.errors import AlreadyExists, ApiError, BadRequest, NotFound
from flowdeck.kube.names import dns_subdomain
from flowdeck.kube.objects import Kind, ObjectKey, Tree, annotations_of, get_in, key_of, labels_of, uid_of
from flowdeck.web.rpc_errors import FailedPrecondition

_LONGEST = 200
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class NewPipeline:
    """What somebody wants to be there."""

    name: str
    namespace: str
    display_name: str = ""
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NewVersion:
    """A document for a pipeline."""

    name: str
    document: Document
    display_name: str = ""
    description: str = ""
    code_source_url: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalog:
    """Raises `NotFound`, `AlreadyExists`, and what the API server says."""

    client: Client

    async def pipelines(self, namespace: str) -> Sequence[Tree]:
        """Of a namespace, `""` for all."""
        return (await self.client.list(PIPELINE, namespace=namespace)).items

    async def pipeline(self, uid: str) -> Tree:
        """By its id."""
        return _with_uid(await self.pipelines(""), uid, "Pipeline")

    async def pipeline_called(self, name: str, namespace: str) -> Tree:
        """By its name."""
        found = await self.client.find(PIPELINE, ObjectKey(namespace, object_name(name)))
        if found is None:
            raise NotFound(f"ResourceNotFoundError: Pipeline {name} not found.")
        return found

    async def create_pipeline(self, new: NewPipeline) -> Tree:
        """An empty one."""
        _check_tags(new.tags)
        spec = {"displayName": new.display_name or new.name, "description": new.description, "tags": new.tags}
        key = ObjectKey(new.namespace, object_name(new.name))
        return await self._create(PIPELINE, new.name, key, spec, f"The name {new.name}")

    async def create_with_version(self, new: NewPipeline, version: NewVersion) -> tuple[Tree, Tree]:
        """A pipeline and its first version: both or none."""
        pipeline = await self.create_pipeline(new)
        try:
            return pipeline, await self.create_version(pipeline, version)
        except ApiError:
            await self.client.delete(PIPELINE, key_of(pipeline), uid=uid_of(pipeline), missing_ok=True)
            raise

    async def change(self, obj: Tree, *, display_name: str | None, tags: dict[str, str] | None) -> Tree:
        """Of a pipeline or a version; None leaves it as it is."""
        _check_tags(tags or {})
        kind = PIPELINE if obj["kind"] == PIPELINE.kind else PIPELINE_VERSION
        spec: Tree = {"displayName": display_name} if display_name else {}
        if tags is not None:
            kept = {key: None for key in get_in(obj, "spec", "tags") or {}}
            spec["tags"] = {**kept, **tags}
        return await self.client.patch(kind, key_of(obj), {"spec": spec}) if spec else obj

    async def delete_pipeline(self, uid: str, *, cascade: bool) -> None:
        """With its versions if it may; one that still has some is refused otherwise."""
        pipeline = await self.pipeline(uid)
        if not cascade and await self.versions(uid):
            raise FailedPrecondition(
                f"Invalid input error: Failed to delete pipeline {uid}: it still has versions; delete them first, "
                "or use cascade=true"
            )
        await self.client.delete(PIPELINE, key_of(pipeline), missing_ok=True)

    async def versions(self, pipeline_uid: str) -> Sequence[Tree]:
        """Of a pipeline."""
        return (await self.client.list(PIPELINE_VERSION, labels=f"{PIPELINE_ID_LABEL}={pipeline_uid}")).items

    async def latest_version(self, pipeline_uid: str) -> Tree:
        """The newest one of a pipeline."""
        found = await self.versions(pipeline_uid)
        if not found:
            await self.pipeline(pipeline_uid)
            raise NotFound(f"ResourceNotFoundError: Pipeline {pipeline_uid} has no version: not found.")
        return max(found, key=_made_at)

    async def version(self, uid: str) -> Tree:
        """By its id."""
        return _with_uid((await self.client.list(PIPELINE_VERSION)).items, uid, "PipelineVersion")

    async def create_version(self, pipeline: Tree, new: NewVersion) -> Tree:
        """Names of versions are unique within their pipeline. Raises `InvalidPipeline`."""
        await asyncio.to_thread(compile_plan, new.document)
        _check_tags(new.tags)
        spec: Tree = {
            "pipelineName": key_of(pipeline).name,
            "displayName": new.display_name or new.name,
            "description": new.description,
            "codeSourceURL": new.code_source_url,
            "tags": new.tags,
            "pipelineSpec": new.document.spec_tree,
        }
        if new.document.platform_tree is not None:
            spec["platformSpec"] = new.document.platform_tree
        if not dns_subdomain(new.name):
            spec["versionName"] = new.name
        name = _hashed(f"{rest_name(pipeline)}-{new.name}", f"{uid_of(pipeline)}\0{new.name}")
        told = f"The name {new.name} of a version of pipeline {rest_name(pipeline)}"
        return await self._create(PIPELINE_VERSION, new.name, ObjectKey(key_of(pipeline).namespace, name), spec, told)

    async def delete_version(self, uid: str) -> None:
        """Runs that were made of it have a copy."""
        await self.client.delete(PIPELINE_VERSION, key_of(await self.version(uid)), missing_ok=True)

    async def _create(self, kind: Kind, name: str, key: ObjectKey, spec: Tree, told: str) -> Tree:
        metadata: Tree = {"name": key.name, "namespace": key.namespace}
        if name not in (key.name, spec.get("versionName")):
            metadata["annotations"] = {NAME_ANNOTATION: name}
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": _without_empty(spec)}
        try:
            return await self.client.create(kind, obj)
        except AlreadyExists as error:
            raise AlreadyExists(f"Already exist error: {told} already exist. Please specify a new name.") from error


def object_name(name: str) -> str:
    """The name of the object for a name on the REST wire: itself where it can be, else one made of it."""
    return _hashed(name, name) if dns_subdomain(name) else name


def rest_name(obj: Tree) -> str:
    """The name of a pipeline or a version on the REST wire."""
    named = annotations_of(obj).get(NAME_ANNOTATION) or get_in(obj, "spec", "versionName", default="")
    return str(named or obj["metadata"]["name"])


def pipeline_id_of(version: Tree) -> str:
    """The id of a version's pipeline."""
    return labels_of(version).get(PIPELINE_ID_LABEL, "")


def _made_at(version: Tree) -> tuple[str, str, str]:
    """By what versions are in the order in which they were made."""
    seconds = version["metadata"]["creationTimestamp"]
    return seconds, annotations_of(version).get(CREATED_ANNOTATION, ""), uid_of(version)


def _check_tags(tags: Mapping[str, str]) -> None:
    if errors := tag_errors(tags):
        raise BadRequest(f"Invalid input error: {'; '.join(errors)}")


def _hashed(readable: str, unique: str) -> str:
    slug = _NOT_IN_NAMES.sub("-", readable.lower()).strip("-")[:_LONGEST].rstrip("-") or "pipeline"
    return f"{slug}-{hashlib.sha256(unique.encode()).hexdigest()[:8]}"


def _with_uid(objects: Sequence[Tree], uid: str, kind: str) -> Tree:
    for obj in objects:
        if uid_of(obj) == uid:
            return obj
    raise NotFound(f"ResourceNotFoundError: {kind} {uid} not found.")


def _without_empty(spec: Tree) -> Tree:
    return {key: value for key, value in spec.items() if value not in ("", {}, None)}
