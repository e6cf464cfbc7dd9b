"""`flowdeck down --pods`: everything of a node's folder ends, without a node."""

import asyncio
import os
from pathlib import Path

import pytest

from flowdeck.embedded.node.sandbox.stopping import stop_all
from tests.embedded.node.bench import open_bench
from tests.embedded.node.makers import a_script


@pytest.mark.parametrize("driver", ["plain", "namespaces"])
async def test_all_containers_end_and_the_next_node_knows_how(tmp_path: Path, driver: str) -> None:
    async with open_bench(tmp_path, driver) as bench:
        await bench.run(a_script("trap 'echo bye; exit 4' TERM; echo up; sleep 60 & wait"))
        await bench.until("p", lambda pod: pod["status"].get("phase") == "Running")
        assert bench.roster is not None
        pid = bench.roster.workers()[0].keepers["main"].pid
        await bench.stop()
        await asyncio.to_thread(stop_all, bench.data)
        assert not os.path.exists(f"/proc/{pid}")  # noqa: ASYNC240
        bench.start()
        pod = await bench.finished("p")
        assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
        assert (await bench.log("p")).splitlines()[-1] == "bye"
