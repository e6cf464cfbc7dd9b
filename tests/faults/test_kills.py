"""`kill -9` of the API process, the node process or both, at random moments, while Jobs, TrainJobs and Deployments run.

FLOWDECK_FAULT_ROUNDS   how many kills a driver (default 12; `make faults` does 200)
FLOWDECK_FAULT_SEED     what chance there is (default: the day's)
"""

import asyncio
import os
import shutil
import time
from pathlib import Path
from random import Random

import pytest

from flowdeck.client.http import HttpClient
from flowdeck.components.training.types import CLUSTER_TRAINING_RUNTIME
from flowdeck.kube.errors import AlreadyExists
from flowdeck.kube.kinds import DEPLOYMENT, POD
from tests.faults.conftest import Clean
from tests.faults.proof import deeds_of, prove, prove_deployment
from tests.faults.victim import KINDS, Victim, persist, run_down
from tests.faults.workloads import JOBS, NAMESPACE, Workload, deployment, runtime

ROUNDS = int(os.environ.get("FLOWDECK_FAULT_ROUNDS", "12"))
SEED = int(os.environ.get("FLOWDECK_FAULT_SEED", str(int(time.time()) // 86400)))
KILLS_A_WAVE = 4
LONGEST_PAUSE_S = 1.5
"""Between two kills, once the platform is back."""


@pytest.mark.timeout(180 + 15 * ROUNDS)
@pytest.mark.parametrize("driver", ["plain", "namespaces"])
async def test_nothing_is_lost_or_doubled_when_the_platform_is_killed(
    folder: Path, assert_clean: Clean, driver: str
) -> None:
    print(f"seed {SEED}, {ROUNDS} rounds")
    victim = Victim(folder / "data", driver)
    deeds = folder / "deeds"
    try:
        await victim.start()
        async with victim.client() as client:
            await _waves(victim, client, deeds, Random(f"{SEED} {driver}"))
    finally:
        await asyncio.to_thread(run_down, victim.data)
        keep(folder)
    await asyncio.to_thread(assert_clean)
    last = deeds_of(deeds, "last")
    assert {uid: 1 for uid, _, _ in last.ends} == last.starts, last
    print(f"kills: {victim.kills}")


def keep(folder: Path) -> None:
    """Where FLOWDECK_FAULT_KEEP names a folder, logs and database go there, for whoever looks into a failure."""
    if place := os.environ.get("FLOWDECK_FAULT_KEEP"):
        shutil.copytree(folder / "data" / "logs", place, dirs_exist_ok=True)
        shutil.copy(folder / "data" / "store.db", place)


async def _waves(victim: Victim, client: HttpClient, deeds: Path, chance: Random) -> None:
    await client.create(CLUSTER_TRAINING_RUNTIME, runtime(deeds))
    kills = [chance.choice(KINDS) for _ in range(ROUNDS)]
    for wave, start in enumerate(range(0, ROUNDS, KILLS_A_WAVE)):
        began = time.monotonic()
        jobs = [make(deeds, f"{make.__name__.replace('_', '-')}-{wave}", *_size(chance)) for make in JOBS]
        servers = deployment(deeds, f"servers-{wave}", chance.randint(1, 3))
        killer = asyncio.create_task(_kill(victim, kills[start : start + KILLS_A_WAVE], chance))
        made = await _create(client, [servers, *jobs], chance)
        await killer
        for job in jobs:
            await prove(client, job, deeds)
        await prove_deployment(client, servers, deeds, made)
        for workload in [servers, *jobs]:
            await persist(lambda w=workload: client.delete(w.kind, w.key, propagation="Background", missing_ok=True))
        print(f"wave {wave}: {kills[start : start + KILLS_A_WAVE]} {time.monotonic() - began:.1f} s", flush=True)
    last = deployment(deeds, "last", 2)
    await _create(client, [last], chance)
    await prove_deployment(client, last, deeds, 4)
    pods = (await persist(lambda: client.list(POD, namespace=NAMESPACE))).items
    async with asyncio.timeout(60):
        while any("-node-" in name or "last" not in name for name in (pod["metadata"]["name"] for pod in pods)):
            await asyncio.sleep(0.1)
            pods = (await persist(lambda: client.list(POD, namespace=NAMESPACE))).items


def _size(chance: Random) -> tuple[int, float]:
    """Lines that a pod prints, and its pause after each, in seconds."""
    return chance.randint(3, 20), chance.choice([0.01, 0.05, 0.1])


async def _kill(victim: Victim, kinds: list[str], chance: Random) -> None:
    for kind in kinds:
        await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE_S))
        await victim.kill(kind, chance)


async def _create(client: HttpClient, workloads: list[Workload], chance: Random) -> int:
    """Creates them, whatever happens meanwhile, and scales the Deployment; gives how many pods that has at most."""
    for workload in workloads:

        async def create(workload: Workload = workload) -> None:
            try:
                await client.create(workload.kind, workload.obj)
            except AlreadyExists:
                return

        await persist(create)
    servers = workloads[0]
    before, after = servers.obj["spec"]["replicas"], chance.randint(1, 3)
    await asyncio.sleep(chance.uniform(0, 1))
    patch = {"spec": {"replicas": after}}
    await persist(lambda: client.patch(DEPLOYMENT, servers.key, patch))
    return int(max(before, after))
