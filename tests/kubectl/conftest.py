"""A running platform, and kubectl in a namespace of the test's own."""

import re
import shutil
from collections.abc import Iterator

import pytest

from flowdeck.testing.platform import RunningPlatform
from tests.kubectl.kubectl import Kubectl


@pytest.fixture(scope="session")
def cluster(flowdeck: RunningPlatform) -> Iterator[RunningPlatform]:
    """The platform; its logs have no stack traces in the end."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    yield flowdeck
    for log in (flowdeck.data / "logs").glob("*.log"):
        text = log.read_text()
        assert "Traceback" not in text, f"{log.name} has a stack trace:\n{text[-4000:]}"


@pytest.fixture
def kubectl(cluster: RunningPlatform, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")[:60].rstrip("-")
    kubectl = Kubectl(cluster.kubeconfig, name)
    kubectl(f"create namespace {name}")
    yield kubectl
    kubectl(f"delete namespace {name} --wait=false")
