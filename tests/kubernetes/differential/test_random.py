"""Random sequences of requests are answered alike; a short slice of them, always the same one."""

import asyncio
from pathlib import Path

import pytest

from tests.kubernetes.differential.servers import at, embedded
from tests.kubernetes.differential.shrinking import play_random
from tests.kubernetes.differential.suite import Pair
from tests.kubernetes.rig.control_plane import RealCluster

SEEDS = (22, 43, 50)
STEPS = 40


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
def test_both_servers_answer_a_random_sequence_alike(seed: int, real_api: RealCluster, tmp_path: Path) -> None:
    async def play() -> tuple[str, list[str]]:
        async with at("real", real_api.kubeconfig) as real, embedded(tmp_path, whole=False) as ours:
            summary, texts = await play_random(seed, STEPS, Pair(real, ours), "r")
            return summary, list(texts)

    summary, texts = asyncio.run(play())
    print(summary)
    assert not texts, "\n\n".join(texts)
