"""Whose artifacts are whose in the platform's own store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.components.pipelines.runner.homes import Homes
from flowdeck.components.pipelines.runner.providers import LauncherConfig
from flowdeck.kube.errors import Forbidden
from tests.world.world import World


@pytest.fixture
async def homes(tmp_path: Path) -> AsyncIterator[Homes]:
    world = await World.open(tmp_path)
    artifacts = Artifacts(ArtifactSettings(), tmp_path / "artifacts")
    yield Homes(client=world.client, artifacts=artifacts, multi_user=True)
    await world.close()


async def test_each_namespace_has_its_part_of_the_store(homes: Homes) -> None:
    root = await homes.default_root("alice")
    assert root == "minio://mlpipeline/private-artifacts/alice/v2/artifacts"
    home = await homes.home("alice", f"{root}/p/run")
    await home.put("executor-logs", b"hello")
    assert await (await homes.home("alice", f"{root}/p/run")).get("executor-logs") == b"hello"


@pytest.mark.parametrize(
    "uri",
    [
        "minio://mlpipeline/private-artifacts/alice/v2/artifacts/p/run",
        "minio://mlpipeline/private-artifacts/bob",
        "minio://mlpipeline/private-artifacts/bobby/x",
        "minio://mlpipeline/v2/artifacts/p/run",
        "minio://mlpipeline",
        "minio://other/private-artifacts/bob/x",
    ],
)
async def test_nobody_reaches_the_part_of_another(homes: Homes, uri: str) -> None:
    with pytest.raises(Forbidden, match="is not the namespace bob's"):
        await homes.home("bob", uri)
    with pytest.raises(Forbidden, match="is not the namespace bob's"):
        await homes.contents("bob", uri)
    with pytest.raises(Forbidden, match="its artifacts lie below minio://mlpipeline/private-artifacts/bob"):
        homes.file("bob", LauncherConfig(), uri)
