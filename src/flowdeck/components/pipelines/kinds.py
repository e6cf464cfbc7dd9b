"""Pipelines and their versions as Kubernetes objects (`pipelines.kubeflow.org/v2beta1`): the store of both.

An object's uid is its id on the REST wire, its name the pipeline's. A REST name that cannot be an object's name is kept
in `NAME_ANNOTATION`; the object then is called by a name made of it.

Source: kubeflow/pipelines (backend/src/crd/kubernetes/v2beta1)
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Struct

from flowdeck.kube.crd import Field, Version, definition
from flowdeck.kube.objects import Kind, Tree

GROUP: Final = "pipelines.kubeflow.org"
VERSION: Final = "v2beta1"

PIPELINE = Kind(GROUP, VERSION, "Pipeline", "pipelines")
PIPELINE_VERSION = Kind(GROUP, VERSION, "PipelineVersion", "pipelineversions")

PIPELINE_LABEL: Final = "pipelines.kubeflow.org/pipeline"
"""On a version: the name of its pipeline's object."""
PIPELINE_ID_LABEL: Final = "pipelines.kubeflow.org/pipeline-id"
"""On a version: the uid of its pipeline."""
NAME_ANNOTATION: Final = "pipelines.flowdeck.dev/name"
"""The name on the REST wire, where the object's own name cannot be it."""
CREATED_ANNOTATION: Final = "pipelines.flowdeck.dev/created-at"
"""On a version: when it was made, to the microsecond; the object itself tells seconds."""


class _Wire(Struct, rename="camel", frozen=True, kw_only=True, omit_defaults=True):
    pass


class PipelineSpec(_Wire, frozen=True):
    """A named container of versions."""

    display_name: str = ""
    description: str = ""
    tags: dict[str, str] | None = None


class PipelineVersionSpec(_Wire, frozen=True):
    """One document; only `display_name` and `tags` ever change."""

    pipeline_spec: Annotated[Any, Field(schema={"x-kubernetes-preserve-unknown-fields": True}, required=True)]
    """The PipelineSpec of the IR, as it was uploaded."""
    pipeline_name: str = ""
    """Name of the Pipeline object in the same namespace."""
    version_name: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([a-z0-9\.\-]*[a-z0-9])?$")] = ""
    display_name: str = ""
    description: str = ""
    code_source_url: str = msgspec.field(default="", name="codeSourceURL")
    platform_spec: Annotated[Any, Field(schema={"x-kubernetes-preserve-unknown-fields": True})] = None
    pipeline_spec_uri: str = msgspec.field(default="", name="pipelineSpecURI")
    tags: dict[str, str] | None = None


class VersionCondition(_Wire, frozen=True):
    """Whether the document can be used."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        ),
    ]
    status: Annotated[str, Field(schema={"enum": ["True", "False", "Unknown"]})]
    reason: str
    message: Annotated[str, Field(max_length=32768)]


class PipelineVersionStatus(_Wire, frozen=True):
    conditions: list[VersionCondition] | None = None


def definitions() -> list[Tree]:
    """The CustomResourceDefinitions of both."""
    return [
        definition(PIPELINE, [Version(VERSION, spec=PipelineSpec)]),
        definition(PIPELINE_VERSION, [Version(VERSION, spec=PipelineVersionSpec, status=PipelineVersionStatus)]),
    ]
