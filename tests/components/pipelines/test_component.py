"""The component as a platform composes it: a recurring run's runs start, end, are told of, archived and removed.

Its pipeline has no tasks, so nothing runs in pods.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flowdeck.components.base import Context
from flowdeck.components.pipelines.component import COMPONENT
from flowdeck.components.pipelines.ir.document import from_wire
from flowdeck.components.pipelines.kinds import definitions
from flowdeck.components.pipelines.late import MIGRATIONS, RECURRING_RUNS
from flowdeck.components.pipelines.settings import PipelinesSettings, RetentionSettings
from flowdeck.components.pipelines.store import runs, schedules
from flowdeck.components.pipelines.store.schedules import RecurringRun
from flowdeck.controller.events import EventRecorder
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.kube.objects import ObjectKey
from flowdeck.stores import Stores
from flowdeck.web.listing import ListQuery
from tests.pipelines.makers import a_pipeline
from tests.world.world import World

NOTHING = from_wire(a_pipeline({}, {}))
PATIENCE_S = 60


@pytest.fixture
def hook() -> Iterator[tuple[str, list[Any]]]:
    """The URL of somebody's server, and what it has heard."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(msgspec.json.decode(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()
        thread.join()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path)
    for crd in definitions():
        await world.client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="test")
    yield world
    await world.kill()
    await world.close()


async def test_runs_of_a_schedule_live_and_go(world: World, tmp_path: Path, hook: tuple[str, list[Any]]) -> None:
    url, heard = hook
    stores = Stores(folder=tmp_path)
    retention = RetentionSettings(archive_runs_s=100, remove_archived_runs_s=200, every_s=10)
    settings = PipelinesSettings(webhooks=(url,), retention=retention)

    def controllers(client: Any, clock: Any) -> Any:
        events = EventRecorder(client, clock, "test")
        return COMPONENT.controllers(Context(client, clock, settings, events, stores))

    world.begin(controllers)
    database = await stores.tables(MIGRATIONS)
    recurring = RecurringRun(
        id="every-ten-seconds",
        experiment_id="",
        namespace="default",
        name="every ten seconds",
        resource_name="ten",
        service_account="default",
        document=runs.hash_of(NOTHING),
        trigger={"periodic_schedule": {"interval_second": "10", "end_time": "2026-01-01T00:00:25Z"}},
        max_concurrency=1,
        is_enabled=True,
        created_at=world.clock.now(),
        updated_at=world.clock.now(),
    )

    def create(connection: Any) -> None:
        runs.keep_document(connection, NOTHING)
        schedules.create(connection, recurring)

    await database.write(create)
    stores.news.tell(RECURRING_RUNS, ObjectKey("default", recurring.id))

    async def states() -> list[tuple[str, str]]:
        listed = partial(runs.listed, query=ListQuery(20, "id", descending=False), namespace="default")
        return sorted((run.state, run.storage_state) for run in (await database.read(listed)).items)

    async def becomes(wanted: list[tuple[str, str]]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await states() != wanted:
                world.clock.advance(1)
                await asyncio.sleep(0.01)

    await becomes([("SUCCEEDED", "AVAILABLE")] * 2)
    await becomes([("SUCCEEDED", "ARCHIVED")] * 2)
    await becomes([])
    assert [(told["event"], told["run"]["recurring_run_id"]) for told in heard] == [("RUN_FINISHED", recurring.id)] * 2
    assert (await database.read(partial(schedules.get, id=recurring.id))).made == 2
    await world.kill()
    await stores.close()
