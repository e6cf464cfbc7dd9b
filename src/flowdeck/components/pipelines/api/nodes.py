"""What a run's tasks leave behind: `/runs/{run_id}/nodes/{node_id}`, logs and contents of artifacts.

A node is a task, one of its attempts (both by `task_id` of wire A), or a pod by its name.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto, backend/src/apiserver/server/run_server.go)
"""

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flowdeck.components.pipelines.api.messages import reply
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.plain_errors import plain_error
from flowdeck.components.pipelines.api.task_details import attempt_id
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.engine.task_run import Attempt
from flowdeck.components.pipelines.runner.pods import MAIN
from flowdeck.components.pipelines.runner.task_pods import LOG, root_of_attempt
from flowdeck.components.pipelines.store import runs
from flowdeck.components.pipelines.store.artifacts import is_made_by
from flowdeck.components.pipelines.store.runs import Run
from flowdeck.kube.errors import BadRequest, Forbidden, NotFound
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey
from flowdeck.web.routing import Needs, Route

MAX_READ = 32 * 1024 * 1024
"""Bytes of an artifact in one JSON answer."""


@dataclass(frozen=True)
class Nodes:
    """The handlers; see `routes`."""

    parts: Parts

    def routes(self) -> list[Route]:
        node = "runs/{run_id}/nodes/{node_id}"
        of_run = self.parts.tenancy.owned_by(self._namespace_of)
        reads, looks = Needs("readArtifact", "runs", of_run), Needs("get", "runs", of_run)
        return [
            Route("GET", f"/apis/v1alpha1/{node}/log", self.log, looks, plain_error),
            Route("GET", f"/apis/v2beta1/{node}/artifacts/{{artifact_name}}:read", self.read, reads),
        ]

    async def log(self, request: Request) -> Response:
        """`?follow=true` goes on until the program ends. Of a pod that is gone: what was kept of it."""
        node = await self._node(request)
        query = {"container": MAIN}
        if request.query_params.get("follow") == "true":
            query["follow"] = "true"
        attempt = node.attempt
        if attempt is None:
            raise NotFound(f"ResourceNotFoundError: task {node.record.name} had no pod: its log was not found.")
        path = POD.url(ObjectKey(node.run.namespace, attempt.pod), subresource="log")
        try:
            async with AsyncExitStack() as stack:
                pieces = await stack.enter_async_context(self.parts.client.stream(path, query=query))
                return StreamingResponse(_until_the_end(pieces, stack.pop_all()), media_type="text/plain")
        except NotFound:
            return Response(await self._kept_log(node, attempt), media_type="text/plain")

    async def read(self, request: Request) -> Response:
        """`artifact_name` is the key of an output; the first artifact of several."""
        node = await self._node(request)
        record = node.record
        name = request.path_params["artifact_name"]
        found = next((each.artifacts for each in record.output_artifacts if each.key == name), None)
        if not found:
            raise NotFound(f"ResourceNotFoundError: task {record.name} has no artifact {name}: not found.")
        if self.parts.tenancy.multi_user and not is_made_by(record, found[0].uri):
            raise Forbidden(f"artifact {name} was not made by task {record.name}, so whose its content is nobody knows")
        store, uri = await self.parts.homes.contents(node.run.namespace, found[0].uri)
        info = await store.find(uri)
        if info is None:
            raise NotFound(f"ResourceNotFoundError: there is no file at {uri}: not found.")
        if info.size > MAX_READ:
            raise BadRequest(f"Invalid input error: {uri} has {info.size} bytes, more than {MAX_READ}: download it")
        return reply({"data": base64.b64encode(await store.get(uri)).decode()})

    # ----------------------------------------------------------------------------------------------------------

    async def _kept_log(self, node: "Node", attempt: Attempt) -> bytes:
        """Raises `NotFound`."""
        run, record = node.run, node.record
        root = root_of_attempt(run, node.pipeline, record.name, record.label, attempt.number)
        home = await self.parts.homes.home(run.namespace, root)
        return await home.get(LOG)

    async def _node(self, request: Request) -> "Node":
        """Raises `NotFound`."""
        run_id, node_id = str(request.path_params["run_id"]), str(request.path_params["node_id"])
        return await self.parts.database.read(lambda connection: _found(connection, run_id, node_id))

    async def _namespace_of(self, request: Request) -> str:
        run_id = str(request.path_params["run_id"])
        return (await self.parts.database.read(lambda connection: runs.get(connection, run_id))).namespace


@dataclass(frozen=True)
class Node:
    """A task, and one of its attempts that had a pod: the one that is meant, else the last."""

    run: Run
    pipeline: str
    record: TaskRecord
    attempt: Attempt | None


def _found(connection: Connection, run_id: str, node_id: str) -> Node:
    """Raises `NotFound`."""
    run = runs.get(connection, run_id)
    pipeline = runs.document(connection, run.document).name
    for record in runs.tasks(connection, run_id):
        attempts = [attempt for attempt in record.attempts if attempt.pod]
        if node_id == record.id:
            return Node(run, pipeline, record, attempts[-1] if attempts else None)
        for attempt in attempts:
            if node_id in (attempt.pod, attempt_id(record, attempt)):
                return Node(run, pipeline, record, attempt)
    raise NotFound(f"ResourceNotFoundError: Node {node_id} of run {run_id} not found.")


async def _until_the_end(pieces: AsyncIterator[bytes], stream: AsyncExitStack) -> AsyncIterator[bytes]:
    async with stream:
        async for piece in pieces:
            yield piece
