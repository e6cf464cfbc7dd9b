"""A warm fork server: an interpreter of an environment, with that environment's modules imported.

Run as `python -c <this file>` by the environment's own Python, inside the sandbox that `warm_launch` makes; standard
library only, and nothing of the platform. It knows no pod. On descriptor 3 it is handed sockets; for each one it forks
a child, which the monitor at the other end (`warm_start`) leads into a container and tells what to run:

    monitor: {"enter", ...} + namespaces       child: {"inside"}, when it has no more rights than the container's init
    monitor: {"run": {argv, env, ...}} + stdio  child: {"started"}, then it is the container's command

Until `started` the child may give up at any step: the monitor then starts the command the ordinary way. What a program
could notice of having started here, and what was done about it, stands in images/README.md.
"""

import base64
import builtins
import contextlib
import ctypes
import gc
import importlib
import importlib.machinery
import json
import mmap
import os
import resource
import select
import site
import socket
import struct
import sys
import time
import types
from typing import Any, Callable, Dict  # noqa: UP035 - environments may have an older Python

Message = Dict[str, Any]  # noqa: UP006
Runner = Callable[[], None]

CONTROL = 3
_PATH = [path for path in sys.path[1:] if not path.endswith("site-packages")]
"""What `site` starts from."""
_COERCED = os.environ.get("LC_CTYPE")  # noqa: TID251 - this is the program
"""Set by the interpreter itself where there is no locale."""
_LONGEST_MESSAGE = 1 << 22
_IGNORE_COOKIE = 0x0800
_OLDEST = (3, 10)
_libc = ctypes.CDLL(None, use_errno=True)


class GiveUp(Exception):
    """This command cannot be started here as if by an interpreter of its own."""


def main() -> None:
    """Imports what the argument says, then serves; returns (in a child) when the container's command has ended."""
    os.dup2(0, 1)
    os.dup2(0, 2)
    os.closerange(4, 64)
    wanted = json.loads(sys.argv[1])
    control = socket.socket(fileno=CONTROL)
    os.environ.update(wanted["env"])  # noqa: TID251
    try:
        _import(wanted["preload"])
        trouble = _unfit()
    except BaseException as error:  # noqa: BLE001 - the code of others may raise anything, even SystemExit
        trouble = f"importing the modules to preload raised {error!r}"
    if trouble:
        control.send(json.dumps({"failed": trouble}).encode() + b"\n")
        return
    control.send(json.dumps({"ready": True, "pid": os.getpid()}).encode() + b"\n")
    _serve(control, wanted["idle_s"])


def _import(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(ImportError):  # the pods import it themselves, and see why
            importlib.import_module(name)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork() == 0:  # libraries end their threads before a fork
        os._exit(0)
    os.wait()
    gc.collect()


def _unfit() -> str:
    """Why forks of this process would not be sound; empty when they are."""
    if sys.version_info < _OLDEST:
        return "its Python is older than 3.10"
    if len(os.listdir("/proc/self/task")) > 1:
        return "the preloaded modules start threads"
    fds = set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, CONTROL}
    if any(os.path.exists(f"/proc/self/fd/{fd}") for fd in fds):
        return "the preloaded modules keep files open"
    with open("/proc/self/maps") as file:
        if any(line.split()[1] in ("rw-s", "rwxs") for line in file):
            return "the preloaded modules share memory between processes"
    return ""


def _serve(control: socket.socket, idle_s: float) -> None:
    while select.select([control], [], [], idle_s or None)[0]:
        data, fds, _, _ = socket.recv_fds(control, 64, 16)
        if not data:
            return
        for fd in fds:
            if os.fork() == 0:
                control.close()
                _become(socket.socket(fileno=fd))
                return
            os.close(fd)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


# into the container


def _become(channel: socket.socket) -> None:
    try:
        enter, namespaces = _receive(channel)
        if not _enter(namespaces):
            os._exit(0)
        _drop_rights(enter)
        channel.send(b'{"inside": true}\n')
        told, stdio = _receive(channel)
        run = told["run"]
        program = _command(run)
        _take_place(run, stdio)
        code = _prepare(run, program)
        channel.send(b'{"started": true}\n')
    except BaseException:  # noqa: BLE001 - whatever it was, the ordinary start comes instead
        os._exit(1)
    channel.close()
    code()


def _receive(channel: socket.socket) -> tuple[Message, list[int]]:
    data, fds = b"", []
    while not data.endswith(b"\n"):
        more, got, _, _ = socket.recv_fds(channel, _LONGEST_MESSAGE, 8)
        if not more:
            os._exit(0)
        data += more
        fds += got
    return json.loads(data), fds


def _enter(namespaces: list[int]) -> bool:
    """Joins a container; returns True in the process that is in it, a child of its init."""
    for fd in namespaces:
        _check(_libc.setns(fd, 0))
        os.close(fd)
    if inner := os.fork():  # the process namespace holds for children only
        os.waitpid(inner, 0)
        return False
    if os.fork():  # an orphan in that namespace becomes a child of its init
        os._exit(0)
    while os.getppid() != 1:
        time.sleep(0.0001)
    return True


def _drop_rights(enter: Message) -> None:
    """What `isolation.drop_rights` does; the monitor looks whether it was done."""
    kept = set(enter["capabilities"])
    for number in range(41):
        if number not in kept:
            _libc.prctl(24, ctypes.c_ulong(number), 0, 0, 0)
    os.setgroups(enter["groups"])
    os.setresgid(*[enter["gid"]] * 3)
    os.setresuid(*[enter["uid"]] * 3)
    own = kept if enter["uid"] == 0 else ()
    low, high = (sum(1 << (number - base) for number in own if base <= number < base + 32) for base in (0, 32))
    header, body = struct.pack("Ii", 0x20080522, 0), struct.pack("IIIIII", low, low, 0, high, high, 0)
    _check(_libc.capset(ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(body, 24)))
    if enter["seccomp"]:
        program = base64.b64decode(enter["seccomp"])
        code = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
        _check(_libc.prctl(22, ctypes.c_ulong(2), ctypes.create_string_buffer(head, len(head)), 0, 0))
    _check(_libc.prctl(4, 1, 0, 0, 0))  # dumpable, as after an exec


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# as the command


def _take_place(run: Message, stdio: list[int]) -> None:
    os.setsid()
    for number, fd in enumerate(stdio):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    for name, value in run["limits"].items():
        try:
            resource.setrlimit(getattr(resource, name), (value, value))
        except (ValueError, OSError):
            continue
    os.chdir(run["cwd"])
    os.umask(0o022)
    _libc.prctl(15, os.path.basename(run["argv"][0]).encode()[:15], 0, 0, 0)
    env = dict(run["env"])
    if _COERCED is not None:
        env.setdefault("LC_CTYPE", _COERCED)
    os.environ.clear()  # noqa: TID251
    os.environ.update(env)  # noqa: TID251
    time.tzset()
    _show(run["argv"], run["env"])


def _show(argv: list[str], env: dict[str, str]) -> None:
    """Makes `/proc/self/cmdline` and `environ` the command's, where the kernel lets us."""
    arguments = b"".join(os.fsencode(word) + b"\0" for word in argv)
    variables = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())
    memory = mmap.mmap(-1, len(arguments) + len(variables) + 1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(arguments + variables)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    _KEPT.append(memory)
    with open("/proc/self/stat", "rb") as file:
        stat = [int(word) if word.isdigit() else 0 for word in file.read().rpartition(b")")[2].split()]
    start_code, end_code, stack = stat[23:26]
    start_data, end_data, start_brk = stat[42:45]
    _libc.sbrk.restype = ctypes.c_void_p
    middle = start + len(arguments)
    layout = struct.pack(
        "11QQIi", start_code, end_code, start_data, end_data, start_brk, _libc.sbrk(0), stack, start, middle, middle,
        middle + len(variables), 0, 0, -1,
    )  # fmt: skip
    _libc.prctl(35, 14, ctypes.create_string_buffer(layout, len(layout)), ctypes.c_ulong(len(layout)), 0)


_KEPT: list[object] = []


def _command(run: Message) -> str:
    """The interpreter's path that this command means."""
    name = run["argv"][0]
    places = [name] if name.startswith("/") else [f"{folder}/{name}" for folder in run["env"]["PATH"].split(":")]
    path = next((place for place in places if os.access(place, os.X_OK) and os.path.isfile(place)), "")
    if os.path.dirname(path) != run["environment"] + "/bin" or os.path.realpath(path) != os.path.realpath(_base()):
        raise GiveUp(path)
    return path


def _prepare(run: Message, program: str) -> Runner:
    """Makes the interpreter what a fresh one would be; returns what runs the code."""
    words = run["argv"][1:]
    sys.orig_argv[:] = run["argv"]
    _move(program)
    _renew()
    main_module = types.ModuleType("__main__")
    main_module.__loader__ = importlib.machinery.BuiltinImporter
    main_module.__annotations__ = {}
    vars(main_module)["__builtins__"] = builtins
    if words[0] == "-c":
        sys.argv[:] = ["-c", *words[2:]]
        first, code = "", _source_runner(words[1] + "\n")
    elif words[0] == "-m":
        if words[1] in sys.modules:
            raise GiveUp("it would be loaded twice")
        sys.argv[:] = ["-m", *words[2:]]
        first, code = os.getcwd(), _module_runner(words[1])
    else:
        sys.argv[:] = words
        first, code = os.path.dirname(os.path.realpath(words[0])), _file_runner(words[0])
    _refuse_namesakes(first or os.getcwd())
    sys.path.insert(0, first)
    sys.modules["__main__"] = main_module
    return code


def _move(program: str) -> None:
    """From the shared environment to the container's own, as `site` would have found it."""
    base = os.path.join(os.path.dirname(_base()), os.path.basename(program))
    if _base() == os.path.realpath(sys.executable):  # since Python 3.11
        base = os.path.realpath(program)
    if os.path.exists(base):
        vars(sys)["_base_executable"] = base
    sys.executable = program
    sys.prefix, sys.exec_prefix = sys.base_prefix, sys.base_exec_prefix
    sys.path[:] = _PATH
    site.PREFIXES[:] = [sys.base_prefix, sys.base_exec_prefix]
    site.main()
    sys.path_importer_cache.clear()
    sys.modules.pop("sysconfig", None)


def _base() -> str:
    """The interpreter that the environment was made of."""
    return str(vars(sys)["_base_executable"])


def _renew() -> None:
    """What modules remember of the process that imported them."""
    for name, attribute, value in (
        ("multiprocessing.process", "ORIGINAL_DIR", os.getcwd()),
        ("tempfile", "tempdir", None),
        ("tempfile", "_name_sequence", None),
        ("platform", "_uname_cache", None),
        ("platform", "_platform_cache", {}),
        ("uuid", "_node", None),
        ("logging", "_startTime", time.time()),  # noqa: TID251
    ):
        if name in sys.modules:
            setattr(sys.modules[name], attribute, value)
    if module := sys.modules.get("numpy.random"):
        module.seed()
    if module := sys.modules.get("multiprocessing.process"):
        module.current_process().authkey = os.urandom(32)
    if module := sys.modules.get("multiprocessing.spawn"):
        module.set_executable(sys.executable)


def _refuse_namesakes(folder: str) -> None:
    """A module beside the script comes before the preloaded one of that name: then there is no warm start."""
    if os.path.isdir(folder):
        names = {entry.partition(".")[0] for entry in os.listdir(folder)}
        if names & {name.partition(".")[0] for name in sys.modules} - set(sys.builtin_module_names):
            raise GiveUp("a namesake of a preloaded module")


def _source_runner(source: str) -> Runner:
    text = source.encode()
    run = ctypes.pythonapi.PyRun_SimpleStringFlags
    flags = ctypes.create_string_buffer(struct.pack("ii", _IGNORE_COOKIE, sys.version_info[1]), 8)
    return lambda: _end(run(ctypes.c_char_p(text), flags))


def _file_runner(path: str) -> Runner:
    if not os.path.isfile(path) or path.endswith((".pyc", ".zip", ".pyz")):
        raise GiveUp(path)
    run = ctypes.pythonapi.PyRun_SimpleFileExFlags
    run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    _libc.fopen.restype = ctypes.c_void_p
    file = _libc.fopen(os.fsencode(path), b"rbe")
    if not file:
        raise GiveUp(path)
    whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"
    return lambda: _end(run(file, os.fsencode(whole), 1, None))


def _module_runner(name: str) -> Runner:
    import runpy

    def run() -> None:
        try:
            vars(runpy)["_run_module_as_main"](name, True)
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - told as the interpreter tells it
            trace = error.__traceback__ and error.__traceback__.tb_next
            sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
            sys.excepthook(type(error), error.with_traceback(trace), trace)
            _end(-1)

    return run


def _end(result: int) -> None:
    """Returns to the interpreter, which ends as ever: threads, atexit, buffers; by the signal after an interrupt."""
    if result and getattr(sys, "last_type", None) is not KeyboardInterrupt:
        raise SystemExit(1)


main()
