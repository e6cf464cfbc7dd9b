"""A network of pods on this machine, for real; tests that need one say so when the machine forbids it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import flowdeck
from flowdeck.embedded.node.network.namespaces import NamespacedNetwork
from flowdeck.embedded.node.network.settings import NetworkSettings
from flowdeck.embedded.node.network.switchboard import SwitchError
from flowdeck.kube.kinds import ENDPOINT_SLICE, SERVICE
from flowdeck.kube.objects import Kind, Tree

Handler = Callable[[Tree | None, Tree | None], None]


class Facts:
    """Stands where the informers stand: tests put objects in."""

    def __init__(self) -> None:
        self._handlers: dict[Kind, list[Handler]] = {SERVICE: [], ENDPOINT_SLICE: []}

    def add(self, kind: Kind) -> "_Informer":
        return _Informer(self._handlers[kind])

    def put(self, kind: Kind, obj: Tree) -> None:
        for handler in self._handlers[kind]:
            handler(None, obj)

    def drop(self, kind: Kind, obj: Tree) -> None:
        for handler in self._handlers[kind]:
            handler(obj, None)


class _Informer:
    def __init__(self, handlers: list[Handler]) -> None:
        self._handlers = handlers

    def add_handler(self, handler: Handler) -> None:
        self._handlers.append(handler)


class World:
    """A running network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts = Facts()
        self._made: list[NamespacedNetwork] = []
        self.network = self.another()

    def another(self) -> NamespacedNetwork:
        """What a node that starts again has."""
        settings = NetworkSettings(folder=self.folder, api_port=9, outside_ports=(80,))
        self._made.append(NamespacedNetwork(settings, self.facts))
        return self._made[-1]

    async def close(self) -> None:
        await self.network.remove()
        for each in self._made:
            await each.close()

    async def inside(self, pod: Tree, code: str) -> str:
        """What Python code prints inside a pod's network, with the pod's resolver."""
        place = await self.network.set_up(pod)
        assert place.namespace_path is not None
        resolver = self.folder / f"resolv-{pod['metadata']['uid']}"
        resolver.write_text(place.resolver)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ENTER, str(Path(flowdeck.__file__).parent.parent),
            str(place.namespace_path), str(resolver), code,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return out.decode().strip()


_ENTER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from flowdeck.embedded.node.sandbox import linux
network = os.open(sys.argv[2], os.O_RDONLY)
if os.geteuid():
    linux.setns(linux.owner_of_namespace(network))
linux.setns(network)
linux.unshare(linux.CLONE_NEWNS)
linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
linux.mount(sys.argv[3], os.path.realpath("/etc/resolv.conf"), flags=linux.MS_BIND)
exec(sys.argv[4])
"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "network")
    try:
        await world.network.forget_all_but([])
    except SwitchError as error:
        pytest.skip(f"this machine forbids network namespaces: {error}")
    running = asyncio.create_task(world.network.run())
    yield world
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await world.close()
