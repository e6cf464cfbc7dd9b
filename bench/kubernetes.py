"""The embedded Kubernetes beside the real one: kube-apiserver, etcd and upstream's controllers, made from their source.

First the API alone (etcd waits for the disk, as the embedded store does), then many TrainJobs at once on a node that
runs nothing (etcd does not wait: what they cost our controllers is the question). On the real control plane these are
a process of their own, as `flowdeck install` starts it.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
from tests.kubernetes.install.site import Site, installed, until
from tests.kubernetes.joined_node import joined
from tests.kubernetes.rig import binaries
from tests.kubernetes.rig.control_plane import RealCluster, control_plane

from bench import api, crowd
from bench.crowd import Cluster, Crowd
from bench.report import Row, p99
from bench.side_by_side import Both
from flowdeck.testing.platform import RunningPlatform

QPS = 1000
"""What upstream's controllers may ask a second: their defaults (20) would be all that is measured."""
READY_S = 60.0
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "operator")
NODE = ("--driver", "simulated")


def measure(sizes: Sequence[int]) -> Sequence[Both]:
    """All rows; builds the programs where they are missing."""
    where = binaries.ready(lambda line: print(line, file=sys.stderr))
    with _embedded() as platform:
        ours = asyncio.run(api.measure(platform))
    with control_plane(where, controllers=False, fsync=True) as cluster:
        theirs = asyncio.run(api.measure(cluster))
    rows = [_beside(mine, its) for mine, its in zip(ours, theirs, strict=True)]
    with _embedded(*NODE) as platform:
        embedded = asyncio.run(_crowds_embedded(platform, sizes))
    with control_plane(where, controllers=True, requests_per_s=QPS) as cluster:
        real = _crowds_real(cluster, sizes)
    for mine, its in zip(embedded, real, strict=True):
        rows += _rows(mine, its)
    return [*rows, *_growth(embedded, real)]


@contextmanager
def _embedded(*options: str) -> Iterator[RunningPlatform]:
    with tempfile.TemporaryDirectory(prefix="flowdeck-bench-", ignore_cleanup_errors=True) as folder:
        platform = RunningPlatform(Path(folder))
        platform.start(*options)
        try:
            yield platform
        finally:
            platform.stop()


# ---- many TrainJobs ---------------------------------------------------------------------------------------------


async def _crowds_embedded(platform: RunningPlatform, sizes: Sequence[int]) -> list[Crowd]:
    process = psutil.Process(platform.pids["api"])
    async with platform.client() as client:

        async def metrics() -> str:
            return (await client.raw("GET", "/metrics")).decode()

        cluster = Cluster(client=client, controllers=[process], control_plane=[process], metrics=metrics)
        return [await crowd.run(cluster, size) for size in sizes]


def _crowds_real(cluster: RealCluster, sizes: Sequence[int]) -> list[Crowd]:
    with (
        joined(cluster, "node-a", cluster.folder / "node", *NODE, "--no-taint"),
        installed(cluster, cluster.folder, ["operator"]) as site,
    ):
        replace(site, leader_settings={}).start("operator")
        health = f"http://127.0.0.1:{site.ports['operator'][1]}/metrics"
        cluster.processes.wait_until("operator", lambda: "flowdeck_leader 1.0" in _text(health), READY_S)
        return asyncio.run(_crowds(site, health, sizes))


def _text(url: str) -> str:
    try:
        return httpx.get(url).text
    except httpx.HTTPError:
        return ""


async def _crowds(site: Site, health: str, sizes: Sequence[int]) -> list[Crowd]:
    processes = {name: psutil.Process(site.cluster.processes.pid(name)) for name in PROGRAMS}
    async with site.cluster.client() as client:
        await until(replace(site, client=client).all_webhooks_are_trusted)

        async def metrics() -> str:
            return await asyncio.to_thread(_text, health)

        real = Cluster(
            client=client,
            controllers=[processes["operator"]],
            control_plane=list(processes.values()),
            metrics=metrics,
        )
        return [await crowd.run(real, size) for size in sizes]


# ---- rows -------------------------------------------------------------------------------------------------------


def _beside(ours: Row, theirs: Row) -> Both:
    return Both(what=ours.what, ours=ours.samples, theirs=theirs.samples, unit=ours.unit, want=ours.want)


def _rows(ours: Crowd, theirs: Crowd) -> list[Both]:
    def row(what: str, of: str, unit: str, want: str = "") -> Both:
        return Both(
            what=f"{ours.size} TrainJobs: {what}", ours=_of(ours, of), theirs=_of(theirs, of), unit=unit, want=want
        )

    return [
        row("completed", "rate", "/s"),
        row("create to JobSet", "waits", "s"),
        row("create to JobSet, p99", "p99", "s"),
        row("writes of our controllers, each", "writes", "", "<= 12"),
        row("reads of our controllers, each", "reads", ""),
        row("CPU of our controllers' process, each", "controllers", "ms"),
        row("CPU of the control plane, each", "all", "ms"),
        row("memory of our controllers' process", "controllers_mb", "MB"),
        row("memory of the control plane", "all_mb", "MB"),
    ]


def _of(seen: Crowd, what: str) -> Sequence[float]:
    values: dict[str, Sequence[float]] = {
        "rate": [seen.size / seen.seconds],
        "waits": seen.waits_s,
        "p99": [p99(seen.waits_s)],
        "writes": [seen.each(crowd.WRITES)],
        "reads": [seen.each(("get", "list"))],
        "controllers": [1000 * seen.controllers_s / seen.size],
        "all": [1000 * seen.all_s / seen.size],
        "controllers_mb": [seen.controllers_mb],
        "all_mb": [seen.all_mb],
    }
    return values[what]


def _growth(ours: Sequence[Crowd], theirs: Sequence[Crowd]) -> Iterator[Both]:
    """How much more a TrainJob costs among the most than among the fewest: 1 is linear."""
    if len(ours) < 2:
        return
    for what, of in (("our controllers' process", "controllers"), ("the control plane", "all")):
        factors = [_of(crowds[-1], of)[0] / _of(crowds[0], of)[0] for crowds in (ours, theirs)]
        yield Both(
            what=f"CPU of {what} for one of {ours[-1].size}, to one of {ours[0].size}",
            ours=factors[:1],
            theirs=factors[1:],
            unit="x",
            want="about 1",
        )
