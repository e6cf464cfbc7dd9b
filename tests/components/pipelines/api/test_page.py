"""The page tells every call that is served, and no other."""

import re
from pathlib import Path

from tests.components.pipelines.api.served import serving
from tests.world.world import World

PAGE = Path(__file__).parents[4] / "docs" / "pipelines.md"
BASE = "/apis/v2beta1"


async def test_the_page_lists_the_calls_that_are_served(world: World, tmp_path: Path) -> None:
    table = PAGE.read_text().partition("<!-- calls -->\n")[2].partition("\n\n")[0]
    told = {
        (method, path if path.startswith(("/apis/", "/metrics")) else BASE + path)
        for method, path in re.findall(r"`([A-Z]+) (/[^`?]*)`", table)
    }
    async with serving(world, tmp_path) as served:
        routes = {(route.method, route.path) for route in served.routes}
    assert sorted(told) == sorted(routes)
