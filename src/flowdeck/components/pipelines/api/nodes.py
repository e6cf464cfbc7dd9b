"""What a run's tasks leave behind: `/runs/{run_id}/nodes/{node_id}`, logs and contents of artifacts.

A node is a task, one of its attempts (both by `task_id` of wire A), or a pod by its name.

Source: kubeflow/pipelines (backend/api/v2beta1/run.proto, backend/src/apiserver/server/run_server.go)
"""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.client.base import Client
from flowdeck.components.pipelines.api.messages import reply
from flowdeck.components.pipelines.api.plain_errors import with_plain_errors
from flowdeck.components.pipelines.api.task_details import attempt_id
from flowdeck.components.pipelines.api.tenancy import Tenancy
from flowdeck.components.pipelines.engine.records import TaskRecord
from flowdeck.components.pipelines.runner.pods import MAIN
from flowdeck.components.pipelines.store import runs
from flowdeck.kube.errors import BadRequest, NotFound
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import ObjectKey
from flowdeck.sql.database import Database
from flowdeck.web.routing import Needs, Route

MAX_READ = 32 * 1024 * 1024
"""Bytes of an artifact in one JSON answer."""


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """The handlers; see `routes`."""

    database: Database
    client: Client
    contents: Artifacts
    tenancy: Tenancy

    def routes(self) -> list[Route]:
        node = "runs/{run_id}/nodes/{node_id}"
        of_run = self.tenancy.owned_by(self._namespace_of)
        reads, looks = Needs("readArtifact", "runs", of_run), Needs("get", "runs", of_run)
        return [
            Route("GET", f"/apis/v1alpha1/{node}/log", with_plain_errors(self.log), looks),
            Route("GET", f"/apis/v2beta1/{node}/artifacts/{{artifact_name}}:read", self.read, reads),
        ]

    async def log(self, request: Request) -> Response:
        """`?follow=true` goes on until the program ends."""
        pod = await self._pod(request)
        query = {"container": MAIN}
        if request.query_params.get("follow") == "true":
            query["follow"] = "true"
        async with AsyncExitStack() as stack:
            pieces = await stack.enter_async_context(self.client.stream(POD.url(pod, subresource="log"), query=query))
            return StreamingResponse(_until_the_end(pieces, stack.pop_all()), media_type="text/plain")

    async def read(self, request: Request) -> Response:
        """`artifact_name` is the key of an output; the first artifact of several."""
        record, _ = await self._node(request)
        name = request.path_params["artifact_name"]
        found = next((each.artifacts for each in record.output_artifacts if each.key == name), None)
        if not found:
            raise NotFound(f"ResourceNotFoundError: task {record.name} has no artifact {name}: not found.")
        uri = found[0].uri
        info = await self.contents.find(uri)
        if info is None:
            raise NotFound(f"ResourceNotFoundError: there is no file at {uri}: not found.")
        if info.size > MAX_READ:
            raise BadRequest(f"Invalid input error: {uri} has {info.size} bytes, more than {MAX_READ}: download it")
        return reply({"data": base64.b64encode(await self.contents.get(uri)).decode()})

    # ----------------------------------------------------------------------------------------------------------

    async def _pod(self, request: Request) -> ObjectKey:
        """The last one of a task, or that of an attempt. Raises `NotFound`."""
        record, pod = await self._node(request)
        if not pod:
            raise NotFound(f"ResourceNotFoundError: task {record.name} had no pod, so its log was not found.")
        return ObjectKey(await self._namespace_of(request), pod)

    async def _node(self, request: Request) -> tuple[TaskRecord, str]:
        """The task, and the pod that is meant, `""` where it had none. Raises `NotFound`."""
        run_id, node_id = str(request.path_params["run_id"]), str(request.path_params["node_id"])
        for record in await self.database.read(lambda connection: _tasks(connection, run_id)):
            pods = [attempt.pod for attempt in record.attempts if attempt.pod]
            if node_id == record.id:
                return record, pods[-1] if pods else ""
            for attempt in record.attempts:
                if attempt.pod and node_id in (attempt.pod, attempt_id(record, attempt)):
                    return record, attempt.pod
        raise NotFound(f"ResourceNotFoundError: Node {node_id} of run {run_id} not found.")

    async def _namespace_of(self, request: Request) -> str:
        run_id = str(request.path_params["run_id"])
        return (await self.database.read(lambda connection: runs.get(connection, run_id))).namespace


def _tasks(connection: Connection, run_id: str) -> Sequence[TaskRecord]:
    runs.get(connection, run_id)
    return runs.tasks(connection, run_id)


async def _until_the_end(pieces: AsyncIterator[bytes], stream: AsyncExitStack) -> AsyncIterator[bytes]:
    async with stream:
        async for piece in pieces:
            yield piece
