"""Schemathesis sends what nobody would: there is no 5xx, and every answer is as the messages say."""

import asyncio
import json
import socket
from pathlib import Path

import pytest

from flowdeck.clock import SystemClock
from flowdeck.components.pipelines.api.surface import routes
from flowdeck.kube.objects import Tree
from flowdeck.serving import serve
from flowdeck.sql.database import Database
from flowdeck.web.routing import application
from flowdeck.web.rpc_errors import rpc_error
from tests.components.pipelines.api.conftest import http, parts_of
from tests.components.pipelines.api.openapi import document
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.sdk.conftest import environment
from tests.world.world import World

TOOL = "schemathesis==4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = "5"
"""Of each call, beside those that try each part of it once."""


async def known_ids(world: World, database: Database) -> Tree:
    """One of each: what a path may name."""
    made: Tree = {}
    document = a_pipeline({"nothing": a_component("pass")}, {"only": a_task("nothing")})
    async with http(world, database) as api:

        async def post(path: str, body: Tree, key: str) -> str:
            answer = await api.post(path, json=body)
            assert answer.status_code == 200, answer.text
            return str(made.setdefault(key, answer.json()[key]))

        await post("/experiments", {"display_name": "known"}, "experiment_id")
        pipeline = await post("/pipelines", {"name": "known"}, "pipeline_id")
        version = {"pipeline_id": pipeline, "name": "known", "pipeline_spec": document}
        await post(f"/pipelines/{pipeline}/versions", version, "pipeline_version_id")
        await post("/runs", {"display_name": "known", "pipeline_spec": document}, "run_id")
        trigger = {"periodic_schedule": {"interval_second": 3600}}
        recurring = {"display_name": "known", "pipeline_spec": document, "trigger": trigger, "max_concurrency": "1"}
        await post("/recurringruns", recurring, "recurring_run_id")
    return {**made, "name": "known"}


@pytest.mark.timeout(300)
async def test_no_request_breaks_the_surface(world: World, database: Database, tmp_path: Path) -> None:
    python = await asyncio.to_thread(environment, TOOL)
    parts = parts_of(world, database)
    served = routes(parts)
    schema = tmp_path / "openapi.json"
    schema.write_text(json.dumps(document(served, await known_ids(world, database))))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = asyncio.create_task(serve(application(served, parts.door, rpc_error), listener, SystemClock()))
    command = [
        python.parent / "schemathesis", "run", schema, "--url", url, "--checks", CHECKS, "--phases", "coverage,fuzzing",
        "--max-examples", EXAMPLES, "--no-shrink", "--continue-on-failure", "--warnings", "off",
        "--seed", "1",
    ]  # fmt: skip
    tool = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await tool.communicate()
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
    assert tool.returncode == 0, said.decode()
