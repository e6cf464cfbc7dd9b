"""Runs one more command in a running container: `exec`, exec probes and hooks. Standard library only.

A fork of the zygote that lives as long as its command and its caller. On its channel it tells `{"failed"}`,
`{"terminal"}` (with the terminal's file descriptor), `{"exit_code"}`; when the caller closes the channel, the command
is killed.
"""

import json
import os
import selectors
import signal
import socket
from typing import Any, NoReturn

from flowdeck.embedded.node.sandbox import child, files
from flowdeck.embedded.node.sandbox.control import namespaces_of_container

Plan = dict[str, Any]


def main(folder: str, wanted: dict[str, Any], channel: socket.socket, stdio: list[int]) -> NoReturn:
    """Runs in a fresh fork; `wanted` is `{argv, tty, env?}`, `stdio` three file descriptors."""
    os.setsid()
    child.reset_signals()
    os.chdir(folder)
    plan = files.read("plan.json")
    if plan is None:
        _tell(channel, {"failed": "container not found"})
        os._exit(1)
    plan |= {"argv": wanted["argv"], "tty": wanted["tty"]}
    try:
        pid = _start(plan, channel, stdio)
    except OSError as error:
        _tell(channel, {"failed": str(error)})
        os._exit(1)
    for fd in stdio:
        os.close(fd)
    _tell(channel, {"exit_code": _wait(pid, channel)})
    os._exit(0)


def _start(plan: Plan, channel: socket.socket, stdio: list[int]) -> int:
    namespaces: list[int] = []
    if plan["driver"] == "namespaces":
        from flowdeck.embedded.node.sandbox import isolation

        user, net, ipc, uts, mnt, pids = namespaces_of_container(".")
        pod_user = isolation.open_namespaces(int(plan["holder"]["pid"]), ["user"])
        isolation.enter(pod_user)
        isolation.enter([pids])
        namespaces = [net, ipc, uts, mnt, user]
    pid = os.fork()
    if pid == 0:
        _become(plan, namespaces, channel, stdio)
    for fd in namespaces:
        os.close(fd)
    return pid


def _become(plan: Plan, namespaces: list[int], channel: socket.socket, stdio: list[int]) -> NoReturn:
    try:
        child.join_control_groups(plan["control_groups"])
        if plan["driver"] == "namespaces":
            from flowdeck.embedded.node.sandbox import isolation, linux

            linux.hide_from_tracing()
            isolation.enter(namespaces)
            isolation.drop_rights(plan)
            linux.die_with_parent(signal.SIGKILL)
        elif "groups" in plan and os.getuid() == 0:
            from flowdeck.embedded.node.sandbox import isolation

            isolation.become_user_of_plain(plan)
        child.become_command(plan, stdio, channel)
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
        child.tell_failure(channel, error)


def _wait(pid: int, channel: socket.socket) -> int:
    """Waits for the command; kills it when the caller goes away."""
    done = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    if done is None:
        return child.exit_code_of(os.waitpid(pid, 0)[1])
    with selectors.DefaultSelector() as selector:
        selector.register(done, selectors.EVENT_READ)
        selector.register(channel, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if done in ready:
                return child.exit_code_of(os.waitpid(pid, 0)[1])
            if not channel.recv(4096):
                selector.unregister(channel)
                signal.pidfd_send_signal(done, signal.SIGKILL)


def _tell(channel: socket.socket, message: dict[str, Any]) -> None:
    try:
        channel.send(json.dumps(message).encode() + b"\n")
    except OSError:
        os._exit(0)
