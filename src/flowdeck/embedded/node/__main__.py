"""`python -m flowdeck.embedded.node --kubeconfig F --data DIR --name N`: runs one node process."""

import argparse
import asyncio
import contextlib
import os
import signal
from pathlib import Path

from flowdeck.embedded.node.app import run_node
from flowdeck.embedded.node.settings import NodeSettings


def _settings() -> NodeSettings:
    parser = argparse.ArgumentParser(prog="flowdeck.embedded.node", description="Runs the pods of one Node.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the node's folder")
    parser.add_argument("--name", required=True, help="name of the Node object")
    parser.add_argument("--driver", choices=("auto", "namespaces", "plain"), default="auto")
    parser.add_argument("--pki", type=Path, help="folder of kubelet.pem and ca.pem; default: pki beside --data")
    parser.add_argument("--port", type=int, default=0, help="of the kubelet's API; 0: any free one")
    parser.add_argument("--find-links", action="append", default=[])
    parser.add_argument("--index-url", default="")
    parser.add_argument("--offline", action="store_true")
    given = parser.parse_args()
    data = given.data.resolve()
    platform = data.parent
    return NodeSettings(
        data=data,
        name=given.name,
        kubeconfig=given.kubeconfig.resolve(),
        driver=given.driver,
        port=given.port,
        pki=(given.pki or platform / "pki").resolve(),
        hidden=(platform,) if (platform / "pki").is_dir() else (),
        volume_roots=(platform / "volumes",),
        is_root=os.geteuid() == 0,
        machine_env=dict(os.environ),  # noqa: TID251 - this is a command line
        find_links=tuple(given.find_links),
        index_url=given.index_url,
        offline=given.offline,
    )


async def _main() -> None:
    node = asyncio.ensure_future(run_node(_settings()))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await node


if __name__ == "__main__":
    os.umask(0o022)
    asyncio.run(_main())
