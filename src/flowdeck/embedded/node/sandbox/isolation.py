"""What a process does to itself, just before it runs a container's command: join, build a root, let go of rights.

Runs in children of the zygote; standard library only. The driver's plan says what to do (plan.py has its fields).
The order matters: namespaces are joined from the outside, the root is built with the machine's files still in sight,
then the old root goes, then every right that a container has no use for.
"""

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flowdeck.embedded.node.sandbox import linux, paths, seccomp

Plan = dict[str, Any]

DAC_OVERRIDE = 1
_REBUILT = {"proc", "sys", "dev", "tmp", "run", "boot", "lost+found"}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/interrupts",
    "/proc/kallsyms", "/proc/kmsg", "/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing",
    "/sys/kernel/security", "/sys/devices/virtual/powercap",
)  # fmt: skip
_FEW = 256
"""Entries of a folder that are mounted one by one."""
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_REAL_FILE_SYSTEMS = {
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "nfs", "nfs4", "fuseblk", "virtiofs", "9p",
    "squashfs", "erofs", "bcachefs",
}  # fmt: skip


def open_namespaces(process: int | str, kinds: Iterable[str]) -> list[int]:
    """Open namespaces of a process, to `enter` in that order."""
    return [os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]


def enter(namespaces: Iterable[int]) -> None:
    """Joins each one that is not ours already, and closes them. A user namespace gives the right to join its own."""
    for fd in namespaces:
        if os.fstat(fd).st_ino not in _own_namespaces():
            linux.setns(fd)
        os.close(fd)


def _own_namespaces() -> set[int]:
    kinds = ("user", "net", "ipc", "uts", "mnt", "pid_for_children", "cgroup")
    return {os.stat(f"/proc/self/ns/{kind}").st_ino for kind in kinds}


def become_mapped(user: int, group: int) -> None:
    """Enters a new user namespace in which we, and nobody else, have that user and group id."""
    outer_user, outer_group = os.geteuid(), os.getegid()
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {outer_user} 1"),
        ("gid_map", f"{group} {outer_group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


class Root:
    """Builds one container's root below `plan["root"]["build"]`, in a mount namespace of its own."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._root: dict[str, Any] = plan["root"]
        self._build: str = self._root["build"]
        self._top = f"{self._build}/top"
        self._written: list[str] = []
        """Mount points that `readOnlyRootFilesystem` makes read-only."""

    def build_and_enter(self) -> None:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        os.umask(0o022)
        os.makedirs(self._top, exist_ok=True)
        linux.mount(self._top, self._top, flags=linux.MS_BIND)
        linux.make_safe(self._top)
        self._written.append(self._top)
        if self._root["image"]:
            self._overlay(self._root["image"], self._top, "image")
        else:
            self._machine()
        self._kernel_files()
        for entry in sorted(self._root["tmpfs"], key=lambda entry: str(entry["target"])):
            self._tmpfs(entry)
        hidden = [self._top + path for path in self._root["hidden"] if self._hide(self._top + path)]
        for entry in sorted(self._root["mounts"], key=lambda entry: str(entry["target"]).count("/")):
            self._bind(entry)
        self._work_folder(self._plan["cwd"])
        for path in hidden:
            linux.make_read_only(path)
        if self._root["read_only"]:
            for path in self._written:
                linux.make_read_only(path)
        linux.pivot_root(self._top)

    # the machine's own root, copy on write

    def _machine(self) -> None:
        for entry in os.scandir("/"):
            if entry.name in _REBUILT:
                os.makedirs(f"{self._top}/{entry.name}", exist_ok=True)
            elif entry.is_symlink():
                with contextlib.suppress(FileExistsError):
                    os.symlink(os.readlink(entry.path), f"{self._top}/{entry.name}")
            elif entry.is_dir() and not _is_empty(entry.path):
                self._copy_on_write(entry.path)
            elif entry.is_dir():
                os.makedirs(f"{self._top}/{entry.name}", exist_ok=True)
        for path in _further_mounts():
            if not any(_is_below(path, hidden) for hidden in self._root["hidden"]):
                with contextlib.suppress(OSError):
                    self._copy_on_write(path)

    def _copy_on_write(self, path: str) -> None:
        target = self._top + path
        os.makedirs(target, exist_ok=True)
        try:
            self._overlay(path, target, path.strip("/").replace("/", "!"))
        except OSError:  # a file system that cannot be a lower layer, or one with locked mounts below it
            entries = _few_entries(path) if _has_mounts_below(path) else ()
            if entries:
                self._entry_by_entry(entries)
                os.chmod(target, stat.S_IMODE(os.stat(path).st_mode))
            else:
                self._read_only(path)

    def _entry_by_entry(self, entries: Iterable[os.DirEntry[str]]) -> None:
        """A folder of the container's own, with what is in the machine's."""
        for entry in entries:
            target = self._top + entry.path
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), target)
            elif entry.is_dir():
                self._copy_on_write(entry.path)
            elif entry.is_file():
                paths.touch(target)
                self._read_only(entry.path)

    def _read_only(self, path: str) -> None:
        target = self._top + path
        linux.mount(path, target, flags=linux.MS_BIND | linux.MS_REC)
        linux.make_safe(target, recursive=True)
        linux.make_read_only(target, recursive=True)

    def _overlay(self, lower: str, target: str, name: str) -> None:
        upper, work = f"{self._build}/upper/{name}", f"{self._build}/work/{name}"
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        meta = os.stat(lower)
        os.chmod(upper, stat.S_IMODE(meta.st_mode))
        options = f"lowerdir={_escaped(lower)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
        if self._plan["rootless"]:
            options += ",userxattr"
        linux.mount("overlay", target, "overlay", linux.MS_NODEV | linux.MS_NOSUID, options)
        self._written.append(target)

    def _hide(self, target: str) -> bool:
        """Covers a folder with an empty one (True), a file with nothing; where there is none, nothing is needed."""
        if os.path.realpath(target) != target:
            return False
        if os.path.isfile(target):
            linux.mount("/dev/null", target, flags=linux.MS_BIND)
        if not os.path.isdir(target):
            return False
        linux.mount("none", target, "tmpfs", linux.MS_NODEV | linux.MS_NOSUID, "size=1m,mode=755")
        return True

    # what the kernel shows

    def _kernel_files(self) -> None:
        flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
        for name in ("proc", "sys", "dev", "tmp", "run", "var/tmp"):
            os.makedirs(f"{self._top}/{name}", exist_ok=True)
        linux.mount("proc", f"{self._top}/proc", "proc", flags, self._root.get("proc", ""))
        try:
            linux.mount("sysfs", f"{self._top}/sys", "sysfs", flags | linux.MS_RDONLY)
        except OSError:  # the network namespace is not ours
            linux.mount("/sys", f"{self._top}/sys", flags=linux.MS_BIND | linux.MS_REC)
            linux.make_read_only(f"{self._top}/sys", recursive=True)
            linux.mount("none", f"{self._top}/sys/fs/cgroup", "tmpfs", flags | linux.MS_RDONLY, "size=4k,mode=755")
        self._devices()
        for path in _READ_ONLY:
            target = self._top + path
            if os.path.exists(target):
                linux.mount(target, target, flags=linux.MS_BIND | linux.MS_REC)
                linux.make_read_only(target, recursive=True)
        for path in _MASKED:
            self._mask(self._top + path)

    def _mask(self, target: str) -> None:
        if os.path.isdir(target):
            linux.mount("none", target, "tmpfs", linux.MS_RDONLY, "size=4k,mode=555")
        elif os.path.exists(target):
            linux.mount("/dev/null", target, flags=linux.MS_BIND)

    def _devices(self) -> None:
        dev = f"{self._top}/dev"
        linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "size=64k,mode=755")
        for name in (*_DEVICES, *self._root["devices"]):
            source, target = f"/dev/{name}", f"{dev}/{name}"
            if os.path.exists(source):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                paths.touch(target)
                linux.mount(source, target, flags=linux.MS_BIND)
        for name, link in (
            ("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"),
        ):  # fmt: skip
            os.symlink(link, f"{dev}/{name}")
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(f"{dev}/{name}")
        quiet = linux.MS_NOSUID | linux.MS_NOEXEC
        linux.mount("devpts", f"{dev}/pts", "devpts", quiet, "newinstance,ptmxmode=0666,mode=0620")
        with contextlib.suppress(OSError):
            linux.mount("mqueue", f"{dev}/mqueue", "mqueue", quiet | linux.MS_NODEV)
        linux.mount("/dev/shm", f"{dev}/shm", flags=linux.MS_BIND)  # the pod's: its holder mounted it there

    # what the pod asks for

    def _tmpfs(self, entry: dict[str, Any]) -> None:
        target = paths.resolve_inside(self._top, entry["target"], folder=True)
        linux.mount(
            "tmpfs", target, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode={entry['mode']},size={entry['size']}"
        )

    def _bind(self, entry: dict[str, Any]) -> None:
        source = os.open(entry["source"], os.O_PATH | os.O_CLOEXEC)
        try:
            if entry.get("sub_path"):
                source = paths.open_sub_path(source, entry["sub_path"])
            is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
            try:
                target = paths.resolve_inside(self._top, entry["target"], folder=is_folder)
            except OSError:
                if entry.get("optional"):
                    return
                raise
            recursive = linux.MS_REC if entry.get("recursive") else 0
            linux.mount(f"/proc/self/fd/{source}", target, flags=linux.MS_BIND | recursive)
        finally:
            os.close(source)
        linux.make_safe(target, recursive=bool(recursive))
        if entry["read_only"]:
            linux.make_read_only(target, recursive=bool(recursive))
        self._hide_below(target, entry["source"])

    def _hide_below(self, target: str, source: str) -> None:
        """A host path that holds what is hidden must not show it at its new place either."""
        outer = os.path.realpath(source)
        for hidden in self._root["hidden"]:
            if _is_below(hidden, outer) and hidden != outer:
                inner = target + hidden[len(outer.rstrip("/")) :]
                if os.path.isdir(inner):
                    linux.mount("none", inner, "tmpfs", linux.MS_RDONLY, "size=4k,mode=555")

    def _work_folder(self, path: str) -> None:
        """The working directory exists, as a container runtime makes it; a fresh one is the user's."""
        with contextlib.suppress(OSError):
            is_new = not os.path.lexists(self._top + path)
            target = paths.resolve_inside(self._top, path, folder=True)
            if is_new and not self._plan["rootless"]:
                os.chown(target, self._plan["uid"], self._plan["gid"])


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:  # nobody of us may look: the overlay shows that, too
        return False


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _mounts() -> Iterator[tuple[str, str]]:
    """Mount points and their file systems."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            yield left.split()[4].encode().decode("unicode_escape"), right.split()[0]


def _few_entries(path: str) -> Sequence[os.DirEntry[str]]:
    """What is in a folder; nothing where it is much, or nobody may look."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return ()
    return entries if len(entries) <= _FEW else ()


def _has_mounts_below(path: str) -> bool:
    return any(mount != path and _is_below(mount, path) for mount, _ in _mounts())


def _further_mounts() -> Iterator[str]:
    """Mount points of real file systems below the root, outermost first."""
    found = {
        path
        for path, kind in _mounts()
        if path != "/" and path.split("/")[1] not in _REBUILT and kind in _REAL_FILE_SYSTEMS
    }
    return iter(sorted(path for path in found if os.path.isdir(path)))


def drop_rights(plan: Plan) -> None:
    """Becomes the container's user with no more rights than a container has; there is no way back."""
    kept = set(plan["capabilities"])
    linux.bound_capabilities(kept)
    with contextlib.suppress(OSError):
        linux.new_session_keyring()
    become_user(plan)
    linux.set_capabilities(kept & linux.capabilities() if plan["uid"] == 0 else set())
    linux.forbid_new_privileges()
    code = seccomp.program(linux.MACHINE) if plan["seccomp"] else None
    if code is not None:
        linux.install_seccomp(code)


def become_user(plan: Plan) -> None:
    """Takes the container's user and groups, where they are not ours already."""
    if not plan["rootless"]:
        os.setgroups(plan["groups"])
    if os.getgid() != plan["gid"]:
        os.setresgid(plan["gid"], plan["gid"], plan["gid"])
    if os.getuid() != plan["uid"]:
        os.setresuid(plan["uid"], plan["uid"], plan["uid"])


def become_user_of_plain(plan: Plan) -> None:
    """The same in the plain driver. There a user other than root still has what it takes to reach the pod's folders,
    which nobody else may enter: it may read and write what root may, as every plain container may."""
    if plan["rootless"] or plan["uid"] == 0:
        become_user(plan)
        return
    linux.keep_capabilities_over_setuid()
    become_user(plan)
    linux.set_capabilities({DAC_OVERRIDE}, ambient=True)
