"""OpenAPI documents of what is served: `/openapi/v3` (a document a group version) and `/openapi/v2` (all in one).

Made when first asked for and kept until the registry changes. `kubectl explain` reads schemas and paths here, `kubectl
apply` reads merge keys, and which query parameters a PATCH takes.

Not served: the protobuf forms (406; clients fall back to JSON). Descriptions are not carried for built-in kinds.

Source: k8s.io/kube-openapi (pkg/handler, pkg/handler3), k8s.io/apiserver (pkg/endpoints/installer.go).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource
from flowdeck.embedded.apiserver.discovery import VERSION, Resources
from flowdeck.kube import openapi
from flowdeck.kube.errors import NotAcceptable, page_not_found
from flowdeck.kube.objects import Kind, Tree

_REF = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_LIST_META = f"{_META}.ListMeta"
_OBJECT_META = f"{_META}.ObjectMeta"
_DELETE_OPTIONS = f"{_META}.DeleteOptions"
_STATUS = f"{_META}.Status"
_PATCH = f"{_META}.Patch"
_JSON = "application/json"
_PATCHES_OF_CUSTOM = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_PATCHES = (*_PATCHES_OF_CUSTOM, "application/strategic-merge-patch+json")
"""kubectl apply sends a strategic merge patch where the document offers it."""
_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


class OpenApi:
    """Answers `/openapi/v3`, `/openapi/v3/<group version>` and `/openapi/v2`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._generation = -1
        self._documents: dict[str, bytes] = {}
        self._hashes: dict[str, str] = {}

    def answer(self, info: RequestInfo) -> Answer | None:
        """The answer, or None for a path that is not ours. Raises `NotFound`, `NotAcceptable`."""
        if not info.path.startswith("/openapi/"):
            return None
        self._forget_if_changed()
        match info.path.strip("/").split("/", 2)[1:]:
            case ["v2"]:
                return self._v2(info)
            case ["v3"]:
                return Answer(obj={"paths": {name: {"serverRelativeURL": self._url(name)} for name in self._names()}})
            case ["v3", name] if name in self._names():
                return self._v3(info, name)
        raise page_not_found()

    def _forget_if_changed(self) -> None:
        if self._generation != self._resources.generation:
            self._generation = self._resources.generation
            self._documents.clear()
            self._hashes.clear()

    def _names(self) -> list[str]:
        return list(dict.fromkeys(resource.kind.path.removeprefix("/") for resource in self._resources))

    def _of(self, name: str) -> list[Resource]:
        return [resource for resource in self._resources if resource.kind.path == f"/{name}"]

    def _url(self, name: str) -> str:
        return f"/openapi/v3/{name}?hash={self._hash(name)}"

    def _hash(self, name: str) -> str:
        """Says whether a document changed without making it: built-in ones never do, custom ones with their schemas."""
        found = self._hashes.get(name)
        if found is None:
            digest = hashlib.sha512(f"{VERSION['gitVersion']} {name}".encode())
            for resource in self._of(name):
                if resource.is_custom:
                    digest.update(orjson.dumps(resource.schema.tree))
            found = self._hashes[name] = digest.hexdigest().upper()
        return found

    def _v3(self, info: RequestInfo, name: str) -> Answer:
        current = self._hash(name)
        asked = info.query.get("hash", "")
        if asked and asked != current:
            return Answer(raw=b"", code=301, headers={"Location": self._url(name)})
        headers = {"ETag": f'"{current}"', "Vary": "Accept"}
        if asked:
            headers["Cache-Control"] = "public, immutable"
        if info.headers.get("if-none-match") == headers["ETag"]:
            return Answer(raw=b"", code=304, headers=headers)
        if name not in self._documents:
            self._documents[name] = orjson.dumps(document_v3(self._of(name)))
        return Answer(raw=self._documents[name], headers=headers)

    def _v2(self, info: RequestInfo) -> Answer:
        accept = info.headers.get("accept", "")
        if _PROTOBUF in accept:
            return Answer(raw=_document_v2_without_schemas(), content_type=_PROTOBUF.replace("@", "."))
        if accept and not any(kind in accept for kind in ("*/*", "application/*", _JSON)):
            raise NotAcceptable(f"only the following media types are accepted: {_JSON}")
        if "v2" not in self._documents:
            self._documents["v2"] = orjson.dumps(document_v2(list(self._resources)))
        body = self._documents["v2"]
        return Answer(raw=body, headers={"ETag": f'"{hashlib.sha512(body).hexdigest().upper()}"'})


def document_v3(resources: Iterable[Resource]) -> Tree:
    """The OpenAPI 3.0 document of one group version."""
    listed = list(resources)
    paths = {path: item for resource in listed for path, item in _paths(resource, _Dialect3())}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "components": {"schemas": _schemas(listed)},
    }


def document_v2(resources: Iterable[Resource]) -> Tree:
    """The Swagger 2.0 document of everything."""
    listed = list(resources)
    paths = {path: item for resource in listed for path, item in _paths(resource, _Dialect2())}
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": paths,
        "definitions": {name: _as_v2(tree) for name, tree in _schemas(listed).items()},
    }


def _document_v2_without_schemas() -> bytes:
    """The v2 document in protobuf (`swagger` is field 1, `info` 2: `title` 1, `version` 2). kubectl reads it only where
    v3 does not help, for kinds that are not served: it finds no schema, and goes on to say so."""

    def text(field: int, value: bytes) -> bytes:
        return bytes([field << 3 | 2, len(value)]) + value

    return text(1, b"2.0") + text(2, text(1, b"Kubernetes") + text(2, VERSION["gitVersion"].encode()))


# -- schemas


def schema_name(resource: Resource) -> str:
    """`io.k8s.api.apps.v1.Deployment`; for a custom kind the group backwards: `org.kubeflow.v1.TrainJob`."""
    kind = resource.kind
    if not resource.is_custom:
        return resource.schema.name
    return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def _schemas(resources: Iterable[Resource]) -> Mapping[str, Tree]:
    """All schemas that these resources need, references followed."""
    found: dict[str, Tree] = {}
    for resource in resources:
        name = schema_name(resource)
        found[name] = _custom(resource) if resource.is_custom else resource.schema.tree
        for sub in resource.subresources.values():
            if (sub_name := _definition(sub.kind)) is not None:
                found[sub_name] = openapi.definitions()[sub_name]
        if "list" in resource.verbs:
            found[f"{name}List"] = _list_of(resource, name)
    for name in (_DELETE_OPTIONS, _STATUS):
        found[name] = openapi.definitions()[name]
    found[_PATCH] = {"type": "object"}
    _follow(found)
    return dict(sorted(found.items()))


def _follow(found: dict[str, Tree]) -> None:
    """Adds what is referred to, until nothing is missing."""
    todo = list(found.values())
    while todo:
        for name in _references(todo.pop()):
            if name not in found and name in openapi.definitions():
                found[name] = openapi.definitions()[name]
                todo.append(found[name])


def _references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        target = tree.get("$ref")
        if isinstance(target, str) and target.startswith(_REF):
            yield target.removeprefix(_REF)
        for value in tree.values():
            yield from _references(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _references(value)


def _definition(kind: Kind) -> str | None:
    try:
        return openapi.schema_for(kind).name
    except KeyError:
        return None


def _gvk(kind: Kind, suffix: str = "") -> Tree:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind + suffix}


def _custom(resource: Resource) -> Tree:
    tree = resource.schema.tree
    own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": _REF + _OBJECT_META}}
    return {
        **tree,
        "properties": {**tree.get("properties", {}), **own},
        "x-kubernetes-group-version-kind": [_gvk(resource.kind)],
    }


def _list_of(resource: Resource, name: str) -> Tree:
    known = openapi.definitions().get(f"{name}List")
    return known or {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": _REF + _LIST_META},
            "items": {"type": "array", "items": {"$ref": _REF + name}},
        },
        "x-kubernetes-group-version-kind": [_gvk(resource.kind, "List")],
    }


def _as_v2(tree: Any) -> Any:
    """A v3 schema in Swagger's dialect: other references, no single-item allOf, no oneOf."""
    if isinstance(tree, list):
        return [_as_v2(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "$ref" in tree and isinstance(tree["$ref"], str):
        return {"$ref": tree["$ref"].replace(_REF, "#/definitions/")}
    parts = tree.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and "$ref" in parts[0]:
        return _as_v2(parts[0])
    if "oneOf" in tree and isinstance(tree["oneOf"], list):
        return {"type": "string", **({"format": tree["format"]} if "format" in tree else {})}
    return {key: _as_v2(value) for key, value in tree.items() if key not in ("nullable", "default")}


# -- paths


class _Dialect3:
    """How OpenAPI 3 writes parameters, bodies and answers."""

    def query(self, name: str, kind: str) -> Tree:
        return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}

    def in_path(self, name: str) -> Tree:
        return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}

    def body(self, name: str, media: Iterable[str]) -> Tree:
        content = {kind: {"schema": {"$ref": _REF + name}} for kind in media}
        return {"requestBody": {"content": content, "required": True}}

    def answers(self, name: str) -> Tree:
        content = {_JSON: {"schema": {"$ref": _REF + name}}}
        return {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}}

    def consumes(self, media: Iterable[str]) -> Tree:
        return {}


class _Dialect2(_Dialect3):
    """How Swagger 2 does."""

    def query(self, name: str, kind: str) -> Tree:
        return {"name": name, "in": "query", "type": kind, "uniqueItems": True}

    def in_path(self, name: str) -> Tree:
        return {"name": name, "in": "path", "required": True, "type": "string", "uniqueItems": True}

    def body(self, name: str, media: Iterable[str]) -> Tree:
        return {"body": {"name": "body", "in": "body", "required": True, "schema": {"$ref": f"#/definitions/{name}"}}}

    def answers(self, name: str) -> Tree:
        answer = {"description": "OK", "schema": {"$ref": f"#/definitions/{name}"}}
        return {"200": answer, "401": {"description": "Unauthorized"}}

    def consumes(self, media: Iterable[str]) -> Tree:
        return {"consumes": list(media), "produces": [_JSON]}


_WRITE = (("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"))
_LIST = (
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
)
_DELETE = (("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string"))
_PARAMETERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "get": (),
    "list": _LIST,
    "deletecollection": (*_LIST, *_DELETE),
    "create": _WRITE,
    "update": _WRITE,
    "patch": (*_WRITE, ("force", "boolean")),
    "delete": _DELETE,
}
_ON_COLLECTION = {"list": "get", "create": "post", "deletecollection": "delete"}
_ON_OBJECT = {"get": "get", "update": "put", "patch": "patch", "delete": "delete", "create": "post"}


def _paths(resource: Resource, dialect: _Dialect3) -> Iterator[tuple[str, Tree]]:
    kind = resource.kind
    space = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"{kind.path}{space}/{kind.plural}"
    scope = ["namespace"] if kind.namespaced else []
    name = schema_name(resource)
    if kind.namespaced and "list" in resource.verbs:
        yield f"{kind.path}/{kind.plural}", _item(resource, resource.verbs, {"list": "get"}, kind, name, [], dialect)
    yield collection, _item(resource, resource.verbs, _ON_COLLECTION, kind, name, scope, dialect)
    one = {verb: method for verb, method in _ON_OBJECT.items() if verb != "create"}
    if "get" in resource.verbs:
        yield f"{collection}/{{name}}", _item(resource, resource.verbs, one, kind, name, ["name", *scope], dialect)
    for sub_name, sub in resource.subresources.items():
        body = _definition(sub.kind) or name
        yield (
            f"{collection}/{{name}}/{sub_name}",
            _item(resource, sub.verbs, _ON_OBJECT, sub.kind, body, ["name", *scope], dialect),
        )


def _item(
    resource: Resource,
    verbs: Iterable[str],
    methods: Mapping[str, str],
    kind: Kind,
    schema: str,
    in_path: Iterable[str],
    dialect: _Dialect3,
) -> Tree:
    patches = _PATCHES_OF_CUSTOM if resource.is_custom else _PATCHES
    item: Tree = {
        method: _operation(verb, kind, schema, patches, dialect) for verb, method in methods.items() if verb in verbs
    }
    item["parameters"] = [*(dialect.in_path(name) for name in in_path), dialect.query("pretty", "string")]
    return item


_ACTIONS = {"update": "put", "create": "post"}


def _operation(verb: str, kind: Kind, schema: str, patches: Iterable[str], dialect: _Dialect3) -> Tree:
    parameters = [dialect.query(name, type_) for name, type_ in _PARAMETERS[verb]]
    operation: Tree = {"x-kubernetes-action": _ACTIONS.get(verb, verb), "x-kubernetes-group-version-kind": _gvk(kind)}
    if verb in ("create", "update", "patch"):
        media = patches if verb == "patch" else ("*/*",)
        body = dialect.body(_PATCH if verb == "patch" else schema, media)
        if "body" in body:
            parameters.append(body["body"])
        else:
            operation |= body
        operation |= dialect.consumes(media)
    operation["parameters"] = parameters
    operation["responses"] = dialect.answers(_answer_schema(verb, schema))
    return operation


def _answer_schema(verb: str, schema: str) -> str:
    if verb in ("delete", "deletecollection"):
        return _STATUS
    return f"{schema}List" if verb == "list" else schema
