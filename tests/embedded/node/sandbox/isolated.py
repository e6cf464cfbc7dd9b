"""Runs one container of the namespaces driver, as whoever calls: `python -m ...isolated FOLDER`.

Reads `FOLDER/wanted.json` ({argv, env?, user?, network?, mounts?, read_only_root?, environment?}), prints
{exit_code, reason, message, log}. A program of its own, so that tests can be somebody else than root.
"""

import asyncio
import json
import sys
from pathlib import Path

from flowdeck.embedded.node.sandbox.client import Zygote
from flowdeck.embedded.node.sandbox.driver import NamespacesDriver
from flowdeck.embedded.node.sandbox.plan import ContainerSpec, Mount, PodSpec


async def main(folder: Path) -> None:
    wanted = json.loads((folder / "wanted.json").read_text())
    zygote = Zygote(folder / "zygote.log")
    driver = NamespacesDriver(zygote, [folder])
    pod = folder / "pods" / "one"
    network = Path(wanted["network"]) if wanted.get("network") else None
    await driver.hold(PodSpec(folder=pod, hostname="one", network=network, share_processes=wanted.get("share", False)))
    log = folder / "one.log"
    mounts = [Mount(**{**mount, "source": Path(mount["source"])}) for mount in wanted.get("mounts", ())]
    running = await driver.start(
        ContainerSpec(
            id="0" * 64, folder=pod / "main", pod_folder=pod, argv=wanted["argv"], env=wanted.get("env", {}), log=log,
            log_max_bytes=1 << 20, log_max_files=1, user=wanted.get("user"), group=wanted.get("user"), mounts=mounts,
            read_only_root=wanted.get("read_only_root", False), share_processes=wanted.get("share", False),
            memory_limit=wanted.get("memory_limit", 0),
            environment=Path(wanted["environment"]) if wanted.get("environment") else None,
        )
    )  # fmt: skip
    failure = await running.started()
    ended = await running.ended() or {"exit_code": None, "reason": "lost", "message": ""}
    running.close()
    await driver.release(pod)
    zygote.stop()
    lines = [line.split(" ", 3)[3] for line in log.read_text().splitlines()]
    print(json.dumps({**ended, "message": failure or ended["message"], "log": "\n".join(lines)}))


asyncio.run(main(Path(sys.argv[1])))
