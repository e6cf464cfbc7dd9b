"""Which claims a pod uses. Pure."""

from collections.abc import Iterator

from flowdeck.kube.objects import ObjectKey, Tree, key_of

SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""On a claim that waits for its first consumer: where the scheduler wants that to run."""


def claims_of_pod(pod: Tree) -> Iterator[ObjectKey]:
    """The claims of a pod's volumes; an ephemeral volume has a claim named `<pod>-<volume>`."""
    namespace, name = key_of(pod)
    for volume in pod["spec"].get("volumes") or ():
        if source := volume.get("persistentVolumeClaim"):
            yield ObjectKey(namespace, source["claimName"])
        elif volume.get("ephemeral"):
            yield ObjectKey(namespace, f"{name}-{volume['name']}")
