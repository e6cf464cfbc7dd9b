"""Fixtures for all tests."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from flowdeck.testing.platform import platform
from tests.world.world import World

OpenPlatform = Callable[..., AbstractContextManager[Any]]
"""`flowdeck.testing.platform.platform`, or another function that promises the same."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a suite that was started in the background ignores interrupts, and so would all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    where = "where scenarios run that take their platform from open_platform: embedded, or installed on a real cluster"
    parser.addoption("--cluster", choices=("embedded", "real"), default="embedded", help=where)


@pytest.fixture(scope="session")
def open_platform(request: pytest.FixtureRequest) -> OpenPlatform:
    """Starts the platform that `--cluster` names: `with open_platform(data, options=[...]) as running`."""
    if request.config.getoption("--cluster") == "embedded":
        return platform
    from tests.kubernetes.installed import installed

    return installed


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path)
    yield world
    await world.close()
