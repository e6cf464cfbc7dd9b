"""The logs of pods that were deleted: kept for a while, since people ask when it is too late.

They are read through the node's own API (`/pastLogs/NAMESPACE/POD/CONTAINER`) and `flowdeck logs`; the core API's log
stays as Kubernetes has it and ends with the pod.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowdeck.embedded.node.pods.attempts import log_files
from flowdeck.kube.errors import NotFound
from flowdeck.kube.objects import ObjectKey

MAX_BYTES = 256 * 1024 * 1024
"""Of all kept logs together; the oldest pods' go first."""


@dataclass(frozen=True)
class PastLogs:
    """A folder of folders, one a pod: `NAMESPACE_POD_UID/CONTAINER/ATTEMPT.log`, as the running pods' are."""

    folder: Path
    max_bytes: int = MAX_BYTES

    def keep(self, pod_logs: Path) -> None:
        """Takes the log folder of a pod that is gone, and lets go of what is too much. Blocking."""
        if not pod_logs.is_dir():
            return
        self.folder.mkdir(mode=0o700, exist_ok=True)
        kept = self.folder / pod_logs.name
        os.rename(pod_logs, kept)
        os.utime(kept)
        self._let_go()

    def find(self, pod: ObjectKey, container: str) -> Sequence[Path]:
        """The files of a container's last attempt, oldest first, of the newest pod with that name; else `NotFound`."""
        of_name = [folder for folder in self._newest_first() if folder.name.startswith(f"{pod.namespace}_{pod.name}_")]
        for folder in of_name:
            attempts = sorted((folder / container).glob("*.log"), key=lambda log: int(log.stem))
            if attempts:
                return log_files(attempts[-1])
        raise NotFound(f'no log of container "{container}" of pod "{pod.name}" in namespace "{pod.namespace}" is kept')

    def _newest_first(self) -> Sequence[Path]:
        found = self.folder.iterdir() if self.folder.is_dir() else iter(())
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def _let_go(self) -> None:
        size = 0
        for folder in self._newest_first():
            size += sum(file.stat().st_size for file in _files(folder))
            if size > self.max_bytes:
                shutil.rmtree(folder)


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())
