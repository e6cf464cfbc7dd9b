"""A platform that tests kill: `python -m tests.embedded.node.survivor FOLDER DRIVER`.

Runs one pod that appends a line to `FOLDER/deeds` and ends with 7, to its end; prints its container's status. Started
again on the same folder, it goes on.
"""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from flowdeck.kube.errors import AlreadyExists
from tests.embedded.node.bench import open_bench
from tests.embedded.node.makers import a_pod, a_shell


async def main(folder: Path, driver: str) -> None:
    async with open_bench(folder / "platform", driver) as bench:
        script = "echo began >> /deeds/deeds; sleep 0.5; echo said; exit 7"
        mounts = [{"name": "deeds", "mountPath": "/deeds"}]
        volumes = [{"name": "deeds", "hostPath": {"path": str(folder / "deeds.d"), "type": "DirectoryOrCreate"}}]
        pod = a_pod(containers=[a_shell(script, volumeMounts=mounts)], volumes=volumes)
        with contextlib.suppress(AlreadyExists):
            await bench.run(pod)
        print("accepted", flush=True)
        pod = await bench.finished("p")
        print(json.dumps({"status": pod["status"]["containerStatuses"][0], "log": await bench.log("p")}), flush=True)
        await asyncio.to_thread(sys.stdin.read)  # nothing is cleared away before the test has it


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
