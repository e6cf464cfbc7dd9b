"""A strict real cluster with a node of ours that runs nothing, and the platform on it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from tests.kubernetes.install.site import Site, installed, until
from tests.kubernetes.joined_node import joined
from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import control_plane


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Installed; no replica runs."""
    folder = tmp_path_factory.mktemp("site")
    with control_plane(binaries.folder(), controllers=True, strict=True) as cluster:
        simulated = ("--no-taint", "--driver", "simulated", "--simulated-run-seconds", "1")
        with joined(cluster, "node-a", folder / "node", *simulated), installed(cluster, folder) as site:
            yield site


@pytest.fixture
async def site(prepared: Site) -> AsyncIterator[Site]:
    """With both replicas running."""
    async with prepared.cluster.client() as client:
        site = replace(prepared, client=client)
        for replica in site.ports:
            if replica not in site.cluster.processes.running:
                site.start(replica)
        await site.leader()
        await until(site.all_webhooks_are_trusted)
        yield site
