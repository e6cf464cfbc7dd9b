"""What to run, as the pods' side says it (`ContainerSpec`), and as monitors read it (`to_plan`, JSON)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowdeck.kube.objects import Tree

DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
"""A container runtime's default without MKNOD and NET_RAW, which act on the machine here."""

GRANTABLE = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
    "NET_BIND_SERVICE": 10, "IPC_LOCK": 14, "IPC_OWNER": 15, "SYS_CHROOT": 18, "SYS_NICE": 23, "LEASE": 28,
    "AUDIT_WRITE": 29, "SETFCAP": 31,
}  # fmt: skip
"""Capabilities that a container may have, with their numbers; the others reach beyond its sandbox."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One file or folder of the machine at a path of the container."""

    source: Path
    target: str
    read_only: bool = False
    sub_path: str = ""
    """A path inside `source`, which is opened without ever leaving `source`."""
    recursive: bool = False
    """With what is mounted below it."""
    optional: bool = False
    """Left out where its place cannot be made."""

    def to_tree(self) -> Tree:
        return {
            "source": str(self.source), "target": self.target, "read_only": self.read_only,
            "sub_path": self.sub_path, "recursive": self.recursive, "optional": self.optional,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One attempt to run one container."""

    id: str
    """64 hex digits."""
    folder: Path
    """Where its monitor works."""
    pod_folder: Path
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str = ""
    """Empty: a private, writable folder."""
    user: int | None = None
    group: int | None = None
    groups: Sequence[int] = ()
    mounts: Sequence[Mount] = ()
    tty: bool = False
    stdin: bool = False
    log: Path
    log_max_bytes: int
    log_max_files: int
    read_only_root: bool = False
    add_capabilities: Sequence[str] = ()
    drop_capabilities: Sequence[str] = ()
    share_processes: bool = False
    target: Path | None = None
    """The folder of another container's attempt, whose processes this one shares (namespaces driver)."""
    image_root: Path | None = None
    environment: Path | None = None
    """A Python environment, which must be visible at its path, and writable where it is the container's own."""
    shared_environment: Path | None = None
    """The one that `environment` was made over, if it is the container's own."""
    holds: Sequence[Path] = ()
    """Files on which the monitor keeps a shared lock while the container runs, so that nobody deletes what it needs."""
    preload: Sequence[str] = ()
    """Modules that a warm fork server of the shared environment imports; none: no warm start."""
    preload_env: Mapping[str, str] = field(default_factory=dict)
    """Variables that these modules want while they are imported."""
    keep_warm: bool = False
    """That server is started at the first use, and does not end when idle."""
    devices: Sequence[str] = ()
    """Below `/dev`: `nvidia0`."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """`RLIMIT_...` -> value."""
    control_groups: Sequence[Path] = ()
    oom_counters: Sequence[tuple[str, str]] = ()
    """Files of `key value` lines, and the key that counts processes killed for memory."""
    about: Tree = field(default_factory=dict)
    """What the node wants to find in the plan when it comes back; monitors do not look at it."""
    memory_limit: int = 0
    """Bytes; the monitor enforces it when no control group does. 0: none."""


@dataclass(frozen=True, kw_only=True)
class PodSpec:
    """What the containers of one pod share."""

    folder: Path
    hostname: str
    network: Path | None = None
    share_processes: bool = False
    tmpfs: Sequence[Tree] = ()
    """`{path, size (text of bytes, or ""), group}` of memory-backed volumes."""
    shm_bytes: int = 64 * 1024 * 1024


def capability_numbers(spec: ContainerSpec) -> list[int]:
    """The capabilities of a container's root, after `add` and `drop` (either may say `ALL`)."""
    names = {_bare(name) for name in DEFAULT_CAPABILITIES}
    dropped = {_bare(name) for name in spec.drop_capabilities}
    names = set() if "ALL" in dropped else names - dropped
    added = {_bare(name) for name in spec.add_capabilities}
    names |= set(GRANTABLE) if "ALL" in added else added & set(GRANTABLE)
    return sorted(GRANTABLE[name] for name in names)


def _bare(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def common_plan(spec: ContainerSpec) -> Tree:
    """The fields that every driver's plan has."""
    return {
        "id": spec.id,
        "about": spec.about,
        "tty": spec.tty,
        "stdin": spec.stdin,
        "log": str(spec.log),
        "log_max_bytes": spec.log_max_bytes,
        "log_max_files": spec.log_max_files,
        "holds": [str(path) for path in spec.holds],
        "limits": dict(spec.limits),
        "control_groups": [str(path) for path in spec.control_groups],
        "oom_counters": [list(pair) for pair in spec.oom_counters],
        "memory_limit": spec.memory_limit,
        "share_processes": spec.share_processes,
        "target": str(spec.target) if spec.target else "",
    }
