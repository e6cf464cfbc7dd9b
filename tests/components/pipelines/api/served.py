"""The whole surface as the component composes it, with everybody's rights asked of the world's API server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from flowdeck.components.base import Context
from flowdeck.components.pipelines.api.parts import Parts
from flowdeck.components.pipelines.api.surface import door, routes, surface
from flowdeck.components.pipelines.engine.states import RunStatus
from flowdeck.components.pipelines.objects import shipped_objects
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.pipelines.store import runs
from flowdeck.controller.events import EventRecorder
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.sql.database import Database
from flowdeck.stores import Stores
from flowdeck.web.identity import User
from flowdeck.web.routing import Route
from flowdeck.web.vouchers import HEADER
from tests.pipelines.makers import a_component, a_pipeline, a_task
from tests.world.world import World

ADMIN = User("admin", ("system:masters", "system:authenticated"))
SAY = a_component("pass", inputs={"word": "STRING"})
DOCUMENT = a_pipeline({"say": SAY}, {"only": a_task("say", word="x")})


class Served:
    """The application, and what stands behind it."""

    def __init__(self, world: World, ctx: Context, app: Any, database: Database) -> None:
        self.world, self.ctx, self.app, self.database = world, ctx, app, database
        self.told: list[ObjectKey] = []
        """Runs that somebody shall look at."""
        ctx.stores.news.listen("pipeline-runs", self.told.append)

    @property
    def routes(self) -> list[Route]:
        return routes(Parts(self.ctx, self.database, door(self.ctx)))

    def client(self, user: User | None = ADMIN, **headers: str) -> httpx.AsyncClient:
        """As the API server's proxy passes that user's requests on; None: as anybody on the machine."""
        if user is not None:
            assert self.ctx.vouchers is not None
            headers[HEADER] = self.ctx.vouchers.write(user, self.world.clock.now())
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://pipelines/apis/v2beta1", headers=headers
        )

    async def becomes(self, run_id: str, *states: RunStatus, error: str = "") -> None:
        """What who works on a run does."""
        for state in states:
            record = partial(runs.record_state, id=run_id, state=state, error=error, at=self.world.clock.now())
            await self.database.write(record)

    async def let(self, user: str, namespace: str, resource: str, *verbs: str) -> None:
        """Gives a user rights."""
        name = f"{user}-{resource}".replace("/", "-")
        rule = {"apiGroups": ["pipelines.kubeflow.org"], "resources": [resource], "verbs": list(verbs)}
        group = "rbac.authorization.k8s.io"
        meta = {"name": name, "namespace": namespace}
        await self.world.create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": [rule]})
        binding: Tree = {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        }
        await self.world.create(binding)


@asynccontextmanager
async def serving(world: World, folder: Path, **settings: Any) -> AsyncIterator[Served]:
    """The surface of a component with such settings."""
    for obj in shipped_objects():
        await world.client.apply(world.kind_of(obj), obj, manager="test")
    stores = Stores(folder=folder)
    ctx = Context(
        client=world.client,
        clock=world.clock,
        settings=PipelinesSettings(**settings),
        events=EventRecorder(world.client, world.clock, "test"),
        stores=stores,
        vouchers=world.api.fronts.vouchers,
    )
    yield Served(world, ctx, await surface(ctx), stores.database)
    await stores.close()
