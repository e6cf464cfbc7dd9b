"""How an object of an installation begins."""

from flowdeck.cluster.names import NAMESPACE, OURS
from flowdeck.kube.objects import Kind, Tree


def an_object(kind: Kind, name: str, *, namespace: str = NAMESPACE, **fields: object) -> Tree:
    """An object of ours; `namespace` is for namespaced kinds alone."""
    metadata: Tree = {"name": name, "labels": dict(OURS)}
    if kind.namespaced:
        metadata["namespace"] = namespace
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}


def marked(obj: Tree) -> Tree:
    """A component's object with the label by which an installation's objects are found again."""
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **OURS}}}
