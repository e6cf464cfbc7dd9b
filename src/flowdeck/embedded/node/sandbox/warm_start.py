"""The monitor's side of a warm start: leads a fork of a warm server into the container, and sees that it is there.

Standard library only. The fork's program is not ours, so nothing that it says counts: before it is told what to run
(the pod's variables may be secrets) the kernel is asked whether it is as confined as the container's init.
"""

import base64
import json
import os
import signal
import socket
import struct
from collections.abc import Sequence
from typing import Any

from flowdeck.embedded.node.sandbox import child, linux, seccomp

Plan = dict[str, Any]

PATIENCE_S = 5.0
"""How long each step of the fork may take."""

_SAME = (
    "PPid", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
    "Threads", "TracerPid",
)  # fmt: skip
_NAMESPACES = ("user", "net", "ipc", "uts", "mnt", "pid", "cgroup")


def start(plan: Plan, init: int, namespaces: list[int], stdio: list[int], fork: socket.socket) -> int:
    """Makes `fork` the command of the container whose init (dropped to its last rights) is `init`.

    Returns the command's number inside the container; 0: it must be started the ordinary way.
    """
    with fork:
        fork.settimeout(PATIENCE_S)
        fork.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            _, net, ipc, uts, mnt, pid_namespace = namespaces
            enter = {name: plan[name] for name in ("uid", "gid", "groups", "capabilities")}
            _tell(fork, enter | {"seccomp": _filter(plan)}, [pid_namespace, net, ipc, uts, mnt])
            process = _sender(fork)
        except OSError:
            return 0
        return _run(plan, init, process, stdio, fork) if process else 0


def _run(plan: Plan, init: int, process: int, stdio: list[int], fork: socket.socket) -> int:
    handle = os.pidfd_open(process)
    try:
        if not is_confined(process, init):
            raise OSError
        for folder in plan["control_groups"]:
            with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(process))
        number = int(_status(process)["NSpid"].split()[-1])
        run = {name: plan[name] for name in ("argv", "env", "cwd", "limits")}
        _tell(fork, {"run": run | {"environment": plan["warm"]["environment"]}}, stdio)
        if not fork.recv(64):
            raise OSError
        return number
    except (OSError, KeyError, ValueError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return 0
    finally:
        os.close(handle)


def is_confined(process: int, init: int) -> bool:
    """True when the process is a child of that init with its user, rights, filter, namespaces and root."""
    try:
        own, outer = _status(process), _status(init)
        wanted = {**outer, "PPid": str(init), "Threads": "1", "TracerPid": "0"}
        return (
            all(own[name] == wanted[name] for name in _SAME)
            and all(
                os.stat(f"/proc/{process}/ns/{kind}").st_ino == os.stat(f"/proc/{init}/ns/{kind}").st_ino
                for kind in _NAMESPACES
            )
            and os.path.samestat(os.stat(f"/proc/{process}/root"), os.stat(f"/proc/{init}/root"))
        )
    except (OSError, KeyError):
        return False


def _status(process: int) -> dict[str, str]:
    with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as file:
        fields = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in fields}


def _tell(fork: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    data = json.dumps(message).encode() + b"\n"
    sent = socket.send_fds(fork, [data], fds)
    fork.sendall(data[sent:])


def _sender(fork: socket.socket) -> int:
    """Waits for the fork to say that it is inside; who said so, by the kernel's word. 0: nobody."""
    data, ancillary, _, _ = fork.recvmsg(64, socket.CMSG_SPACE(12))
    for level, kind, content in ancillary:
        if data and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(struct.unpack("3i", content)[0])
    return 0


def _filter(plan: Plan) -> str:
    code = seccomp.program(linux.MACHINE) if plan["seccomp"] else None
    return base64.b64encode(code).decode() if code else ""


def after_prelude(plan: Plan, stdio: Sequence[int], channel: socket.socket) -> Plan:
    """In the container's init: the plan of the command that is left when its shell has done all before it.

    The shell runs its script as it is, but for the last command (`shell.py`): in its place, started in the same way, is
    one that tells its variables. When that does not work out the plan is the one that it was, with the whole script.
    """
    if not plan["warm"]["prelude"]:
        return plan
    told, teller = os.pipe()
    shell = os.fork()
    if shell == 0:
        child.become_command_or_tell(plan | {"argv": plan["warm"]["prelude"]}, [stdio[0], teller, stdio[2]], channel)
    os.close(teller)
    with os.fdopen(told, "rb") as pipe:
        env = dict(pair.partition("=")[::2] for pair in map(os.fsdecode, pipe.read().split(b"\0")) if pair)
    _, status = os.waitpid(shell, 0)
    if os.WIFSIGNALED(status):
        os._exit(child.exit_code_of(status))
    if status or "PATH" not in env:
        return plan
    argv = plan["warm"]["argv"]
    env["_"] = child.find_program(argv[0], env["PATH"])
    return plan | {"argv": argv, "env": env}


def await_command(plan: Plan, channel: socket.socket) -> int:
    """The container's init asks for its command: its number, or 0 when init must start it itself."""
    command = {"argv": plan["argv"], "env": plan["env"]}
    channel.sendall(json.dumps({"confined": True, "command": command}).encode() + b"\n")
    told = channel.recv(64)
    if not told:
        raise child.StartFailure("the monitor is gone")
    return int(json.loads(told)["command"])
