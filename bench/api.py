"""The API server: creates a second, lists, delay of watches."""

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.kubernetes.rig.control_plane import RealCluster

from bench.load import Request, config_map, get, post, run
from bench.report import Row, median
from flowdeck.kube.kinds import CONFIG_MAP, NAMESPACE
from flowdeck.testing.platform import RunningPlatform

WATCHERS = 100
ROUNDS = 200

Server = RunningPlatform | RealCluster
"""Whose API it is: they are reached in the same way."""


async def measure(platform: Server) -> Sequence[Row]:
    await _namespaces(platform)
    return [
        await _creates(platform, 1, 1500, beat=625),
        await _creates(platform, 16, 300, beat=1685),
        await _list(platform),
        await _watch(platform),
    ]


async def _namespaces(platform: Server) -> None:
    async with platform.client() as client:
        for name in ("bench-1", "bench-16", "bench-list", "bench-watch"):
            await client.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def _creates(platform: Server, clients: int, each: int, *, beat: int) -> Row:
    host = urlsplit(platform.server).netloc
    path = f"/api/v1/namespaces/bench-{clients}/configmaps"
    rates = []

    def creates(attempt: int) -> Request:
        return lambda client, number: post(host, path, config_map(f"c{attempt}-{client}-{number}"))

    for attempt in range(3):
        seconds, _ = await run(platform.kubeconfig, clients, each, creates(attempt))
        rates.append(clients * each / seconds)
    return Row(
        what=f"creates of 4 kB objects over TLS, {clients} clients",
        samples=rates,
        unit="/s",
        want=f">= {2 * beat}/s",
        beat=f"kube-apiserver + etcd {beat}/s",
        is_met=median(rates) >= 2 * beat,
    )


async def _list(platform: Server) -> Row:
    host = urlsplit(platform.server).netloc
    path = "/api/v1/namespaces/bench-list/configmaps"
    await run(platform.kubeconfig, 16, 625, lambda client, number: post(host, path, config_map(f"c{client}-{number}")))
    _, took = await run(platform.kubeconfig, 1, 20, lambda client, number: get(host, path))
    ms = [seconds * 1000 for seconds in took]
    return Row(
        what="list of 10,000 ConfigMaps of 4 kB", samples=ms, unit="ms", want="<= 150 ms", is_met=median(ms) <= 150
    )


async def _watch(platform: Server) -> Row:
    """From the answer to a write until each of 100 watchers has seen its event."""
    async with platform.client() as client:
        start = (await client.list(CONFIG_MAP, namespace="bench-watch")).resource_version
        seen: dict[str, list[float]] = {f"w{number}": [] for number in range(ROUNDS)}
        ready = asyncio.Semaphore(0)

        async def follow() -> None:
            async with client.watch(CONFIG_MAP, namespace="bench-watch", resource_version=start) as events:
                ready.release()
                async for event in events:
                    seen.setdefault(event.object["metadata"]["name"], []).append(time.perf_counter())

        watchers = [asyncio.create_task(follow()) for _ in range(WATCHERS)]
        for _ in watchers:
            await ready.acquire()
        delays: list[float] = []
        for name in list(seen):
            obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "bench-watch"}}
            await client.create(CONFIG_MAP, obj)
            answered = time.perf_counter()
            while len(seen[name]) < WATCHERS:  # noqa: ASYNC110 - an Event each would be measured as well
                await asyncio.sleep(0)
            delays += [max(0.0, (moment - answered) * 1000) for moment in seen[name]]
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
    return Row(
        what=f"write answered to event seen, {WATCHERS} watchers",
        samples=delays,
        unit="ms",
        want="p50 <= 2 ms",
        is_met=median(delays) <= 2,
    )
