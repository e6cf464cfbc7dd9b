"""The system calls that Python's standard library does not have, by ctypes. Standard library only."""

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19

MNT_DETACH = 2

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_PR_CAP_AMBIENT_RAISE = 2

_CAP_VERSION_3 = 0x20080522
LAST_CAPABILITY = 40

_NUMBERS = {  # pivot_root, capset, mount_setattr, close_range, keyctl
    "x86_64": {"pivot_root": 155, "capset": 126, "mount_setattr": 442, "keyctl": 250},
    "aarch64": {"pivot_root": 41, "capset": 91, "mount_setattr": 442, "keyctl": 219},
}
MACHINE = os.uname().machine

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(name: str, *args: object, what: str = "") -> int:
    return _check(_libc.syscall(ctypes.c_long(_NUMBERS[MACHINE][name]), *args), what or name)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None
    )
    _check(result, f"mount {kind or 'bind'} {source} on {target}")


def unmount(target: str) -> None:
    """Takes a mount away lazily."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def make_read_only(target: str, *, recursive: bool = False) -> None:
    """Makes a mount (and those below it) read-only, without touching its other flags."""
    attributes = struct.pack("QQQQ", 1, 0, 0, 0)  # attr_set = MOUNT_ATTR_RDONLY
    set_mount_attributes(target, attributes, recursive=recursive)


def make_safe(target: str, *, recursive: bool = False) -> None:
    """Makes a mount ignore set-user-id bits and device nodes."""
    set_mount_attributes(target, struct.pack("QQQQ", 2 | 4, 0, 0, 0), recursive=recursive)


def set_mount_attributes(target: str, attributes: bytes, *, recursive: bool) -> None:
    """mount_setattr(2); `attributes` is its struct: set, clear, propagation, user namespace."""
    at_recursive = 0x8000 if recursive else 0
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    _syscall(
        "mount_setattr", ctypes.c_int(-100), target.encode(), ctypes.c_uint(at_recursive), buffer,
        ctypes.c_size_t(len(attributes)), what=f"mount_setattr {target}",
    )  # fmt: skip


def pivot_root(new_root: str) -> None:
    """Makes `new_root` (a mount) the root of this mount namespace and lets go of the old one."""
    os.chdir(new_root)
    _syscall("pivot_root", b".", b".")  # the old root ends stacked on the new one, ...
    unmount(".")  # ... and goes here
    os.chdir("/")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int = 0) -> None:
    _check(_libc.setns(fd, kind), "setns")


def set_hostname(name: str) -> None:
    raw = name.encode()
    _check(_libc.sethostname(raw, ctypes.c_size_t(len(raw))), "sethostname")


def die_with_parent(signal_number: int) -> None:
    """Asks the kernel for that signal when the parent dies."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl pdeathsig")


def become_subreaper() -> None:
    """Orphans of this process's descendants become its children."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl subreaper")


def hide_from_tracing() -> None:
    """Closes `/proc/<pid>/{exe,fd,mem,root,...}` of this process to all but the machine's administrator."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl dumpable")


def forbid_new_privileges() -> None:
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl no_new_privs")


def keep_capabilities_over_setuid() -> None:
    """For good. access(2), too, then counts the capabilities of a process that is not root."""
    no_setuid_fixup = 1 << 2
    _check(_libc.prctl(_PR_SET_SECUREBITS, ctypes.c_ulong(no_setuid_fixup), 0, 0, 0), "prctl securebits")


def bound_capabilities(kept: set[int]) -> None:
    """Drops all others from the bounding set, so that no program can ever get them."""
    for capability in range(LAST_CAPABILITY + 1):
        if capability not in kept:
            _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)  # unknown numbers fail: fine


def set_capabilities(kept: set[int], *, ambient: bool = False) -> None:
    """Makes `kept` the permitted, effective and inheritable sets; drops the ambient ones, or raises them too."""
    words = [sum(1 << (c - 32 * w) for c in kept if 32 * w <= c < 32 * (w + 1)) for w in range(2)]
    inheritable = words if ambient else [0, 0]
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAP_VERSION_3, 0), 8)
    body = struct.pack("IIIIII", words[0], words[0], inheritable[0], words[1], words[1], inheritable[1])
    _syscall("capset", header, ctypes.create_string_buffer(body, len(body)))
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if ambient:
        for capability in kept:
            _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, ctypes.c_ulong(capability), 0, 0)


def capabilities() -> set[int]:
    """What this process may do now (its permitted set)."""
    with open("/proc/self/status", encoding="ascii") as status:
        bits = next(int(line.split()[1], 16) for line in status if line.startswith("CapPrm:"))
    return {c for c in range(LAST_CAPABILITY + 1) if bits >> c & 1}


def new_session_keyring() -> None:
    """Leaves the keys of whoever started the platform behind."""
    _syscall("keyctl", ctypes.c_int(1), ctypes.c_char_p(None))  # KEYCTL_JOIN_SESSION_KEYRING


def install_seccomp(program: bytes) -> None:
    """Sets a BPF program (an array of sock_filter) as this process's system call filter, for ever."""
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    result = _libc.prctl(22, ctypes.c_ulong(2), ctypes.create_string_buffer(head, len(head)), 0, 0)
    _check(result, "prctl seccomp")


def close_from(lowest: int, keep: set[int]) -> None:
    """Closes every file descriptor from `lowest` on, but for `keep`."""
    for fd in sorted(keep):
        if fd >= lowest:
            os.closerange(lowest, fd)
            lowest = fd + 1
    os.closerange(lowest, min(1 << 20, os.sysconf("SC_OPEN_MAX")))


def open_beneath(folder: int, path: str, flags: int) -> int:
    """Opens a path below an open folder; a symbolic link that leads out of it raises `OSError` (EXDEV)."""
    resolve_beneath, resolve_no_magic_links = 0x08, 0x02
    how = ctypes.create_string_buffer(struct.pack("QQQ", flags, 0, resolve_beneath | resolve_no_magic_links), 24)
    result = _libc.syscall(ctypes.c_long(437), ctypes.c_int(folder), path.encode(), how, ctypes.c_size_t(24))
    return _check(result, f"open {path}")


def owner_of_namespace(fd: int) -> int:
    """The user namespace that a namespace belongs to (NS_GET_USERNS)."""
    return _check(_libc.ioctl(ctypes.c_int(fd), ctypes.c_ulong(0xB701)), "ioctl NS_GET_USERNS")
