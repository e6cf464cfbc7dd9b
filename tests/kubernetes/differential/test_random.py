"""A random sequence of requests is answered alike: always the same one here, others by hand (README.md)."""

import asyncio
import secrets
from pathlib import Path

import pytest

from tests.kubernetes.differential.servers import at, embedded
from tests.kubernetes.differential.shrinking import play_random
from tests.kubernetes.differential.suite import Pair
from tests.kubernetes.rig.control_plane import RealCluster

STEPS = 2000
SEED = 105


@pytest.mark.timeout(600)
def test_both_servers_answer_a_random_sequence_alike(real_api: RealCluster, tmp_path: Path) -> None:
    async def play() -> tuple[str, list[str]]:
        async with at("real", real_api.kubeconfig) as real, embedded(tmp_path, whole=False) as ours:
            summary, texts = await play_random(SEED, STEPS, Pair(real, ours), secrets.token_hex(2))
            return summary, list(texts)

    summary, texts = asyncio.run(play())
    print(summary)
    assert not texts, "\n\n".join(texts)
