"""`python -m flowdeck.embedded.node --kubeconfig F --data DIR --name N`: runs one node process.

There is never more than one on a data folder: it holds a lock, and a second one waits until the first has ended. One
that a platform started ends with it (`--until-eof`), however that dies; its pods go on.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

from flowdeck import collector, logs
from flowdeck.embedded.node.app import run_node
from flowdeck.embedded.node.images.settings import shared_folder
from flowdeck.embedded.node.sandbox.warm import WarmSettings
from flowdeck.embedded.node.settings import EFFECTS, NodeSettings, Taint
from flowdeck.locks import try_lock

log = structlog.get_logger()

LOCK_RETRY_S = 0.05
MAX_SIMULATED_PODS = 10_000
END_S = 5.0
"""How long an orderly end may take. The next process waits for the folder, and finds everything again anyway."""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="flowdeck.embedded.node", description="Runs the pods of one Node.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the node's folder")
    parser.add_argument("--name", required=True, help="name of the Node object")
    parser.add_argument("--driver", choices=("auto", "namespaces", "plain", "simulated"), default="auto")
    parser.add_argument("--pki", type=Path, help="folder of kubelet.pem and ca.pem; default: see NodeSettings.pki")
    parser.add_argument(
        "--client-ca", type=Path, help="who signed the certificates of those that may ask the node's API"
    )
    parser.add_argument("--address", default=NodeSettings.host_ip, help="where others reach this node")
    parser.add_argument("--taint", type=_taint, action="append", default=[], help="KEY=VALUE:EFFECT")
    parser.add_argument("--port", type=int, default=0, help="of the kubelet's API; 0: any free one")
    parser.add_argument("--find-links", action="append", default=[])
    parser.add_argument("--index-url", default="")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--warm-servers", type=int, default=WarmSettings.most, help="how many are kept; 0: none")
    parser.add_argument("--pods", type=int, default=0, help="how many it takes; 0: 500, or 10,000 simulated ones")
    parser.add_argument("--simulated-run-seconds", type=float, default=NodeSettings.simulated_run_s)
    parser.add_argument("--until-eof", action="store_true", help="end when standard input ends")
    return parser.parse_args(given)


def _taint(text: str) -> Taint:
    """`KEY=VALUE:EFFECT`, as kubectl has it."""
    what, _, effect = text.rpartition(":")
    key, _, value = what.partition("=")
    if effect not in EFFECTS or not key:
        raise ValueError(text)
    return Taint(key, value, effect)


def _settings(given: argparse.Namespace) -> NodeSettings:
    data = given.data.resolve()
    platform = data.parent
    machine_env = dict(os.environ)  # noqa: TID251 - this is a command line
    is_root = os.geteuid() == 0
    return NodeSettings(
        data=data,
        cache=shared_folder(machine_env, is_root=is_root).resolve(),
        name=given.name,
        kubeconfig=given.kubeconfig.resolve(),
        driver=given.driver,
        port=given.port,
        host_ip=given.address,
        pki=given.pki.resolve() if given.pki else None,
        client_ca=given.client_ca.resolve() if given.client_ca else None,
        taints=tuple(given.taint),
        hidden=(platform,) if given.pki else (),
        volume_roots=(platform / "volumes",),
        host_roots=(platform / "artifacts",),
        is_root=is_root,
        machine_env=machine_env,
        find_links=tuple(given.find_links),
        index_url=given.index_url,
        offline=given.offline,
        warm=WarmSettings(most=given.warm_servers),
        max_pods=given.pods or (MAX_SIMULATED_PODS if given.driver == "simulated" else NodeSettings.max_pods),
        simulated_run_s=given.simulated_run_seconds,
    )


async def _run(settings: NodeSettings) -> None:
    """Runs the node once no other process holds its folder."""
    settings.data.mkdir(mode=0o711, parents=True, exist_ok=True)
    told = False
    while (file := try_lock(settings.data / "lock")) is None:
        if not told:
            log.warning("another node process has this folder: waiting until it has ended", folder=str(settings.data))
            told = True
        await asyncio.sleep(LOCK_RETRY_S)
    with file:
        await run_node(settings)


async def _main(given: argparse.Namespace) -> None:
    collector.settle()
    node = asyncio.ensure_future(_run(_settings(given)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, loop, node)
    if given.until_eof:
        loop.add_reader(sys.stdin.fileno(), _end_at_eof, loop, node)
    with contextlib.suppress(asyncio.CancelledError):
        await node


def _end_at_eof(loop: asyncio.AbstractEventLoop, node: "asyncio.Future[None]") -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        loop.remove_reader(sys.stdin.fileno())
        _end(loop, node)


def _end(loop: asyncio.AbstractEventLoop, node: "asyncio.Future[None]") -> None:
    node.cancel()
    loop.call_later(END_S, os._exit, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a node until it is told to end; `arguments` are the command line's without the program's name."""
    os.umask(0o022)
    logs.configure()
    asyncio.run(_main(_arguments(arguments)))


if __name__ == "__main__":
    main()
