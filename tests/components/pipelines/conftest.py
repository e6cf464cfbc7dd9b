"""The fixture of tests that act out the pods of runs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowdeck.components.pipelines.store.migrations import MIGRATIONS
from tests.components.pipelines.scene import Scene, TroubledDatabase
from tests.world.world import World


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    world = await World.open(tmp_path)
    database = TroubledDatabase(f"sqlite:///{tmp_path}/pipelines.db")
    await MIGRATIONS.run(database)
    scene = Scene(world, database, tmp_path / "artifacts")
    await world.start(scene.controllers)
    yield scene
    await world.kill()
    await database.close()
    await world.close()
