"""A real control plane for the session, on loopback. Building it for the first time takes minutes, before the tests."""

from collections.abc import Callable, Iterator

import pytest

from tests.kfp_sdk.rest import Rest, rest_on
from tests.kubernetes.installed import InstalledPlatform, installed
from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import RealCluster, control_plane


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds before the first test, whose time is limited."""
    if session.items and not session.config.option.collectonly:
        try:
            binaries.ready(_say(session.config))
        except binaries.CannotBuild as error:
            pytest.exit(f"kubernetes: {error}", returncode=2)


def _say(config: pytest.Config) -> Callable[[str], None]:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    return terminal.write_line if terminal else lambda line: None


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells whoever waits."""
    return _say(request.config)


@pytest.fixture(scope="session")
def real_api() -> Iterator[RealCluster]:
    """etcd and kube-apiserver alone: nothing acts on objects, and nothing writes but the test."""
    with control_plane(binaries.folder(), controllers=False) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[RealCluster]:
    """A whole control plane: with kube-controller-manager and kube-scheduler. It has no node."""
    with control_plane(binaries.folder(), controllers=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pipelines_on_cluster() -> Iterator[tuple[InstalledPlatform, Rest]]:
    """The platform on a cluster of its own, with a database and a store of artifacts, and its REST surface; the
    cluster is strict: requests are audited."""
    with installed(stores=True, strict=True) as there, rest_on(there.cluster) as rest:
        yield there, rest
