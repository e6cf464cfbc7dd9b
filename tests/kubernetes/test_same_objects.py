"""What the controllers make of TrainJobs is the same on a real cluster and on the embedded one, field by field."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from flowdeck.client.http import HttpClient
from flowdeck.cluster.names import MANAGED_BY
from flowdeck.components.training.gang.coscheduling import POD_GROUP as COSCHEDULING
from flowdeck.components.training.gang.volcano import POD_GROUP as VOLCANO
from flowdeck.components.training.types import TRAIN_JOB, TRAINING_RUNTIME
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.kube.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    JOB,
    JOB_SET,
    NAMESPACE,
    SECRET,
    SERVICE,
)
from flowdeck.kube.objects import Kind, Tree, copy_of, key_of
from flowdeck.testing.platform import platform
from tests.components.training.golden_cases import RUNTIMES, cases
from tests.kubernetes.installed import installed

pytestmark = pytest.mark.timeout(400)
MADE = (JOB_SET, JOB, SERVICE, CONFIG_MAP, SECRET, COSCHEDULING, VOLCANO)
SPACE = "same"
LONGEST_S = 60
GANGS = {
    "coscheduling": {"coscheduling": {"scheduleTimeoutSeconds": 30}},
    "volcano": {"volcano": {"networkTopology": {"mode": "soft"}}},
}
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

Objects = Mapping[str, Tree]
"""By `kind/name`."""


def jobs() -> Iterator[Tree]:
    """Every shipped runtime with every sort of TrainJob, and runtimes with both sorts of gangs."""
    for runtime in RUNTIMES:
        for number, job in enumerate(cases(runtime).values()):
            yield _named(job, f"{runtime.removesuffix('-distributed').replace('.', '-')}-{number}")
    for gang in GANGS:
        job = copy_of(cases("torch-distributed")["3 nodes"])
        job["spec"]["runtimeRef"] = {"kind": TRAINING_RUNTIME.kind, "name": gang}
        yield _named(job, gang)


def _named(job: Tree, name: str) -> Tree:
    made = copy_of(job)
    made["metadata"] |= {"name": name, "namespace": SPACE}
    return made


async def prepare(client: HttpClient) -> None:
    """The namespace, and what gangs need: their kinds, which are add-ons on a real cluster, and runtimes."""
    for crd in definitions():
        await client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="test")
    await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    shipped = RUNTIMES["torch-distributed"]
    for name, policy in GANGS.items():
        runtime = copy_of(shipped) | {"kind": TRAINING_RUNTIME.kind}
        runtime["metadata"] = {"name": name, "namespace": SPACE}
        runtime["spec"]["podGroupPolicy"] = policy
        await client.create(TRAINING_RUNTIME, runtime)


async def everything(client: HttpClient) -> Objects:
    """What was made in the namespace, without what must differ: identities, times, addresses, random keys, progress."""
    found: dict[str, Tree] = {}
    for kind in MADE:
        for obj in (await client.list(kind, namespace=SPACE)).items:
            found[f"{kind.resource}/{key_of(obj).name}"] = normal(kind, obj)
    del found["configmaps/kube-root-ca.crt"]
    return found


def normal(kind: Kind, obj: Tree) -> Tree:
    tree: Tree = json.loads(TIME.sub("<time>", UID.sub("<uid>", json.dumps(obj))))
    tree.pop("status", None)
    del tree["metadata"]["resourceVersion"]
    tree["metadata"]["managedFields"] = [
        entry for entry in tree["metadata"]["managedFields"] if entry.get("subresource") != "status"
    ]
    if kind == SERVICE:
        assert tree["spec"]["clusterIP"] == "None"
    if kind == CONFIG_MAP:
        tree["data"] = {name: _normal_text(name, text) for name, text in tree["data"].items()}
    if kind == SECRET:
        tree["data"] = sorted(tree["data"])
    return tree


def _normal_text(name: str, text: str) -> object:
    """An entry of a ConfigMap: authorities differ; a snapshot is of a runtime that `flowdeck install` has labelled."""
    if name == "ca.crt":
        return "<authority>"
    if name != "runtime":
        return text
    snapshot = json.loads(text)
    del snapshot["metadata"]["resourceVersion"]
    snapshot["metadata"].get("labels", {}).pop(MANAGED_BY, None)
    return snapshot


def differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """`path: left | right` of every leaf that differs."""
    if isinstance(left, dict) and isinstance(right, dict):
        for name in sorted(left.keys() | right.keys()):
            yield from differences(left.get(name), right.get(name), f"{path}.{name}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (ours, theirs) in enumerate(zip(left, right, strict=True)):
            yield from differences(ours, theirs, f"{path}[{number}]")
    elif left != right:
        yield f"{path}: {left} | {right}"


@pytest.fixture
async def both() -> AsyncIterator[Sequence[HttpClient]]:
    """Clients of an embedded and of a real platform; nothing is scheduled on either."""
    with ExitStack() as platforms:
        embedded = platforms.enter_context(platform(options=["--no-node"]))
        real = platforms.enter_context(installed(options=["--no-node"]))
        async with embedded.client() as ours, real.client() as theirs:
            yield ours, theirs


async def test_objects_are_equal(both: Sequence[HttpClient]) -> None:
    wanted = list(jobs())
    for client in both:
        await prepare(client)
        for job in wanted:
            await client.create(TRAIN_JOB, job)
    ours, real = await until_alike(both)
    assert {key for key in ours if key.startswith(JOB_SET.resource)} == {
        f"{JOB_SET.resource}/{key_of(job).name}" for job in wanted
    }
    assert {key.partition("/")[0] for key in ours} == {kind.resource for kind in MADE}
    told = [line for key in sorted(ours) for line in differences(ours[key], real[key], key)]
    assert not told, "\n".join(told)


async def until_alike(both: Sequence[HttpClient]) -> tuple[Objects, Objects]:
    """Waits until each has a JobSet for every TrainJob, and the same objects by name."""
    deadline = asyncio.get_running_loop().time() + LONGEST_S
    while True:
        ours, real = [await everything(client) for client in both]
        count = sum(key.startswith(JOB_SET.resource) for key in ours)
        if ours.keys() == real.keys() and count == len(list(jobs())):
            return ours, real
        assert asyncio.get_running_loop().time() < deadline, (count, sorted(ours.keys() ^ real.keys()))
        await asyncio.sleep(0.5)
