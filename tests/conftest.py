"""Fixtures for all tests."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.world import World

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a suite that was started in the background ignores interrupts, and so would all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path)
    yield world
    await world.close()
