"""An OpenAPI document of the REST surface: paths from its routing table, bodies and answers from its messages."""

import re
import types
import typing
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Annotated, Any, Union

from flowdeck.components.pipelines.api import artifact_messages, messages, reported_tasks, tasks
from flowdeck.components.pipelines.ir.proto_json import Message
from flowdeck.kube.objects import Tree
from flowdeck.web.routing import Route

BASE = "/apis/v2beta1"
BODIES: Mapping[tuple[str, str], type[Message]] = {
    ("POST", "/experiments"): messages.Experiment,
    ("POST", "/pipelines"): messages.Pipeline,
    ("POST", "/pipelines/create"): messages.CreatePipelineAndVersion,
    ("PATCH", "/pipelines/{pipeline_id}"): messages.Pipeline,
    ("POST", "/pipelines/{pipeline_id}/versions"): messages.PipelineVersion,
    ("PATCH", "/pipelines/{pipeline_id}/versions/{pipeline_version_id}"): messages.PipelineVersion,
    ("POST", "/runs"): messages.Run,
    ("POST", "/runs/{run_id}:retry"): messages.Retry,
    ("POST", "/recurringruns"): messages.RecurringRun,
    ("POST", "/recurringruns/{recurring_run_id}:backfill"): messages.Backfill,
    ("POST", "/artifacts"): artifact_messages.CreateArtifact,
    ("POST", "/artifacts:batchCreate"): artifact_messages.CreateArtifacts,
    ("POST", "/artifact_tasks"): artifact_messages.ArtifactTask,
    ("POST", "/artifact_tasks:batchCreate"): artifact_messages.ArtifactTasks,
    ("POST", "/tasks:findCached"): tasks.FindCached,
    ("POST", "/runs/{run_id}/tasks"): reported_tasks.ReportedTask,
    ("PATCH", "/runs/{run_id}/tasks/{task_id}"): reported_tasks.ReportedTask,
    ("POST", "/runs/{run_id}/tasks:batchUpdate"): reported_tasks.BatchUpdate,
}
ANSWERS: Mapping[tuple[str, str], type[Message]] = {
    **{
        (method, path): message
        for path, message in (
            ("/experiments/{experiment_id}", messages.Experiment),
            ("/pipelines/names/{name}", messages.Pipeline),
            ("/pipelines/{pipeline_id}", messages.Pipeline),
            ("/pipelines/{pipeline_id}/versions/{pipeline_version_id}", messages.PipelineVersion),
            ("/runs/{run_id}", messages.Run),
            ("/recurringruns/{recurring_run_id}", messages.RecurringRun),
            ("/artifacts/{artifact_id}", artifact_messages.Artifact),
        )
        for method in ("GET", "PATCH")
    },
    ("POST", "/experiments"): messages.Experiment,
    ("POST", "/pipelines"): messages.Pipeline,
    ("POST", "/pipelines/create"): messages.Pipeline,
    ("POST", "/pipelines/upload"): messages.Pipeline,
    ("POST", "/pipelines/upload_version"): messages.PipelineVersion,
    ("POST", "/pipelines/{pipeline_id}/versions"): messages.PipelineVersion,
    ("POST", "/runs"): messages.Run,
    ("POST", "/recurringruns"): messages.RecurringRun,
    ("POST", "/artifacts"): artifact_messages.Artifact,
    ("POST", "/artifact_tasks"): artifact_messages.ArtifactTask,
}
LISTS: Mapping[str, tuple[str, type[Message]]] = {
    "/experiments": ("experiments", messages.Experiment),
    "/pipelines": ("pipelines", messages.Pipeline),
    "/pipelines/{pipeline_id}/versions": ("pipeline_versions", messages.PipelineVersion),
    "/runs": ("runs", messages.Run),
    "/recurringruns": ("recurringRuns", messages.RecurringRun),
    "/artifacts": ("artifacts", artifact_messages.Artifact),
    "/artifact_tasks": ("artifact_tasks", artifact_messages.ArtifactTask),
}
"""Paths whose GET is a list: the answer's key, and what is in it."""
LIST_QUERY = ("namespace", "page_token", "page_size", "sort_by", "filter", "experiment_id", "view")
UPLOAD_QUERY = ("name", "display_name", "description", "namespace", "tags", "code_source_url", "pipelineid")
REFUSALS = ("400", "403", "404", "409", "413")
TEXT = {"type": "string"}
SCALARS: Mapping[type, Tree] = {
    str: TEXT,
    bool: {"type": "boolean"},
    int: {"type": ["integer", "string"]},
    float: {"type": "number"},
}
ERROR = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "integer"}, "message": TEXT, "details": {"type": "array"}},
}
UPLOAD_ERROR = {
    "type": "object",
    "required": ["error_message"],
    "properties": {"error_message": TEXT, "error_details": TEXT},
}


def document(routes: Sequence[Route], known: Mapping[str, str]) -> Tree:
    """The document of the routes below `BASE`; `known` are ids by the names that paths give them."""
    paths: dict[str, Tree] = {}
    for route in routes:
        if route.path.startswith(BASE):
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Pipelines", "version": "v2beta1"},
        "paths": paths,
        "components": {"schemas": {each.__name__: _message(each) for each in _all_messages()}},
    }


def _operation(route: Route, known: Mapping[str, str]) -> Tree:
    path = route.path.removeprefix(BASE)
    parameters = [_in_path(name, known) for name in re.findall(r"\{(\w+)(?::path)?\}", path)]
    names = LIST_QUERY if route.method == "GET" else ("cascade",) if route.method == "DELETE" else ()
    if "upload" in path:
        names = UPLOAD_QUERY
    parameters += [{"name": name, "in": "query", "schema": TEXT} for name in names]
    operation: Tree = {"parameters": parameters, "responses": _responses(route.method, path)}
    if "upload" in path:
        form = {"type": "object", "properties": {"uploadfile": {"type": "string", "format": "binary"}}}
        operation["requestBody"] = {"content": {"multipart/form-data": {"schema": form}}}
    elif body := BODIES.get((route.method, path)):
        operation["requestBody"] = _json(_reference(body))
    return operation


def _in_path(name: str, known: Mapping[str, str]) -> Tree:
    schema = {"enum": [known[name], "nobody's"]} if name in known else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _responses(method: str, path: str) -> Tree:
    error = UPLOAD_ERROR if "upload" in path else ERROR
    refusals: Tree = {status: {"description": "no", **_json(error)} for status in REFUSALS}
    if path.endswith(":download"):
        return {"200": {"description": "the content"}, **refusals}
    return {"200": {"description": "yes", **_json(_good(method, path))}, **refusals}


def _good(method: str, path: str) -> Tree:
    if method == "GET" and path in LISTS:
        key, message = LISTS[path]
        properties = {
            key: {"type": "array", "items": _reference(message)},
            "total_size": {"type": "integer"},
            "next_page_token": TEXT,
        }
        return {"type": "object", "properties": properties, "additionalProperties": False}
    answer = ANSWERS.get((method, path))
    return {"type": "object"} if answer is None else _reference(answer)


def _json(schema: Tree) -> Tree:
    return {"content": {"application/json": {"schema": schema}}}


def _reference(message: type[Message]) -> Tree:
    return {"$ref": f"#/components/schemas/{message.__name__}"}


def _all_messages() -> set[type[Message]]:
    """Those that the tables name, and those in them."""
    found: set[type[Message]] = set()
    open_ = [*BODIES.values(), *ANSWERS.values(), *(message for _, message in LISTS.values())]
    while open_:
        message = open_.pop()
        if message not in found:
            found.add(message)
            open_ += [inner for hint in typing.get_type_hints(message).values() for inner in _messages_in(hint)]
    return found


def _messages_in(hint: Any) -> list[type[Message]]:
    if isinstance(hint, type) and issubclass(hint, Message):
        return [hint]
    return [inner for argument in typing.get_args(hint) for inner in _messages_in(argument)]


def _message(message: type[Message]) -> Tree:
    hints = typing.get_type_hints(message, include_extras=True)
    return {"type": "object", "properties": {name: _schema(hints[name]) for name in message.__struct_fields__}}


def _schema(hint: Any) -> Tree:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return {"value": {}, "object": {"type": "object"}, "duration": TEXT}[hint.__metadata__[0]]
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return _schema(inner)
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    if issubclass(hint, IntEnum):
        return {"enum": [each.name for each in hint]}
    if issubclass(hint, Message):
        return _reference(hint)
    return SCALARS[hint]
