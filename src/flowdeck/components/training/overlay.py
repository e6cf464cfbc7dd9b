"""Laying a runtime patch over a JobSet template, as a strategic merge would.

A runtime patch may hold only the few fields of its schema, so the merge keys fit in a table; lists that are not in it
(tolerations, affinity terms) are replaced. Existing items keep their place, new ones come last.
"""

from typing import Any

from flowdeck.kube.objects import Tree

_MERGE_KEYS = {
    "replicatedJobs": "name",
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
    "volumeMounts": "mountPath",
}


def lay_over(target: Tree, patch: Tree) -> None:
    """Merges `patch` into `target`, in place."""
    for field, value in patch.items():
        held = target.get(field)
        if isinstance(value, dict) and isinstance(held, dict):
            lay_over(held, value)
        elif isinstance(value, list) and isinstance(held, list) and field in _MERGE_KEYS:
            _merge_items(held, value, _MERGE_KEYS[field])
        else:
            target[field] = _own(value)


def _merge_items(held: list[Tree], items: list[Tree], key: str) -> None:
    by_key = {item.get(key): item for item in held}
    for item in items:
        if (old := by_key.get(item.get(key))) is not None:
            lay_over(old, item)
        else:
            held.append(_own(item))


def _own(value: Any) -> Any:
    """A copy, so that later changes of the target stay out of the TrainJob."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_own(item) for item in value]
    return value
