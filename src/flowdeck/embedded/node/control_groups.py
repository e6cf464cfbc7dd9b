"""Control groups: limits that the kernel keeps, and what containers use. Version 2, or 1 where that is mounted.

One group a container attempt: `<root>/flowdeck-<id>/<pod uid>/<container>.<attempt>`. Where nothing can be written,
there are no groups, and the monitors watch memory themselves.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_MOST_PROCESSES = 16384
_PERIOD_US = 100_000
_V1 = ("memory", "cpu", "cpuacct", "pids")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one container may use; 0: no limit."""

    memory_bytes: int = 0
    cpu_milli: int = 0
    cpu_request_milli: int = 0


@dataclass(frozen=True, kw_only=True)
class Group:
    """The control groups of one container attempt."""

    folders: Sequence[Path] = ()
    oom_counters: Sequence[tuple[str, str]] = ()
    limits_memory: bool = False


@dataclass(frozen=True)
class Used:
    """What a container has used so far."""

    cpu_ns: int
    memory_bytes: int
    working_set_bytes: int


NO_GROUP = Group()


class ControlGroups:
    """The groups of one node."""

    def __init__(self, node_data: Path, root: Path = ROOT) -> None:
        self._root = root
        self._name = "flowdeck-" + hashlib.sha256(str(node_data).encode()).hexdigest()[:12]
        self._is_v2 = (root / "cgroup.controllers").exists()
        self.is_usable = self._try()

    def _try(self) -> bool:
        try:
            for top in self._tops():
                top.mkdir(exist_ok=True)
            if self._is_v2:
                _enable(self._root)
                _enable(self._root / self._name)
            return bool(self._tops())
        except OSError:
            return False

    def _tops(self) -> list[Path]:
        if self._is_v2:
            return [self._root / self._name]
        return [self._root / kind / self._name for kind in _V1 if (self._root / kind / "cgroup.procs").exists()]

    def make(self, pod_uid: str, container: str, attempt: int, limits: Limits) -> Group:
        """The group of a container that is about to start; without any where the machine allows none."""
        if not self.is_usable:
            return NO_GROUP
        folders = [top / pod_uid / f"{container}.{attempt}" for top in self._tops()]
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
                if self._is_v2:
                    _enable(folder.parent)
        except OSError:
            return NO_GROUP
        return self._limit_v2(folders[0], limits) if self._is_v2 else self._limit_v1(folders, limits)

    def _limit_v2(self, folder: Path, limits: Limits) -> Group:
        limited = True
        if limits.memory_bytes:
            limited = _write(folder / "memory.max", str(limits.memory_bytes))
            _write(folder / "memory.swap.max", "0")
            _write(folder / "memory.oom.group", "1")
        if limits.cpu_milli:
            _write(folder / "cpu.max", f"{limits.cpu_milli * _PERIOD_US // 1000} {_PERIOD_US}")
        if limits.cpu_request_milli:
            _write(folder / "cpu.weight", str(min(10000, max(1, limits.cpu_request_milli // 10))))
        _write(folder / "pids.max", str(_MOST_PROCESSES))
        counter = (str(folder / "memory.events"), "oom_kill")
        return Group(folders=[folder], oom_counters=[counter], limits_memory=limited)

    def _limit_v1(self, folders: Sequence[Path], limits: Limits) -> Group:
        by_kind = {folder.relative_to(self._root).parts[0]: folder for folder in folders}
        counters: list[tuple[str, str]] = []
        limited = not limits.memory_bytes
        if memory := by_kind.get("memory"):
            if limits.memory_bytes:
                limited = _write(memory / "memory.limit_in_bytes", str(limits.memory_bytes))
                _write(memory / "memory.memsw.limit_in_bytes", str(limits.memory_bytes))
            counters.append((str(memory / "memory.oom_control"), "oom_kill"))
        if cpu := by_kind.get("cpu"):
            if limits.cpu_milli:
                _write(cpu / "cpu.cfs_period_us", str(_PERIOD_US))
                _write(cpu / "cpu.cfs_quota_us", str(max(1000, limits.cpu_milli * _PERIOD_US // 1000)))
            if limits.cpu_request_milli:
                _write(cpu / "cpu.shares", str(max(2, limits.cpu_request_milli * 1024 // 1000)))
        if pids := by_kind.get("pids"):
            _write(pids / "pids.max", str(_MOST_PROCESSES))
        return Group(folders=folders, oom_counters=counters, limits_memory=limited)

    def used(self, folders: Sequence[str]) -> Used | None:
        """What the processes of a container have used, by its plan's `control_groups`; None where none can tell."""
        if not folders:
            return None
        try:
            if self._is_v2:
                return _used_v2(Path(folders[0]))
            return _used_v1({Path(folder).relative_to(self._root).parts[0]: Path(folder) for folder in folders})
        except (OSError, ValueError, KeyError):
            return None

    def remove(self, pod_uid: str) -> None:
        """Takes away the groups of a pod whose processes are gone; what the kernel still holds is left."""
        for top in self._tops():
            pod = top / pod_uid
            if pod.is_dir():
                for folder in [*(path for path in pod.iterdir() if path.is_dir()), pod]:
                    with contextlib.suppress(OSError):
                        folder.rmdir()

    def end_all(self, pod_uid: str) -> None:
        """Kills what is left in the groups of a pod; nothing should be."""
        for top in self._tops()[:1]:
            for procs in (top / pod_uid).glob("*/cgroup.procs"):
                with contextlib.suppress(OSError):
                    for pid in procs.read_text().split():
                        os.kill(int(pid), 9)


def _enable(folder: Path) -> None:
    has = (folder / "cgroup.subtree_control").read_text().split()
    can = (folder / "cgroup.controllers").read_text().split()
    for controller in ("cpu", "memory", "pids"):
        if controller in can and controller not in has:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _write(path: Path, text: str) -> bool:
    try:
        path.write_text(text)
    except OSError:
        return False
    return True


def _table(path: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in path.read_text().splitlines())}


def _used_v2(folder: Path) -> Used:
    memory = int((folder / "memory.current").read_text())
    inactive = _table(folder / "memory.stat").get("inactive_file", 0)
    return Used(_table(folder / "cpu.stat")["usage_usec"] * 1000, memory, max(0, memory - inactive))


def _used_v1(folders: dict[str, Path]) -> Used:
    memory = int((folders["memory"] / "memory.usage_in_bytes").read_text())
    inactive = _table(folders["memory"] / "memory.stat").get("total_inactive_file", 0)
    return Used(int((folders["cpuacct"] / "cpuacct.usage").read_text()), memory, max(0, memory - inactive))


class Rates:
    """CPU use per second, from one look to the next."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int]] = {}

    def nano_cores(self, key: str, cpu_ns: int) -> int:
        """How many billionths of a core were used since the last look at `key`; 0 at the first."""
        now = time.monotonic_ns()
        before = self._last.get(key)
        self._last[key] = (now, cpu_ns)
        if before is None or now <= before[0]:
            return 0
        return max(0, (cpu_ns - before[1]) * 1_000_000_000 // (now - before[0]))
