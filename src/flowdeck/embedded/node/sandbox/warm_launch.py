"""Starts a warm fork server in a sandbox: a container without a network, a pod or anything of anybody's.

A fork of the zygote; standard library only. The server imports packages that others wrote, and its children must
enter containers. So it has a container's rights and one more: to join namespaces that it is handed. It still has the
system call filter but for that, no network, a root like a container's, and a Landlock domain in which it can neither
signal nor look into any process that it did not fork itself. Where the kernel cannot do that there are no warm servers.
"""

import ctypes
import json
import os
import signal
import socket
import struct
from pathlib import Path
from typing import Any, NoReturn

from flowdeck.embedded.node.sandbox import child, files, holder, isolation, linux, seccomp

Plan = dict[str, Any]

_SYS_CHROOT, _SYS_ADMIN = 18, 21
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_SCOPE_SIGNAL = 2
_SCOPES_SINCE = 6
_libc = ctypes.CDLL(None, use_errno=True)


def can_fence() -> bool:
    """True where Landlock can keep a process from signalling those outside (Linux 6.12, and switched on)."""
    version: int = _libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return version >= _SCOPES_SINCE


def main(folder: str, control: socket.socket) -> NoReturn:
    """Becomes the server of `folder/plan.json`, which serves on `control` until that is closed."""
    os.setsid()
    child.reset_signals()
    os.chdir(folder)
    plan = files.read("plan.json")
    if plan is None:
        os._exit(1)
    try:
        _become(plan, control)
    except OSError as error:
        control.send(json.dumps({"failed": str(error)}).encode() + b"\n")
    os._exit(1)


def _become(plan: Plan, control: socket.socket) -> NoReturn:
    source = Path(__file__).with_name("warm_server.py").read_text()
    linux.unshare(linux.CLONE_NEWNET)
    holder.prepare({"rootless": False, "network": "", "hostname": "warm", "tmpfs": [], "shm_bytes": 1 << 26})
    isolation.Root(plan).build_and_enter()
    _drop_rights(plan)
    _arrange(control)
    python = plan["python"]
    os.execve(python, [python, "-c", source, json.dumps(plan["serve"])], plan["env"])


def _drop_rights(plan: Plan) -> None:
    kept = {*plan["capabilities"], _SYS_CHROOT, _SYS_ADMIN}
    linux.bound_capabilities(kept)
    linux.new_session_keyring()
    os.setgroups([])
    linux.set_capabilities(kept)
    linux.forbid_new_privileges()
    _fence()
    if (code := seccomp.program(linux.MACHINE, allowed=("setns",))) is not None:
        linux.install_seccomp(code)


def _fence() -> None:
    attributes = struct.pack("QQQ", 0, 0, _SCOPE_SIGNAL)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = _libc.syscall(ctypes.c_long(_CREATE_RULESET), buffer, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0 or _libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"landlock: {os.strerror(number)}")
    os.close(ruleset)


def _arrange(control: socket.socket) -> None:
    """Descriptors of the server: nothing to read, pipes to write to, as a container has them, and `control` as 3.

    The pipes make the interpreter set up its streams as a container's; then the server lets go of them.
    """
    own = os.dup(control.fileno())
    null = os.open("/dev/null", os.O_RDWR)
    _, write_end = os.pipe()
    for number, fd in enumerate((null, write_end, write_end, own)):
        os.dup2(os.dup(fd), number + 40, inheritable=True)
    for number in range(4):
        os.dup2(number + 40, number, inheritable=True)
    linux.close_from(4, set())
    os.chdir("/")
    os.umask(0o022)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
