"""Acts pods out as processes, by way of a driver: what is on disk of a pod is below `DATA/pods/<uid>/`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowdeck.embedded.node.pods.acting import Act
from flowdeck.embedded.node.pods.attempts import remove_tree
from flowdeck.embedded.node.pods.keeper import Keeper
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.place import PodPlace, refusal_of
from flowdeck.embedded.node.sandbox import files
from flowdeck.kube.objects import Tree


@dataclass(frozen=True)
class Processes:
    """Implements `Acting`."""

    means: Means

    def refusal(self, pod: Tree) -> tuple[str, str] | None:
        return refusal_of(pod, has_own_root=self.means.driver.has_own_root)

    def begin(self, pod: Tree) -> Act[Keeper]:
        place = PodPlace(pod, self.means)
        return Act(
            place,
            lambda container, tell, changed, tasks: Keeper(
                place.pod, container, place, self.means, tell, changed, tasks
            ),
        )

    def is_here(self, uid: str) -> bool:
        return self.means.pod_folder(uid).exists()

    def folders(self) -> list[Path]:
        """Of all pods of which anything is left on this machine; a folder's name is the uid."""
        folder = self.means.settings.data / "pods"
        return list(folder.iterdir()) if folder.is_dir() else []

    def left_behind(self, known: set[str]) -> Iterator[Tree]:
        for path in self.folders():
            if path.name in known:
                continue
            pod = files.read(str(path / "pod.json"))
            if pod is None:
                remove_tree(path)
            else:
                yield pod
