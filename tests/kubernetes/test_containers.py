"""Training in real containers: Kubernetes' own kubelet on containerd and runc, an image made by our script."""

import asyncio
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import EVENT
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.installed import InstalledPlatform, installed
from tests.kubernetes.joined_node import approve
from tests.kubernetes.rig import images
from tests.kubernetes.rig.containers import container_node, missing
from tests.sdk.conftest import TRAINER_SDK, environment

pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(bool(missing()), reason=missing() or "all is there")]
NODE = "node-a"
READY_S = 180
EXAMPLE = images.ROOT / "examples" / "training" / "xgboost_digits.py"


@pytest.fixture(scope="module")
def containers(say: Callable[[str], None]) -> Iterator[InstalledPlatform]:
    """The platform on our node, which takes no more pods then; jobs go to a node with containers."""
    archive = images.archive("xgboost", say)
    with (
        installed(options=["--no-node"]) as platform,
        container_node(platform.cluster, NODE, [archive]) as folder,
    ):
        approve(platform.cluster, folder / "pki" / "kubelet-server-current.pem")
        kubectl = Kubectl(platform.kubeconfig, "default", platform.cluster.env)
        deadline = time.monotonic() + READY_S
        while not is_true(kubectl.json(f"get node {NODE}"), "Ready"):
            assert time.monotonic() < deadline, kubectl(f"describe node {NODE}")
        yield platform


def run_example(where: InstalledPlatform) -> str:
    env = {**os.environ, "KUBECONFIG": str(where.kubeconfig)}
    command = [str(environment(TRAINER_SDK)), str(EXAMPLE), "--nodes", "2"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_xgboost_learns_in_two_containers_through_the_official_sdk(containers: InstalledPlatform) -> None:
    said = await asyncio.to_thread(run_example, containers)
    accuracies = re.findall(r"node \d of 2: accuracy on \d+ images held out: (0\.\d+)", said)
    assert len(accuracies) == 2
    assert min(map(float, accuracies)) >= 0.95
    async with containers.client() as client:
        events = (await client.list(EVENT, namespace="default")).items
    started = [event for event in events if event["reason"] == "Started"]
    assert [event["source"] for event in started] == [{"component": "kubelet", "host": NODE}] * 2, events
