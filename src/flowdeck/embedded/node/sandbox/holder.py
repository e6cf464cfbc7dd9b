"""Holds what the containers of one pod share: user, network, IPC and host name namespaces, memory-backed volumes.

A fork of the zygote that only waits; standard library only. In the pod's folder: `holder.json` (the plan) and, per try,
`holder-<n>.claim` (who holds). Its mount namespace is the machine's, plus the pod's own `/dev/shm` and tmpfs volumes;
containers start from a copy of it.
"""

import contextlib
import json
import os
import signal
import socket
from typing import Any, NoReturn

from flowdeck.embedded.node.sandbox import child, files, isolation, linux
from flowdeck.embedded.node.sandbox.identity import identity


def main(folder: str, attempt: int, first: socket.socket) -> NoReturn:
    """Runs in a fresh fork; tells `first` once the pod's namespaces are there."""
    os.setsid()
    child.reset_signals()
    os.chdir(folder)
    plan = files.read("holder.json")
    if plan is None:
        os._exit(1)
    if not files.claim(f"holder-{attempt}.claim", identity()):
        os._exit(0)
    try:
        prepare(plan)
        if plan["share_processes"]:
            _start_first_process()
    except OSError as error:
        first.send(json.dumps({"failed": str(error)}).encode() + b"\n")
        os._exit(1)
    first.send(json.dumps({"ready": True, **identity()}).encode() + b"\n")
    first.close()
    os.chdir("/")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.sigwait({signal.SIGTERM})
    os._exit(0)


def prepare(plan: dict[str, Any]) -> None:
    """Gives the calling process namespaces as `plan` says."""
    network = os.open(plan["network"], os.O_RDONLY | os.O_CLOEXEC) if plan["network"] else None
    if plan["rootless"] and network is not None:
        linux.setns(linux.owner_of_namespace(network), linux.CLONE_NEWUSER)  # it gives the right to join it
    elif plan["rootless"]:
        isolation.become_mapped(0, 0)
    if network is not None:
        linux.setns(network, linux.CLONE_NEWNET)
        os.close(network)
    linux.unshare(linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNS)
    linux.set_hostname(plan["hostname"])
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    flags = linux.MS_NOSUID | linux.MS_NODEV
    linux.mount("shm", "/dev/shm", "tmpfs", flags | linux.MS_NOEXEC, f"mode=1777,size={plan['shm_bytes']}")
    for volume in plan["tmpfs"]:
        size = f",size={volume['size']}" if volume["size"] else ""
        linux.mount("tmpfs", volume["path"], "tmpfs", flags, f"mode=1777{size}")
        if volume.get("group") is not None:
            os.chown(volume["path"], -1, volume["group"])
            os.chmod(volume["path"], 0o2777)


def _start_first_process() -> None:
    """Process 1 of a pod whose containers see each other's processes: it sees nothing, may nothing, and reaps."""
    linux.unshare(linux.CLONE_NEWPID)
    if os.fork():
        return
    linux.die_with_parent(signal.SIGKILL)
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/mnt", "tmpfs", linux.MS_RDONLY, "size=4k")
    linux.pivot_root("/mnt")
    linux.close_from(0, set())
    linux.bound_capabilities(set())
    linux.set_capabilities(set())
    linux.forbid_new_privileges()
    linux.hide_from_tracing()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        with contextlib.suppress(InterruptedError):
            signal.pause()
