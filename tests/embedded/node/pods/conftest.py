"""What the lives of pods are tested on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.embedded.node.bench import Bench, open_bench


@pytest.fixture(params=["plain", "namespaces"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """A node and its API server, once with each driver."""
    async with open_bench(tmp_path, request.param) as bench:
        yield bench
