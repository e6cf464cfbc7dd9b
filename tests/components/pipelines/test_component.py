"""The component as a platform composes it: a recurring run's runs start, end, are told of, archived and removed.

Its pipeline has no tasks, so nothing runs in pods.
"""

import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
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
from flowdeck.sql.database import Database
from flowdeck.stores import Stores
from flowdeck.web.listing import ListQuery
from tests.pipelines.makers import a_pipeline
from tests.world.world import World

NOTHING = from_wire(a_pipeline({}, {}))
RETENTION = RetentionSettings(archive_runs_s=100, remove_archived_runs_s=200, every_s=10)


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


@dataclass
class Platform:
    """The component's controllers at work, and a recurring run of two runs, after 10 and 20 seconds."""

    world: World
    stores: Stores
    database: Database
    recurring: RecurringRun

    async def passes(self, seconds: int) -> None:
        """One by one: everybody comes to rest in between."""
        for _ in range(seconds):
            await self.world.advance(seconds=1)

    async def states(self) -> list[tuple[str, str]]:
        listed = partial(runs.listed, query=ListQuery(20, "id", descending=False), namespace="default")
        return sorted((run.state, run.storage_state) for run in (await self.database.read(listed)).items)


@pytest.fixture
async def platform(tmp_path: Path, hook: tuple[str, list[Any]]) -> AsyncIterator[Platform]:
    world, stores = await World.open(tmp_path), Stores(folder=tmp_path)
    for crd in definitions():
        await world.client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="test")
    settings = PipelinesSettings(webhooks=(hook[0],), retention=RETENTION)
    await world.start(
        lambda client, clock: COMPONENT.controllers(
            Context(client, clock, settings, EventRecorder(client, clock, "test"), stores)
        )
    )
    database = await stores.tables(MIGRATIONS)
    platform = Platform(world, stores, database, await _two_runs(world, database))
    stores.news.tell(RECURRING_RUNS, ObjectKey("default", platform.recurring.id))
    await world.settle()
    yield platform
    await world.kill()
    await world.close()
    await stores.close()


async def _two_runs(world: World, database: Database) -> RecurringRun:
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
    return recurring


async def test_the_runs_of_a_schedule_start_and_end(platform: Platform) -> None:
    await platform.passes(9)
    assert await platform.states() == []
    await platform.passes(1)
    assert await platform.states() == [("SUCCEEDED", "AVAILABLE")]
    await platform.passes(20)
    assert await platform.states() == [("SUCCEEDED", "AVAILABLE")] * 2
    assert (await platform.database.read(partial(schedules.get, id=platform.recurring.id))).made == 2


async def test_web_hooks_hear_of_each_run(platform: Platform, hook: tuple[str, list[Any]]) -> None:
    await platform.passes(25)
    told = [(told["event"], told["run"]["recurring_run_id"]) for told in hook[1]]
    assert told == [("RUN_FINISHED", platform.recurring.id)] * 2


async def test_runs_are_archived_when_they_are_old_and_removed_when_they_are_older(platform: Platform) -> None:
    await platform.passes(100)
    assert await platform.states() == [("SUCCEEDED", "AVAILABLE")] * 2
    await platform.passes(20)
    assert ("SUCCEEDED", "ARCHIVED") in await platform.states()
    await platform.passes(20)
    assert await platform.states() == [("SUCCEEDED", "ARCHIVED")] * 2
    await platform.passes(200)
    assert await platform.states() == []
