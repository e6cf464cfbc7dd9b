"""What goes in: HTTP requests to the surface's application. Its objects are on a whole API server, with the rules."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from flowdeck.components.base import Context
from flowdeck.components.pipelines import admission
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.surface import routes
from flowdeck.components.pipelines.kinds import GROUP, definitions
from flowdeck.components.pipelines.settings import RIGHTS_VERSION, PipelinesSettings
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.controller.events import EventRecorder
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from flowdeck.sql.database import Database
from flowdeck.stores import Stores
from flowdeck.web.identity import AccessReviews, Authorizer, HeaderIdentity, Identity, SingleUser
from flowdeck.web.routing import Door, application
from flowdeck.web.rpc_errors import rpc_error
from tests.components.pipelines.api.served import Served, serving
from tests.world.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path, rules=admission.rules())
    for crd in definitions():
        await world.client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="test")
    for name in ("kubeflow", "team-a", "team-b"):
        await world.client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield world
    await world.close()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/pipelines.db")
    await MIGRATIONS.run(database)
    yield database
    await database.close()


def parts_of(world: World, database: Database, *, multi_user: bool = False) -> Parts:
    """With a door that anybody comes in by who says who he is, and the artifacts beside the database."""
    one = SingleUser()
    identity: Identity = HeaderIdentity("kubeflow-userid") if multi_user else one
    authorizer: Authorizer = AccessReviews(world.client) if multi_user else one
    ctx = Context(
        world.client,
        world.clock,
        PipelinesSettings(multi_user=multi_user, time_zone="UTC"),
        EventRecorder(world.client, world.clock, "test"),
        Stores(folder=Path(str(database.url.database)).parent),
    )
    return Parts(ctx, database, Door(identity, authorizer, GROUP, RIGHTS_VERSION))


def http(world: World, database: Database, *, multi_user: bool = False) -> httpx.AsyncClient:
    parts = parts_of(world, database, multi_user=multi_user)
    app = application(routes(parts), parts.door, rpc_error)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pipelines/apis/v2beta1")


@pytest.fixture
async def served(world: World, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(world, tmp_path) as served:
        yield served


@pytest.fixture
async def api(world: World, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with http(world, database) as client:
        yield client
