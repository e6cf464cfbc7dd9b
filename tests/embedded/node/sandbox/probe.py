"""What a program can see of how it was started; prints it as JSON. Run by an environment's own Python."""

import atexit
import gc
import json
import os
import random
import re
import resource
import signal
import site
import sys
import sysconfig
import threading
import warnings
from typing import TextIO

_main = vars(sys.modules["__main__"])


def status() -> dict[str, str]:
    with open("/proc/self/status") as file:
        found = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    names = (
        "Name", "Umask", "PPid", "TracerPid", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd",
        "CapAmb", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "Threads", "Cpus_allowed_list",
    )  # fmt: skip
    return {name: found[name] for name in names}


def stream(file: TextIO) -> list[object]:
    names = ("name", "mode", "encoding", "errors", "line_buffering", "write_through", "newlines")
    return [*(str(getattr(file, name, None)) for name in names), type(file).__name__, file.isatty(), file.seekable()]


def read(path: str) -> str:
    with open(path, "rb") as file:
        return file.read().decode(errors="replace")


def child(method: str) -> object:
    import multiprocessing

    context = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        return pool.apply(abs, (-7,))


def seen() -> dict[str, object]:
    ours = (os.getpid(), os.getsid(0), os.getpgrp())
    return {
        "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "flags": str(sys.flags),
        "executable": sys.executable, "base_executable": vars(sys)["_base_executable"],
        "prefix": [sys.prefix, sys.exec_prefix],
        "base_prefix": [sys.base_prefix, sys.base_exec_prefix], "platlibdir": sys.platlibdir,
        "main": {name: re.sub("0x[0-9a-f]+", "", str(_main.get(name))) for name in (
            "__name__", "__file__", "__package__", "__spec__", "__doc__", "__cached__", "__annotations__",
            "__builtins__",
        )},
        "loader": str(type(_main["__loader__"])), "main names": [name for name in _main if name.startswith("__")],
        "xoptions": sys._xoptions, "warnoptions": sys.warnoptions, "filters": str(warnings.filters),
        "environ": dict(os.environ), "cwd": os.getcwd(), "status": status(),
        "cmdline": read("/proc/self/cmdline"), "comm": read("/proc/self/comm"),
        "proc environ": sorted(read("/proc/self/environ").split("\0")),
        "exe": os.readlink("/proc/self/exe"), "root": os.stat("/").st_ino and sorted(os.listdir("/")),
        "leader": ours[0] == ours[1] == ours[2], "ppid": os.getppid(),
        "fds": [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")],
        "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr), sys.stdout is sys.__stdout__],
        "limits": [resource.getrlimit(number) for number in range(16)],
        "handlers": {number: str(signal.getsignal(number)) for number in sorted(signal.valid_signals())},
        "main thread": [threading.current_thread() is threading.main_thread(), threading.active_count(),
            threading.main_thread().native_id == os.getpid(), threading.main_thread().ident == threading.get_ident()],
        "gc": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()], "recursion": sys.getrecursionlimit(),
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__, sys.gettrace(),
            sys.getprofile()],
        "site": [site.ENABLE_USER_SITE, sorted(set(site.PREFIXES)), site.getsitepackages()],
        "sysconfig": sysconfig.get_paths(), "encoding": [sys.getfilesystemencoding(), sys.getdefaultencoding()],
        "oom": read("/proc/self/oom_score_adj"), "mounts": read("/proc/self/mountinfo").count("\n"),
        "nice": os.getpriority(os.PRIO_PROCESS, 0), "umask": os.umask(0o022), "host": os.uname().nodename,
        "start methods": [child(method) for method in ("fork", "spawn", "forkserver")],
        "spawned": os.spawnv(os.P_WAIT, sys.executable, ["python", "-c", "import heavy, sys; sys.exit(heavy.NUMBER)"]),
        "dumpable": os.access("/proc/self/mem", os.W_OK),
    }  # fmt: skip


if __name__ == "__main__":
    before = "heavy" in sys.modules
    found = seen()
    atexit.register(print, "at exit")
    print(json.dumps({"seen": found, "preloaded": before, "random": random.random(), "hash": hash("text")}))
    threading.Thread(target=lambda: print("a thread's last words")).start()
    if len(sys.argv) > 1 and sys.argv[1] == "raise":
        raise ValueError("as asked")
    if len(sys.argv) > 1 and sys.argv[1] == "interrupt":
        signal.raise_signal(signal.SIGINT)
    if len(sys.argv) > 1 and sys.argv[1].isdigit():
        sys.exit(int(sys.argv[1]))
