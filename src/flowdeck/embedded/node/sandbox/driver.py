"""The two ways to keep containers apart, behind one interface.

namespaces   Linux, as root or with user namespaces: own files, processes, names, IPC; nearly no rights
plain        anywhere: a process group with private folders; nothing else is kept apart
"""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from flowdeck.clock import Clock
from flowdeck.embedded.node.sandbox import files, identity, plain, rooted
from flowdeck.embedded.node.sandbox.client import Running, StartError, Zygote, connect
from flowdeck.embedded.node.sandbox.plan import ContainerSpec, PodSpec
from flowdeck.embedded.node.sandbox.shell import command_of
from flowdeck.embedded.node.sandbox.warm import WarmServers, WarmSettings
from flowdeck.kube.objects import Tree


class Driver(Protocol):
    """Starts containers in monitor processes, and finds them again."""

    name: str
    has_own_root: bool
    """True when containers have a root of their own, with volumes at their literal paths; else paths are rewritten."""

    async def hold(self, pod: PodSpec) -> None:
        """Makes what the containers of a pod share, unless it is there. Raises `StartError`."""
        ...

    async def release(self, pod_folder: Path) -> None:
        """Lets go of it, after the last container ended."""
        ...

    async def start(self, spec: ContainerSpec) -> Running:
        """Starts one attempt; at most one monitor ever has it. Raises `StartError`."""
        ...


class _Base:
    def __init__(self, zygote: Zygote, hidden: Sequence[Path]) -> None:
        self._zygote = zygote
        self._hidden = _outermost(os.path.realpath(path) for path in hidden)

    async def start(self, spec: ContainerSpec) -> Running:
        plan = self._plan(spec)
        spec.folder.mkdir(parents=True, exist_ok=True)
        fork = self._warm_fork(spec)
        if fork is None:
            return await self._start(spec.folder, plan)
        command = command_of(spec.argv)
        with fork:
            plan["warm"] = {
                "environment": str(spec.environment), "prelude": command.prelude, "argv": command.argv,
            }  # fmt: skip
            return await self._start(spec.folder, plan, fork.fileno())

    async def _start(self, folder: Path, plan: Tree, *fds: int) -> Running:
        files.write_whole(str(folder / "plan.json"), plan)
        return await Running.over(folder, self._zygote.request("monitor", folder, fds))

    def keep_warm(self, folder: Path, settings: WarmSettings, clock: Clock) -> WarmServers | None:
        """Lets containers start from warm servers; None where the machine cannot keep those apart."""
        return None

    def _warm_fork(self, spec: ContainerSpec) -> socket.socket | None:
        return None

    def _plan(self, spec: ContainerSpec) -> Tree:
        raise NotImplementedError


class PlainDriver(_Base):
    """Process groups."""

    name = "plain"
    has_own_root = False

    async def hold(self, pod: PodSpec) -> None:
        pod.folder.mkdir(parents=True, exist_ok=True)

    async def release(self, pod_folder: Path) -> None:
        return

    def _plan(self, spec: ContainerSpec) -> Tree:
        return plain.to_plan(spec)


class NamespacesDriver(_Base):
    """Linux namespaces; `rootless` when we are not root and use a user namespace."""

    name = "namespaces"
    has_own_root = True

    def __init__(self, zygote: Zygote, hidden: Sequence[Path]) -> None:
        super().__init__(zygote, hidden)
        self._rootless = os.geteuid() != 0
        self._warm: WarmServers | None = None

    def keep_warm(self, folder: Path, settings: WarmSettings, clock: Clock) -> WarmServers | None:
        from flowdeck.embedded.node.sandbox import warm_launch

        if not self._rootless and warm_launch.can_fence():
            self._warm = WarmServers(self._zygote, folder, self._hidden, settings, clock)
        return self._warm

    def _warm_fork(self, spec: ContainerSpec) -> socket.socket | None:
        return self._warm.fork(spec) if self._warm else None

    async def hold(self, pod: PodSpec) -> None:
        pod.folder.mkdir(parents=True, exist_ok=True)
        if current_holder(pod.folder) is not None:
            return
        files.write_whole(str(pod.folder / "holder.json"), rooted.to_holder_plan(pod, rootless=self._rootless))
        attempt = len(list(pod.folder.glob("holder-*.claim")))
        channel = await Running.over(pod.folder, self._zygote.request("hold", pod.folder, attempt=attempt))
        told = await channel.told()
        channel.close()
        if told is None or "failed" in told:
            raise StartError(str(told["failed"]) if told else "the pod's holder ended")

    async def release(self, pod_folder: Path) -> None:
        holder = current_holder(pod_folder)
        if holder is not None:
            identity.end(holder)

    def _plan(self, spec: ContainerSpec) -> Tree:
        holder = current_holder(spec.pod_folder)
        if holder is None:
            raise StartError("the pod's sandbox is gone")
        return rooted.to_plan(spec, holder=holder, hidden=self._hidden, rootless=self._rootless)


def current_holder(pod_folder: Path) -> Tree | None:
    """The living holder of a pod, if there is one."""
    for claim in sorted(pod_folder.glob("holder-*.claim"), reverse=True):
        who = files.read(str(claim))
        if who and identity.is_alive(who):
            return who
    return None


async def find(folder: Path) -> Running | Tree | None:
    """What became of an attempt: it runs, or how it ended; None when it was never started.

    An attempt whose monitor is gone without a word is told as ended with reason `ContainerStatusUnknown`.
    """
    while (claim := files.read(str(folder / "claim"))) is not None:
        lived = identity.is_alive(claim)
        connected = await connect(folder) if lived else None
        if connected is not None:
            return await Running.over(folder, connected)
        if (ended := files.read(str(folder / "exit.json"))) is not None:
            return ended
        if not lived:
            return lost(folder, claim)
        await asyncio.sleep(0.005)  # it has just claimed the attempt, and listens soon
    return None


def lost(folder: Path, claim: Tree) -> Tree:
    """How an attempt ended whose monitor could not say."""
    state = files.read(str(folder / "state.json")) or {}
    return {
        "exit_code": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "started_at": state.get("started_at"),
        "finished_at": None,
        "rebooted": claim["boot"] != identity.boot_id(),
    }


def _outermost(folders: Iterable[str]) -> list[str]:
    """The folders that lie in no other one of them: covering those covers all."""
    found: list[str] = []
    for folder in sorted(set(folders)):
        if not any(folder.startswith(outer + "/") for outer in found):
            found.append(folder)
    return found


async def can_do_namespaces(zygote: Zygote) -> bool:
    """Tries: a pod with one container that does nothing."""
    if sys.platform != "linux":
        return False
    folder = Path(tempfile.mkdtemp(prefix="flowdeck-"))
    driver = NamespacesDriver(zygote, [])
    try:
        await driver.hold(PodSpec(folder=folder, hostname="probe"))
        running = await driver.start(
            ContainerSpec(
                id="0" * 64, folder=folder / "probe", pod_folder=folder, argv=["true"], env={"PATH": "/usr/bin:/bin"},
                log=folder / "log", log_max_bytes=1 << 20, log_max_files=1,
            )
        )  # fmt: skip
        if await running.started():
            return False
        ended = await running.ended()
        running.close()
        return ended is not None and ended["exit_code"] == 0
    except StartError:
        return False
    finally:
        await driver.release(folder)
        shutil.rmtree(folder, ignore_errors=True)
