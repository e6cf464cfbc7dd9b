"""What Pipeline and PipelineVersion objects are filled up with, and what is wrong with them.

A version belongs to a Pipeline of its namespace and holds a document that compiles; of it only the display name and the
tags ever change.

Source: kubeflow/pipelines (backend/src/crd/controller, backend/src/apiserver/webhook)
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flowdeck.client.base import Reader
from flowdeck.clock import Clock
from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir.document import Document, from_wire
from flowdeck.components.pipelines.kinds import (
    CREATED_ANNOTATION,
    PIPELINE,
    PIPELINE_ID_LABEL,
    PIPELINE_LABEL,
    PIPELINE_VERSION,
)
from flowdeck.components.pipelines.plan.compiler import compile_plan
from flowdeck.controller.admission import AdmissionRule, Review
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of, owner_reference, uid_of
from flowdeck.kube.times import format_micro_time

MAX_TAGS = 20
MAX_TAG = 63
MAX_LABEL = 63
_CHANGEABLE = ("displayName", "tags")


class VersionDefaulter:
    """Ties a version to its pipeline: labels by which it is found, and an owner with which it goes. Notes when it was
    made, so that of two versions of one second the later one is the latest.
    """

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
        pipeline = await _pipeline_of(obj, reader)
        if pipeline is None:
            return Review(obj=obj)
        metadata = obj["metadata"]
        metadata.setdefault("annotations", {})[CREATED_ANNOTATION] = format_micro_time(clock.now())
        labels = metadata.setdefault("labels", {})
        if len(name := pipeline["metadata"]["name"]) <= MAX_LABEL:  # for people: versions are found by the id
            labels[PIPELINE_LABEL] = name
        labels[PIPELINE_ID_LABEL] = uid_of(pipeline)
        owners = metadata.setdefault("ownerReferences", [])
        if all(owner.get("uid") != uid_of(pipeline) for owner in owners):
            owners.append(owner_reference(pipeline, controller=True, block_deletion=True))
        return Review(obj=obj)


class VersionValidator:
    """Refuses what could not run."""

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
        errors = [*tag_errors(get_in(obj, "spec", "tags") or {}), *_change_errors(obj, old)]
        if old is not None:
            return Review(obj=obj, errors=errors)
        if await _pipeline_of(obj, reader) is None:
            name = get_in(obj, "spec", "pipelineName", default="")
            namespace = key_of(obj).namespace
            errors.append(
                f"spec.pipelineName: there is no Pipeline {name!r} in namespace {namespace!r}: create it first"
            )
        if get_in(obj, "spec", "pipelineSpecURI", default="") == "":
            try:
                compile_plan(document_in(obj))
            except InvalidPipeline as error:
                errors.append(f"spec.pipelineSpec: {error.message}")
        return Review(obj=obj, errors=errors)


class PipelineValidator:
    """Refuses bad tags, and changes of what is fixed."""

    async def __call__(self, obj: Tree, old: Tree | None, *, reader: Reader, clock: Clock) -> Review:
        return Review(obj=obj, errors=tag_errors(get_in(obj, "spec", "tags") or {}))


def document_in(version: Tree) -> Document:
    """The document of a PipelineVersion object. Raises `InvalidPipeline`."""
    spec = version.get("spec") or {}
    platform = spec.get("platformSpec")
    wire = (
        {"pipeline_spec": spec.get("pipelineSpec"), "platform_spec": platform} if platform else spec.get("pipelineSpec")
    )
    return from_wire(wire)


def tag_errors(tags: Mapping[str, Any]) -> list[str]:
    """What is wrong with the tags of a pipeline or a version."""
    errors = [f"spec.tags: {len(tags)} tags are too many: at most {MAX_TAGS}"] if len(tags) > MAX_TAGS else []
    for key, value in tags.items():
        if not key or "." in key or len(key) > MAX_TAG:
            errors.append(f"spec.tags: the key {key!r} must be 1 to {MAX_TAG} characters without a dot")
        if len(str(value)) > MAX_TAG:
            errors.append(f"spec.tags[{key}]: the value has more than {MAX_TAG} characters")
    return errors


def rules() -> Sequence[AdmissionRule]:
    """The rules of both kinds."""
    return (
        AdmissionRule(
            name="pipelineversions.pipelines.kubeflow.org",
            configuration="pipelineversions.pipelines.kubeflow.org",
            path="/webhooks/mutate-pipelineversion",
            kind=PIPELINE_VERSION,
            phase="mutate",
            operations=("CREATE",),
            review=VersionDefaulter(),
        ),
        AdmissionRule(
            name="pipelineversions.pipelines.kubeflow.org",
            configuration="pipelineversions.pipelines.kubeflow.org",
            path="/webhooks/validate-pipelineversion",
            kind=PIPELINE_VERSION,
            phase="validate",
            review=VersionValidator(),
        ),
        AdmissionRule(
            name="pipelines.pipelines.kubeflow.org",
            configuration="pipelineversions.pipelines.kubeflow.org",
            path="/webhooks/validate-pipeline",
            kind=PIPELINE,
            phase="validate",
            review=PipelineValidator(),
        ),
    )


def _change_errors(obj: Tree, old: Tree | None) -> list[str]:
    if old is None:
        return []
    now, before = obj.get("spec") or {}, old.get("spec") or {}
    changed = [key for key in sorted({*now, *before} - set(_CHANGEABLE)) if now.get(key) != before.get(key)]
    return [
        f"spec.{key}: Pipeline spec is immutable; only metadata, displayName and tags can change" for key in changed
    ]


async def _pipeline_of(version: Tree, reader: Reader) -> Tree | None:
    name = get_in(version, "spec", "pipelineName", default="")
    return await reader.find(PIPELINE, ObjectKey(key_of(version).namespace, name)) if name else None
