"""From a fork of the monitor to the container's command. Standard library only.

In the `namespaces` driver the first process of the container is our small init: it runs the command as its child,
passes signals on, collects orphans, and ends with the command's exit code; the kernel then ends all that is left. So
SIGTERM means the same here as anywhere, though a first process would ignore it by default.
"""

import contextlib
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import termios
from collections.abc import Sequence
from typing import Any, NoReturn

Plan = dict[str, Any]

COULD_NOT_START = 128
"""The exit code of a container whose command never ran."""


class StartFailure(Exception):
    """The command cannot be started; the text is what the container's status says."""


def reset_signals() -> None:
    """Undoes what the zygote set, since ignored signals and masks are inherited."""
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def join_control_groups(folders: Sequence[str]) -> None:
    for folder in folders:
        with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))


def tell_failure(channel: socket.socket, error: BaseException) -> NoReturn:
    """Sends why the command did not start, then ends this process."""
    text = str(error) if isinstance(error, StartFailure) else f"{type(error).__name__}: {error}"
    with contextlib.suppress(OSError):
        channel.send(json.dumps({"failed": text}).encode() + b"\n")
    os._exit(COULD_NOT_START)


def run_init(plan: Plan, namespaces: Sequence[int], stdio: Sequence[int], channel: socket.socket) -> NoReturn:
    """The first process of a container with namespaces; never returns."""
    from flowdeck.embedded.node.sandbox import isolation, linux, warm_start

    try:
        linux.die_with_parent(signal.SIGKILL)
        reset_signals()
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("0")  # the monitor has a better one
        join_control_groups(plan["control_groups"])
        isolation.enter(namespaces)
        isolation.Root(plan).build_and_enter()
        if plan["rootless"] and plan["uid"] != 0:
            isolation.become_mapped(plan["uid"], plan["gid"])
        socket.send_fds(channel, [b'{"inside": true}\n'], isolation.open_namespaces("self", _OWN))
        isolation.drop_rights(plan)
        linux.hide_from_tracing()
        linux.die_with_parent(signal.SIGKILL)
        _keep_open([*stdio, channel.fileno()])
        main = 0
        if "warm" in plan:
            plan = warm_start.after_prelude(plan, stdio, channel)
            main = warm_start.await_command(plan, channel)
        if main == 0:
            main = os.fork()
            if main == 0:
                become_command_or_tell(plan, stdio, channel)
        _pass_signals_on(main)
        channel.close()  # that tells that the command runs: it may be signalled from now on
        for fd in {0, 1, 2, *stdio}:
            os.close(fd)
        _look_after(main)
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
        tell_failure(channel, error)


_OWN = ("user", "net", "ipc", "uts", "mnt", "pid")


def run_plain(plan: Plan, stdio: Sequence[int], channel: socket.socket) -> NoReturn:
    """The command of a container without namespaces; never returns."""
    try:
        if sys.platform == "linux":
            from flowdeck.embedded.node.sandbox import isolation, linux

            linux.die_with_parent(signal.SIGKILL)
            reset_signals()
            join_control_groups(plan["control_groups"])
            isolation.become_user_of_plain(plan)
            linux.forbid_new_privileges()
            linux.die_with_parent(signal.SIGKILL)
        else:
            reset_signals()
        _keep_open([*stdio, channel.fileno()])
        become_command_or_tell(plan, stdio, channel)
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
        tell_failure(channel, error)


def _pass_signals_on(main: int) -> None:
    """The command gets what is sent to its init."""

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(main, number)

    for number in (
        signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
        signal.SIGCONT, signal.SIGALRM, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    ):  # fmt: skip
        signal.signal(number, pass_on)


def _look_after(main: int) -> NoReturn:
    """Waits for children until the command ends."""
    while True:
        pid, status = os.wait()
        if pid == main:
            os._exit(exit_code_of(status))


def exit_code_of(status: int) -> int:
    """What a container runtime reports: the code, or 128 + the signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _keep_open(fds: Sequence[int]) -> None:
    from flowdeck.embedded.node.sandbox import linux

    linux.close_from(3, set(fds))


def become_command_or_tell(plan: Plan, stdio: Sequence[int], channel: socket.socket) -> NoReturn:
    """In a fork of init: `become_command`, or why it cannot be, then the end."""
    try:
        reset_signals()
        become_command(plan, stdio, channel)
    except BaseException as error:  # noqa: BLE001 - a fork must not go on as its parent
        tell_failure(channel, error)


def become_command(plan: Plan, stdio: Sequence[int], channel: socket.socket) -> NoReturn:
    """Replaces this process by the command; raises `StartFailure` in a container runtime's words."""
    os.setsid()
    if plan["tty"]:
        stdio = _terminal(channel)
    for number, fd in enumerate(stdio):
        os.dup2(fd, number, inheritable=True)
    for name, value in plan["limits"].items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))
    env: dict[str, str] = plan["env"]
    cwd: str = plan["cwd"]
    try:
        os.chdir(cwd)
    except OSError as error:
        raise StartFailure(
            f'chdir to cwd ("{cwd}") set in config.json failed: {(error.strerror or "").lower()}'
        ) from error
    os.umask(0o022)
    channel.set_inheritable(False)
    argv: list[str] = plan["argv"]
    path = find_program(argv[0], env.get("PATH", ""))
    try:
        os.execve(path, argv, env)
    except OSError as error:
        raise StartFailure(f"exec {path}: {(error.strerror or '').lower()}") from error


def find_program(name: str, path: str) -> str:
    """The file that a command name means, as a container runtime looks it up."""
    if "/" in name:
        if not os.path.exists(name):
            raise StartFailure(f'exec: "{name}": stat {name}: no such file or directory')
        if os.path.isdir(name) or not os.access(name, os.X_OK):
            raise StartFailure(f'exec: "{name}": permission denied')
        return name
    for folder in path.split(":"):
        found = os.path.join(folder or ".", name)
        if os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    raise StartFailure(f'exec: "{name}": executable file not found in $PATH')


def _terminal(channel: socket.socket) -> list[int]:
    """A terminal of the container's own; its master side goes to the monitor."""
    master, slave = os.openpty()
    socket.send_fds(channel, [b'{"terminal": true}\n'], [master])
    os.close(master)
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return [slave, slave, slave]


def resize(master: int, width: int, height: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
