"""Which volume fits which claim. Pure. Source: kubernetes (component-helpers/storage/volume/pv_helpers.go)"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from flowdeck.embedded.workloads.node_fit import matches_any_term
from flowdeck.kube.objects import Tree, annotations_of, get_in, is_being_deleted, key_of, labels_of, uid_of
from flowdeck.kube.quantity import parse_quantity
from flowdeck.kube.selectors import label_selector_of

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def class_of(obj: Tree) -> str:
    """The storage class of a claim or a volume; `""` for none."""
    return str(annotations_of(obj).get(BETA_CLASS) or obj["spec"].get("storageClassName") or "")


def has_no_class_word(claim: Tree) -> bool:
    """The claim leaves the class open (which is not the same as asking for none): the default class is for it."""
    return BETA_CLASS not in annotations_of(claim) and claim["spec"].get("storageClassName") is None


def capacity_of(volume: Tree) -> Decimal:
    return parse_quantity(get_in(volume, "spec", "capacity", "storage", default="0")).value


def requested(claim: Tree) -> Decimal:
    return parse_quantity(get_in(claim, "spec", "resources", "requests", "storage", default="0")).value


def is_reserved_for(volume: Tree, claim: Tree) -> bool:
    """The volume's `claimRef` names this claim (an empty uid: by name alone)."""
    ref = volume["spec"].get("claimRef")
    if not ref or (ref.get("namespace"), ref.get("name")) != key_of(claim):
        return False
    return not ref.get("uid") or ref["uid"] == uid_of(claim)


def mismatch(volume: Tree, claim: Tree) -> str:
    """Why a volume that a claim names cannot serve it; `""` when it can."""
    if capacity_of(volume) < requested(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _mode(volume) != _mode(claim):
        return "incompatible volumeMode"
    if not _has_access(volume, claim):
        return "incompatible accessMode"
    return ""


def best_volume(claim: Tree, volumes: Sequence[Tree], node: Tree | None = None) -> Tree | None:
    """The volume reserved for the claim, else the smallest free one that is large enough and reachable from `node`."""
    reserved = [v for v in volumes if is_reserved_for(v, claim) and capacity_of(v) >= requested(claim)]
    if reserved:
        return reserved[0]
    fitting = [v for v in volumes if _is_free(v) and not mismatch(v, claim) and _is_selected(v, claim)]
    if node is not None:
        fitting = [v for v in fitting if is_reachable(v, node)]
    return min(fitting, key=lambda v: (capacity_of(v), key_of(v).name), default=None)


def _is_free(volume: Tree) -> bool:
    phase = get_in(volume, "status", "phase", default="Available")
    return not volume["spec"].get("claimRef") and not is_being_deleted(volume) and phase in ("Available", "Pending")


def _is_selected(volume: Tree, claim: Tree) -> bool:
    selector = claim["spec"].get("selector")
    return selector is None or label_selector_of(selector).matches(labels_of(volume))


def _has_access(volume: Tree, claim: Tree) -> bool:
    return set(claim["spec"].get("accessModes") or ()) <= set(volume["spec"].get("accessModes") or ())


def _mode(obj: Tree) -> Any:
    return obj["spec"].get("volumeMode") or "Filesystem"


def is_reachable(volume: Tree, node: Tree) -> bool:
    required = get_in(volume, "spec", "nodeAffinity", "required")
    return required is None or matches_any_term(required.get("nodeSelectorTerms") or (), node)
