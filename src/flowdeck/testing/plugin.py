"""The pytest plug-in: the fixture `flowdeck` is a running platform, one a test session (and xdist worker)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flowdeck.testing.platform import RunningPlatform


@pytest.fixture(scope="session")
def flowdeck(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[RunningPlatform]":
    """A running platform on a free port: `flowdeck.client()`, `flowdeck.kubeconfig`, `flowdeck.server`."""
    from flowdeck.testing.platform import platform

    with platform(tmp_path_factory.mktemp("flowdeck")) as running:
        yield running
