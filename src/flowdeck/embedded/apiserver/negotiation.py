"""In which form an answer is wanted (`Accept`) and a body is sent (`Content-Type`).

Served: JSON and YAML, whole objects, `Table` and `PartialObjectMetadata(List)`. Protobuf is read but not written, CBOR
neither: clients that ask for them list JSON as an alternative.

Source: k8s.io/apiserver (pkg/endpoints/handlers/negotiation, pkg/endpoints/handlers/response.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import orjson

from flowdeck.kube import protobuf, yaml_text
from flowdeck.kube.errors import BadRequest, NotAcceptable, UnsupportedMediaType
from flowdeck.kube.go_json import syntax_error
from flowdeck.kube.objects import Tree
from flowdeck.kube.yaml_text import MAX_DEPTH

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = protobuf.MEDIA_TYPE

Shape = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList", "APIGroupDiscoveryList"]

_META_SHAPES = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")


@dataclass(frozen=True)
class Form:
    """The form that a client accepts."""

    media: Literal["application/json", "application/yaml"] = "application/json"
    shape: Shape = ""
    """`""`: the object as it is."""
    version: str = ""
    """Of the shape: `v1` of meta.k8s.io, `v2` of apidiscovery.k8s.io."""

    @property
    def content_type(self) -> str:
        """For the answer; aggregated discovery says its shape, the others are plain."""
        if self.shape == "APIGroupDiscoveryList":
            return f"{self.media};g=apidiscovery.k8s.io;v={self.version};as={self.shape}"
        return self.media


@dataclass(frozen=True)
class _Clause:
    media: str
    parameters: Mapping[str, str]
    quality: float


@lru_cache(256)
def negotiate(accept: str, *, shapes: bool = True, discovery: bool = False) -> Form:
    """The first acceptable alternative of an `Accept` header; raises `NotAcceptable`.

    `shapes` says that tables and metadata are served there, `discovery` that aggregated discovery is.
    """
    if not accept.strip():
        return Form()
    clauses = sorted(_clauses(accept), key=lambda clause: -clause.quality)
    for clause in clauses:
        media = _media(clause.media)
        if media and (form := _form(media, clause.parameters, shapes, discovery)):
            return form
    if not any(_media(clause.media) or clause.media == PROTOBUF for clause in clauses):
        raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {JSON}, {YAML}, {JSON};stream=watch")
    raise NotAcceptable(f"only the following media types are accepted: {JSON}, {YAML}")


def _media(asked: str) -> Literal["application/json", "application/yaml"] | None:
    match asked:
        case "*/*" | "application/*" | "application/json":
            return "application/json"
        case "application/yaml":
            return "application/yaml"
    return None


def _form(
    media: Literal["application/json", "application/yaml"],
    parameters: Mapping[str, str],
    shapes: bool,
    discovery: bool,
) -> Form | None:
    shape, group, version = (parameters.get(name, "") for name in ("as", "g", "v"))
    if not shape:
        return Form(media)
    if shapes and shape in _META_SHAPES and group == "meta.k8s.io" and version in ("v1", "v1beta1"):
        return Form(media, shape, version)  # type: ignore[arg-type]
    if (
        discovery
        and shape == "APIGroupDiscoveryList"
        and group == "apidiscovery.k8s.io"
        and version in ("v2", "v2beta1")
    ):
        return Form(media, "APIGroupDiscoveryList", version)
    return None


def _clauses(accept: str) -> Iterator[_Clause]:
    for part in accept.split(","):
        media, *rest = (word.strip() for word in part.split(";"))
        parameters = dict(word.split("=", 1) for word in rest if "=" in word)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 1.0
        yield _Clause(media.lower(), parameters, quality)


def encode(tree: Tree, media: str) -> bytes:
    """The bytes of an answer."""
    if media == YAML:
        import yaml

        return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
    return orjson.dumps(tree)


def decode(body: bytes, content_type: str, *, accepted: tuple[str, ...] = (JSON, YAML, PROTOBUF)) -> Any:
    """What a body says. Raises `UnsupportedMediaType` and, for text that is not what it claims, `BadRequest`."""
    media = content_type.partition(";")[0].strip().lower() or JSON
    if media not in accepted:
        raise UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: " + ", ".join(accepted)
        )
    if media.endswith("json"):
        try:
            tree = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            told = syntax_error(body) or str(error)
            raise BadRequest(f"couldn't get version/kind; json parse error: {told}") from error
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
            _refuse_depth(tree)
        return tree
    if media == PROTOBUF:
        try:
            return protobuf.decode(body)
        except ValueError as error:
            raise BadRequest(str(error)) from error
    try:
        return yaml_text.load(body)
    except yaml_text.YamlError as error:
        raise BadRequest(f"error parsing YAML: {error}") from error


def _refuse_depth(tree: Any) -> None:
    """Raises `BadRequest` for what is nested deeper than anybody needs: most of what is done to objects recurses."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        parts = [part for each in level for part in (each.values() if isinstance(each, dict) else each)]
        level = [part for part in parts if isinstance(part, dict | list)]
        if not level:
            return
    raise BadRequest(f"couldn't get version/kind; json parse error: exceeded max depth of {MAX_DEPTH}")


def metadata_only(obj: Tree, version: str = "v1") -> Tree:
    """The object's `PartialObjectMetadata`."""
    return {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}", "metadata": obj["metadata"]}
