"""What frameworks share.

A framework is a `draft.Plugin`: `applies` says whether the runtime's `mlPolicy` names it, `check` refuses what a user
must not set, `shape` adds the environment by which the processes find each other. Third parties register more through
the entry-point group `flowdeck.frameworks` (an object with these three methods); see README.md of the component.

A runtime that names no framework is served by none: `merge.py` has put the trainer's own environment in already.
"""

from collections.abc import Iterable, Sequence

from flowdeck.components.training.draft import Draft
from flowdeck.components.training.runtime_types import MLPolicy
from flowdeck.components.training.types import INDEX_FIELD
from flowdeck.kube.errors import FieldError, invalid
from flowdeck.kube.objects import Tree, get_in
from flowdeck.kube.quantity import ZERO, Quantity, parse_quantity

NO_POLICY = MLPolicy()


def policy_of(draft: Draft) -> MLPolicy:
    """The runtime's `mlPolicy`; an empty one when it has none."""
    return draft.runtime.spec.ml_policy or NO_POLICY


def value(name: str, text: str) -> Tree:
    """An environment variable with a literal value."""
    return {"name": name, "value": text}


def from_index(name: str) -> Tree:
    """An environment variable that holds the pod's completion index."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": INDEX_FIELD}}}


def reserved_names(draft: Draft, names: Iterable[str]) -> Sequence[FieldError]:
    """The error for a TrainJob that sets environment variables which the framework owns."""
    used = sorted({item["name"] for item in draft.trainer.env or ()} & set(names))
    if not used:
        return ()
    detail = f"must not have reserved envs, invalid envs configured: [{' '.join(used)}]"
    return (invalid("spec.trainer.env", draft.trainer.env, detail),)


def stated_resources(draft: Draft) -> Tree:
    """The resources that process counts are taken from.

    The TrainJob's block alone when it has one, else the runtime's: not what both make together (upstream's way).
    """
    if draft.trainer.resources_per_node:
        return draft.trainer.resources_per_node
    return (draft.node_container or {}).get("resources") or {}


def gpus_in(resources: Tree) -> int:
    """GPUs asked for: the first positive quantity of a resource whose name contains `gpu`; 0 for none."""
    for field in ("requests", "limits"):
        for name, amount in (resources.get(field) or {}).items():
            if "gpu" in name.lower() and (count := parse_quantity(amount)).value > 0:
                return count.whole
    return 0


def cpus_in(resources: Tree) -> Quantity:
    """CPUs asked for, requests first; zero when nothing is said."""
    for field in ("requests", "limits"):
        amount = get_in(resources, field, "cpu")
        if amount is not None:
            return parse_quantity(amount)
    return ZERO
