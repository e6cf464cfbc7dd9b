"""The logs of pods that were deleted: kept for a while, since people ask when it is too late.

They are read through the node's own API (`/pastLogs/NAMESPACE/POD/CONTAINER`) and `flowdeck logs`; the core API's log
stays as Kubernetes has it and ends with the pod. POD may be a generateName (it ends in `-`): who looks for the pods of
a failed job knows no other name of theirs.
"""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from flowdeck.embedded.node.pods.attempts import log_files
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import ObjectKey

MAX_BYTES = 256 * 1024 * 1024
"""Of all kept logs together; the oldest pods' go first."""


@dataclass
class PastLogs:
    """A folder of folders, one a pod: `NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log`, as the running pods' are."""

    folder: Path
    max_bytes: int = MAX_BYTES
    _bytes: int | None = None
    """Of all that is kept; None while nobody has looked."""
    _one_by_one: Lock = field(default_factory=Lock)

    def keep(self, pod_logs: Path) -> None:
        """Takes the log folder of a pod that is gone, and lets go of what is too much. Blocking."""
        if not pod_logs.is_dir():
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        kept = self.folder / pod_logs.name
        os.rename(pod_logs, kept)
        os.utime(kept)
        with self._one_by_one:
            self._bytes = None if self._bytes is None else self._bytes + _size(kept)
            if self._bytes is None or self._bytes > self.max_bytes:
                self._bytes = self._let_go()

    def find(self, pod: ObjectKey, container: str) -> Sequence[Path]:
        """The files of a container's last attempt that printed something (a job that gives up kills one that has just
        begun), oldest first, of the newest pod with that name or generateName; else `NotFound`."""
        made = "[a-z0-9]{5}" if pod.name.endswith("-") else ""
        meant = re.compile(f"{re.escape(f'{pod.namespace}_{pod.name}')}{made}_")
        for folder in self._newest_first():
            if not meant.match(folder.name):
                continue
            attempts = sorted((folder / container).glob("*.log"), key=lambda log: int(log.stem))
            told = [files for files in map(log_files, attempts) if any(file.stat().st_size for file in files)]
            if attempts:
                return told[-1] if told else log_files(attempts[-1])
        raise NotFound(f'no log of container "{container}" of pod "{pod.name}" in namespace "{pod.namespace}" is kept')

    def _newest_first(self) -> Sequence[Path]:
        found = self.folder.iterdir() if self.folder.is_dir() else iter(())
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def _let_go(self) -> int:
        """Removes the oldest that are too much; gives how many bytes stay."""
        kept = 0
        for folder in self._newest_first():
            size = _size(folder)
            if kept + size > self.max_bytes:
                shutil.rmtree(folder)
            else:
                kept += size
        return kept


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
