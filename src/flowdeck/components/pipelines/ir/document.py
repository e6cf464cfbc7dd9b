"""One uploaded pipeline: its trees as they came, and the messages in them.

    document = parse(text_of(data, "pipeline.zip"))     # a file; raises InvalidPipeline
    document = from_wire(body["pipeline_spec"])         # what the API takes and gives
    document.wire                                       # deep-equal to what was uploaded

What is refused here is wrong with the document as such; `plan.compiler` finds what is wrong between its parts.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from flowdeck.components.pipelines.errors import InvalidPipeline
from flowdeck.components.pipelines.ir.proto_json import decode
from flowdeck.components.pipelines.ir.types import PipelineSpec, SinglePlatformSpec
from flowdeck.kube.objects import Tree
from flowdeck.kube.yaml_text import YamlError, load_all

SCHEMA_VERSION: Final = "2.1.0"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_SPEC_KEYS = ("pipelineInfo", "pipeline_info")
_PLATFORM_KEYS = ("platforms",)
_RECOMPILE = "compile the pipeline with kfp 2.0 or newer and upload the result"


@dataclass(frozen=True)
class Document:
    """A pipeline's document; equal when the trees are."""

    spec_tree: Tree
    """The PipelineSpec as it came. Read-only."""
    platform_tree: Tree | None = None
    """The PlatformSpec as it came, when it says something of Kubernetes. Read-only."""

    @cached_property
    def spec(self) -> PipelineSpec:
        """The messages in `spec_tree`; `parse` and `from_wire` have checked that they can be read."""
        return decode(PipelineSpec, self.spec_tree, "")

    @cached_property
    def kubernetes(self) -> SinglePlatformSpec:
        """What the document says of Kubernetes; empty when it says nothing."""
        platforms = (self.platform_tree or {}).get("platforms") or {}
        return decode(SinglePlatformSpec, platforms.get("kubernetes") or {}, "platforms.kubernetes")

    @property
    def name(self) -> str:
        return self.spec.pipeline_info.name

    @property
    def wire(self) -> Tree:
        """`pipeline_spec` of the API: the bare spec, or both parts when there is one for Kubernetes."""
        if self.platform_tree is None:
            return self.spec_tree
        return {"pipeline_spec": self.spec_tree, "platform_spec": self.platform_tree}


def parse(text: str) -> Document:
    """The document in the text of a file, YAML or JSON; raises `InvalidPipeline`."""
    try:
        parts = [part for part in load_all(text) if part is not None]
    except YamlError as error:
        raise InvalidPipeline(f"Invalid input error: the pipeline file is no YAML: {error}") from error
    if not parts:
        raise InvalidPipeline(f"Invalid input error: the pipeline file holds no document; {_RECOMPILE}")
    specs = [part for part in parts if _has(part, _SPEC_KEYS)]
    platforms = [part for part in parts if _has(part, _PLATFORM_KEYS)]
    strange = [part for part in parts if not _has(part, (*_SPEC_KEYS, *_PLATFORM_KEYS))]
    if strange:
        raise _not_a_pipeline(strange[0])
    if len(specs) != 1:
        raise InvalidPipeline(
            f"Invalid input error: the file holds {len(specs)} pipelines; it must hold one (`pipelineInfo`)"
        )
    kubernetes = [part for part in platforms if "kubernetes" in (part["platforms"] or {})]
    if len(kubernetes) > 1:
        raise InvalidPipeline("Invalid input error: the file holds more than one platform document for kubernetes")
    return _checked(Document(specs[0], kubernetes[0] if kubernetes else None))


def from_wire(tree: Any) -> Document:
    """The document in `pipeline_spec` of the API, in either form; raises `InvalidPipeline`."""
    if isinstance(tree, dict) and ("pipeline_spec" in tree or "pipelineSpec" in tree):
        spec: Any = tree.get("pipeline_spec", tree.get("pipelineSpec"))
        platform = tree.get("platform_spec", tree.get("platformSpec")) or None
        if not _has(spec, _SPEC_KEYS):
            raise _not_a_pipeline(spec)
        if platform is not None and not _has(platform, _PLATFORM_KEYS):
            raise InvalidPipeline("Invalid input error: platform_spec must hold `platforms`")
        return _checked(Document(spec, platform))
    if not _has(tree, _SPEC_KEYS):
        raise _not_a_pipeline(tree)
    return _checked(Document(tree))


def _has(part: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(part, dict) and any(isinstance(part.get(key), dict) for key in keys)


def _not_a_pipeline(part: Any) -> InvalidPipeline:
    if isinstance(part, dict) and str(part.get("apiVersion", "")).startswith("argoproj.io/"):
        return InvalidPipeline(
            f"Invalid input error: this is an Argo workflow of the kfp 1 SDK, which does not run here; {_RECOMPILE}"
        )
    return InvalidPipeline(
        f"Invalid input error: the document is no pipeline: it has no `pipelineInfo.name`; {_RECOMPILE}"
    )


def _checked(document: Document) -> Document:
    try:
        spec = document.spec
        _ = document.kubernetes
    except InvalidPipeline as error:
        raise InvalidPipeline(f"Invalid input error: invalid pipeline spec: {error}") from error
    if not spec.pipeline_info.name:
        raise InvalidPipeline("Invalid input error: invalid pipeline spec: pipelineInfo.name is empty")
    if _NAME.fullmatch(spec.pipeline_info.name) is None:
        raise InvalidPipeline(
            f"Invalid input error: invalid pipeline spec: pipelineInfo.name is {spec.pipeline_info.name!r}; it must "
            "be 1 to 128 lower-case letters, digits and dashes, and start with a letter or digit"
        )
    if spec.schema_version != SCHEMA_VERSION:
        raise InvalidPipeline(
            f"Invalid input error: invalid pipeline spec: schemaVersion is {spec.schema_version!r}, and only "
            f"{SCHEMA_VERSION} can run; {_RECOMPILE}"
        )
    if spec.root is None:
        raise InvalidPipeline("Invalid input error: invalid pipeline spec: `root` is missing")
    return document
