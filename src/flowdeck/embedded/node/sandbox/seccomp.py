"""A system call filter for containers: what no container needs and some kernels regret. Standard library only.

Refuses with EPERM what a container runtime's default profile refuses: kernel modules, keys, mounts, namespaces,
clocks, swap, raw I/O ports, tracing of the kernel. `clone3` answers ENOSYS, so that libraries fall back to `clone`,
whose flags can be looked at. Foreign architectures (32-bit calls) are refused whole.
"""

import struct
from collections.abc import Sequence

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_EPERM, _ENOSYS = 1, 38
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_NEW_NAMESPACES = 0x7E020000  # all CLONE_NEW* flags of clone(2)

_LOAD, _JEQ, _JSET, _JGE, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06

REFUSED: dict[str, tuple[int, int]] = {  # name: (x86_64, aarch64); -1: the machine has no such call
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "acct": (163, 89), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "create_module": (174, -1),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "syslog": (103, 116),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "unshare": (272, 97), "setns": (308, 268), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264),
    "swapon": (167, 224), "swapoff": (168, 225), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "iopl": (172, -1), "ioperm": (173, -1), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42),
    "vhangup": (153, 58), "uselib": (134, -1), "ustat": (136, -1), "sysfs": (139, -1), "kcmp": (312, 272),
    "process_vm_writev": (311, 271), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "fanotify_init": (300, 262), "sethostname": (170, 161),
    "setdomainname": (171, 162), "personality": (135, 92),
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_READ_PERSONALITY = 0xFFFFFFFF


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def program(machine: str, *, allowed: Sequence[str] = ()) -> bytes | None:
    """The filter for that machine type; None where we know no numbers (then there is no filter).

    `allowed` are names of `REFUSED` that are let through.
    """
    if machine not in _AUDIT_ARCH:
        return None
    column = 0 if machine == "x86_64" else 1
    refused = sorted({numbers[column] for name, numbers in REFUSED.items() if name not in allowed} - {-1})
    refused.remove(REFUSED["personality"][column])
    return b"".join(_instructions(machine, refused, REFUSED["personality"][column]))


def _instructions(machine: str, refused: Sequence[int], personality: int) -> list[bytes]:
    refuse = _op(_RETURN, _ERRNO | _EPERM)
    code = [_op(_LOAD, 4), _op(_JEQ, _AUDIT_ARCH[machine], 1, 0), refuse, _op(_LOAD, 0)]
    if machine == "x86_64":
        code += [_op(_JGE, 0x40000000, 0, 1), refuse]  # the x32 numbers are other names of the same calls
    for number in refused:
        code += [_op(_JEQ, number, 0, 1), refuse]
    code += [_op(_JEQ, _CLONE3, 0, 1), _op(_RETURN, _ERRNO | _ENOSYS)]
    # personality(0xffffffff) only asks, and 0 is what everybody has
    code += [
        _op(_JEQ, personality, 0, 5), _op(_LOAD, 16), _op(_JEQ, _READ_PERSONALITY, 2, 0), _op(_JEQ, 0, 1, 0), refuse,
        _op(_RETURN, _ALLOW),
    ]  # fmt: skip
    code += [_op(_JEQ, _CLONE[machine], 0, 3), _op(_LOAD, 16), _op(_JSET, _NEW_NAMESPACES, 0, 1), refuse]
    return [*code, _op(_RETURN, _ALLOW)]
