"""Pods that are alike to a pass: where one of them fits on no node, neither does the next. Pure.

A thousand pods of one template may wait for room, and each pass looks at all of them.
"""

import orjson

from flowdeck.kube.objects import Tree, get_in, labels_of

_OF_CONTAINERS = ("resources", "ports", "restartPolicy")
_CONTAINERS = ("containers", "initContainers")
_NO_MATTER = {*_CONTAINERS, "volumes", "hostname"}
"""Fields of a pod's spec that no filter reads as they stand; claims count apart."""


def likeness(pod: Tree) -> bytes | None:
    """The same for pods of which all that a filter reads is the same; None for one that room is being made for."""
    if get_in(pod, "status", "nominatedNodeName"):
        return None
    spec = pod["spec"]
    wishes = {name: value for name, value in spec.items() if name not in _NO_MATTER}
    for group in _CONTAINERS:
        wishes[group] = [[each.get(name) for name in _OF_CONTAINERS] for each in spec.get(group) or ()]
    told = [pod["metadata"]["namespace"], labels_of(pod), wishes]
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
