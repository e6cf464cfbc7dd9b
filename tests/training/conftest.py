"""Training for real: jobs of several nodes in a platform of its own, once in each sandbox driver.

Environments are built once per machine, where all platforms of the user find them, with the package index and wheels
from `FLOWDECK_WHEELS`, else from a folder beside the repository. Where one cannot be built, the tests that need it are
skipped and say why.
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from flowdeck.clock import SystemClock
from flowdeck.embedded.node.contract import ImageError
from flowdeck.embedded.node.images.library import LocalImages
from flowdeck.embedded.node.images.settings import ImageSettings, shared_folder
from flowdeck.embedded.node.images.table import Row, add_row
from flowdeck.testing.platform import RunningPlatform
from tests.conftest import OpenPlatform
from tests.training.jobs import Jobs

DRIVERS = [
    pytest.param(driver, marks=pytest.mark.xdist_group(f"training-{driver}")) for driver in ("namespaces", "plain")
]
OWN_IMAGES = {"test/s3": ["moto[server,s3]", "boto3"], "test/sdk": ["kubeflow==0.5.0"]}
REPOSITORY = Path(__file__).parents[2]


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "flowdeck" / "training"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def wheels() -> list[str]:
    """Folders with wheels that the index does not have."""
    if said := os.environ.get("FLOWDECK_WHEELS"):
        return [said]
    beside = REPOSITORY.parent / "shared" / "wheels"
    return [str(beside)] if beside.is_dir() else []


class Environments:
    """Makes images ready in the machine's cache, where all platforms of these tests find them."""

    def __init__(self, table: Path, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal
        env = dict(os.environ)
        folder = shared_folder(env, is_root=os.geteuid() == 0)
        settings = ImageSettings(
            folder=folder, archives=table.parent, table=table, machine_env=env, find_links=wheels()
        )
        self._images = LocalImages(settings, SystemClock())

    async def need(self, reference: str) -> None:
        """Builds what the image stands for, and says so; skips the test where that cannot be done."""
        if self._images.find(reference):
            return
        try:
            await self._images.pull(reference, on_progress=self._tell)
        except ImageError as error:
            pytest.skip(f"no environment for {reference}: {error}")

    def _tell(self, message: str, *, is_notice: bool = False) -> None:
        self._terminal.write_line(f"  {message}")


@pytest.fixture(scope="session", params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def running(
    driver: str, tmp_path_factory: pytest.TempPathFactory, open_platform: OpenPlatform, request: pytest.FixtureRequest
) -> Iterator[RunningPlatform]:
    """A platform with this driver; `--cluster` says where."""
    if driver == "plain" and request.config.getoption("--cluster") == "real":
        pytest.skip("plain pods have the machine's address, loopback in tests: a real Service leads to no such address")
    if driver == "namespaces" and sys.platform != "linux":
        pytest.skip("namespaces are Linux's")
    data = tmp_path_factory.mktemp(driver)
    for reference, packages in OWN_IMAGES.items():
        add_row(data / "images.toml", Row(references=(reference,), packages=tuple(packages)))
    links = [word for folder in wheels() for word in ("--find-links", folder)]
    with open_platform(data, options=["--driver", driver, *links]) as running:
        yield running


@pytest.fixture(scope="session")
def environments(running: RunningPlatform, request: pytest.FixtureRequest) -> Environments:
    return Environments(running.data / "images.toml", request.config.pluginmanager.get_plugin("terminalreporter"))


@pytest.fixture
async def jobs(running: RunningPlatform, environments: Environments) -> AsyncIterator[Jobs]:
    """What the platform is asked with; the test's jobs are deleted afterwards."""
    async with running.client() as client:
        asked = Jobs(client, environments)
        yield asked
        await asked.clean_up()
