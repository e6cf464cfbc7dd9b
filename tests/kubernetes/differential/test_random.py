"""A random sequence of requests is answered alike, another one each time; whoever sees it fail has its seed."""

import asyncio
import secrets
from pathlib import Path

import pytest

from tests.kubernetes.differential.servers import at, embedded
from tests.kubernetes.differential.shrinking import play_random
from tests.kubernetes.differential.suite import Pair
from tests.kubernetes.rig.control_plane import RealCluster

STEPS = 400


@pytest.mark.timeout(300)
def test_both_servers_answer_random_sequences_alike(real_api: RealCluster, tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)

    async def play() -> tuple[str, list[str]]:
        async with at("real", real_api.kubeconfig) as real, embedded(tmp_path, whole=False) as ours:
            summary, texts = await play_random(seed, STEPS, Pair(real, ours), secrets.token_hex(2))
            return summary, list(texts)

    summary, texts = asyncio.run(play())
    print(summary)
    again = f"python -m tests.kubernetes.differential --random --steps {STEPS} --seed {seed}"
    assert not texts, "\n\n".join([*texts, again])
