"""The page tells every call that is served, and no other; the tests that it names are there."""

import re
from pathlib import Path

from tests.components.pipelines.api.served import serving
from tests.world.world import World

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "pipelines.md"
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


def test_the_tests_that_the_page_names_are_there() -> None:
    table = PAGE.read_text().partition("<!-- shown -->\n")[2].partition("\n\n")[0]
    told, path = 0, ""
    for file, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", table):
        path = file or path
        if path:
            assert f"def {test}" in (ROOT / path).read_text(), (path, test)
            told += 1
    assert told > 20
