"""What a pod's claims have to say about where it may run.

Source: kubernetes (pkg/scheduler/framework/plugins/volumebinding).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.client.base import Reader
from flowdeck.embedded.workloads.node_fit import matches_any_term
from flowdeck.embedded.workloads.persistent_volumes.usage import claims_of_pod
from flowdeck.kube.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from flowdeck.kube.objects import ObjectKey, Tree, get_in, is_being_deleted


@dataclass(frozen=True)
class PodVolumes:
    """The claims of one pod, resolved."""

    problem: str = ""
    """Why no node will do, in upstream's words."""
    volumes: Sequence[Tree] = ()
    """The PersistentVolumes that are bound to its claims."""
    unbound: Sequence[Tree] = ()
    """Claims that are bound once a node is chosen."""

    def problem_on(self, node: Tree) -> str:
        """Why the pod's volumes can't be had on a node, or `""`."""
        for volume in self.volumes:
            terms = get_in(volume, "spec", "nodeAffinity", "required", "nodeSelectorTerms")
            if terms is not None and not matches_any_term(terms, node):
                return "node(s) had volume node affinity conflict"
        return ""


NO_VOLUMES = PodVolumes()


async def volumes_of(pod: Tree, reader: Reader) -> PodVolumes:
    """Looks the claims of a pod up."""
    volumes, unbound = [], []
    for key in claims_of_pod(pod):
        claim = await reader.find(PERSISTENT_VOLUME_CLAIM, key)
        if claim is None:
            return PodVolumes(f'persistentvolumeclaim "{key.name}" not found')
        if is_being_deleted(claim):
            return PodVolumes(f'persistentvolumeclaim "{key.name}" is being deleted')
        name = claim["spec"].get("volumeName")
        if name and get_in(claim, "status", "phase") == "Bound":
            if volume := await reader.find(PERSISTENT_VOLUME, ObjectKey("", name)):
                volumes.append(volume)
        elif await _waits_for_consumer(claim, reader):
            unbound.append(claim)
        else:
            return PodVolumes("pod has unbound immediate PersistentVolumeClaims")
    return PodVolumes("", volumes, unbound)


async def _waits_for_consumer(claim: Tree, reader: Reader) -> bool:
    name = claim["spec"].get("storageClassName")
    if not name:
        return False
    storage_class = await reader.find(STORAGE_CLASS, ObjectKey("", name))
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
