"""The server before its surface is there: nothing is loaded at the start, and a database that cannot be had is told."""

from pathlib import Path

import httpx
from sqlalchemy import text

from flowdeck.components.base import Context
from flowdeck.components.pipelines.server import LateSurface
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.controller.events import EventRecorder
from flowdeck.sql.database import Database
from flowdeck.stores import Stores
from tests.world.world import World


def client_of(world: World, stores: Stores) -> httpx.AsyncClient:
    ctx = Context(
        client=world.client,
        clock=world.clock,
        settings=PipelinesSettings(),
        events=EventRecorder(world.client, world.clock, "test"),
        stores=stores,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(LateSurface(ctx)), base_url="http://pipelines/apis/v2beta1")


async def test_the_first_request_opens_the_database(world: World, tmp_path: Path) -> None:
    stores = Stores(folder=tmp_path)
    async with client_of(world, stores) as client:
        assert "database" not in vars(stores)
        assert (await client.get("/healthz")).json()["pipeline_store"] == "database"
    await stores.close()


async def test_a_database_of_a_later_version_is_told_and_left_alone(world: World, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/flowdeck.db")
    await MIGRATIONS.run(database)
    await database.write(lambda connection: connection.execute(text("UPDATE pipelines_version SET version_num='9999'")))
    await database.close()
    stores = Stores(folder=tmp_path)
    async with client_of(world, stores) as client:
        answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()["code"]) == (503, 14)
    assert "newer version" in answer.json()["message"]
    await stores.close()


async def test_a_database_that_does_not_answer_is_told_and_tried_again(world: World, tmp_path: Path) -> None:
    stores = Stores("postgresql://nobody@127.0.0.1:1/none", folder=tmp_path)
    async with client_of(world, stores) as client:
        for _ in range(2):
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.json()["code"]) == (503, 14)
            assert "does not answer" in answer.json()["message"]
    await stores.close()
