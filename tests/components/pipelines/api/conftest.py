"""What goes in: HTTP requests to the surface's application. Its objects are on a whole API server, with the rules."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.components.pipelines import admission
from flowdeck.components.pipelines.api.artifacts import ArtifactRoutes
from flowdeck.components.pipelines.api.cache import CacheRoutes
from flowdeck.components.pipelines.api.comparisons import Comparisons
from flowdeck.components.pipelines.api.experiments import Experiments
from flowdeck.components.pipelines.api.pipelines import Pipelines
from flowdeck.components.pipelines.api.recurring_runs import RecurringRuns
from flowdeck.components.pipelines.api.runs import Runs
from flowdeck.components.pipelines.api.tasks import Tasks
from flowdeck.components.pipelines.api.tenancy import Tenancy
from flowdeck.components.pipelines.api.uploads import Uploads
from flowdeck.components.pipelines.catalog import Catalog
from flowdeck.components.pipelines.engine.run import Options
from flowdeck.components.pipelines.ir.package import MAX_SIZE
from flowdeck.components.pipelines.kinds import GROUP, definitions
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE
from flowdeck.sql.database import Database
from flowdeck.stores import News
from flowdeck.web.downloads import Downloads
from flowdeck.web.identity import AccessReviews, Authorizer, HeaderIdentity, Identity, SingleUser
from flowdeck.web.routing import Door, Route, application
from flowdeck.web.rpc_errors import rpc_error
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


def contents_of(database: Database) -> Artifacts:
    """The artifacts beside a database."""
    return Artifacts(ArtifactSettings(), Path(str(database.url.database)).parent / "artifacts")


def surface(world: World, database: Database, door: Door, *, multi_user: bool) -> Sequence[Route]:
    tenancy = Tenancy(multi_user)
    catalog = Catalog(world.client)
    recurring = RecurringRuns(
        database=database, catalog=catalog, tenancy=tenancy, clock=world.clock, news=News(), door=door, zone=""
    )
    return [
        *Uploads(catalog, tenancy).routes(),
        *Pipelines(catalog, tenancy, Downloads(public=(), limit=MAX_SIZE)).routes(),
        *Experiments(database, tenancy, world.clock).routes(),
        *recurring.routes(),
        *Runs(
            database=database,
            catalog=catalog,
            tenancy=tenancy,
            clock=world.clock,
            news=News(),
            door=door,
            homes=Homes(client=world.client, artifacts=contents_of(database)),
            options=Options(),
        ).routes(),
        *Tasks(database=database, tenancy=tenancy, clock=world.clock).routes(),
        *CacheRoutes(database=database, tenancy=tenancy).routes(),
        *Comparisons(database=database, tenancy=tenancy).routes(),
        *ArtifactRoutes(
            database=database,
            homes=Homes(client=world.client, artifacts=contents_of(database)),
            tenancy=tenancy,
            clock=world.clock,
            door=door,
        ).routes(),
    ]


def http(world: World, database: Database, *, multi_user: bool = False) -> httpx.AsyncClient:
    one = SingleUser()
    identity: Identity = HeaderIdentity("kubeflow-userid") if multi_user else one
    authorizer: Authorizer = AccessReviews(world.client) if multi_user else one
    door = Door(identity, authorizer, GROUP, "v1beta1")
    app = application(surface(world, database, door, multi_user=multi_user), door, rpc_error)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pipelines/apis/v2beta1")


@pytest.fixture
async def api(world: World, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with http(world, database) as client:
        yield client
