"""The nodes with what runs on them, as one scheduling pass sees and changes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Tree, get_in, labels_of, uid_of
from flowdeck.kube.pod_resources import Amounts, add, amounts_of, pod_requests, subtract
from flowdeck.kube.quantity import ZERO, Quantity, parse_quantity

PODS = POD.plural
"""The resource that each pod takes one of: a node has room for so many pods."""
_ONE = parse_quantity(1)


def demand_of(pod: Tree) -> Amounts:
    """What a pod takes of a node."""
    return {**pod_requests(pod), PODS: _ONE}


@dataclass
class Place:
    """One node and the pods that are on it, or will be."""

    node: Tree
    pods: list[Tree] = field(default_factory=list)
    used: Amounts = field(default_factory=dict)
    reserved: Amounts = field(default_factory=dict)
    """Kept for groups and preemptors; not for anybody else."""

    @property
    def name(self) -> str:
        return str(self.node["metadata"]["name"])

    @property
    def allocatable(self) -> Amounts:
        status = self.node.get("status") or {}
        return amounts_of(status.get("allocatable") or status.get("capacity"))

    @property
    def keeping_away(self) -> list[Tree]:
        """The pods that do not want certain others near them."""
        return [pod for pod in self.pods if "podAntiAffinity" in (pod["spec"].get("affinity") or ())]

    def put(self, pod: Tree) -> None:
        self.pods.append(pod)
        self.used = add(self.used, demand_of(pod))

    def take(self, pod: Tree) -> None:
        self.pods = [other for other in self.pods if uid_of(other) != uid_of(pod)]
        self.used = subtract(self.used, demand_of(pod))

    def lacking(self, wanted: Amounts) -> list[str]:
        """The resources of which too little is free, sorted."""
        has = self.allocatable
        return sorted(name for name, amount in wanted.items() if amount.value and not self._has(name, amount, has))

    def _has(self, name: str, amount: Quantity, has: Amounts) -> bool:
        if name == PODS and PODS not in has:
            return True
        taken = self.used.get(name, ZERO).value + self.reserved.get(name, ZERO).value
        return taken + amount.value <= has.get(name, ZERO).value

    def free(self, name: str) -> Quantity:
        left = self.allocatable.get(name, ZERO) - self.used.get(name, ZERO) - self.reserved.get(name, ZERO)
        return max(left, ZERO, key=lambda quantity: quantity.value)

    def copy(self) -> "Place":
        return Place(self.node, list(self.pods), dict(self.used), dict(self.reserved))


@dataclass
class Snapshot:
    """All nodes; changes as the pass places pods."""

    places: dict[str, Place]

    @classmethod
    def of(cls, nodes: Iterable[Tree], assigned: Iterable[Tree]) -> "Snapshot":
        """`assigned` are pods that have a node and have not ended."""
        places = {node["metadata"]["name"]: Place(node) for node in nodes}
        for pod in assigned:
            place = places.get(get_in(pod, "spec", "nodeName", default=""))
            if place is not None:
                place.put(pod)
        return cls(places)

    @property
    def all(self) -> Sequence[Place]:
        return list(self.places.values())

    def copy(self) -> "Snapshot":
        return Snapshot({name: place.copy() for name, place in self.places.items()})

    def reserve(self, wanted: Amounts) -> None:
        """Keeps these amounts free, wherever there is most room, node by node."""
        for name, amount in wanted.items():
            left = amount
            for place in sorted(self.all, key=lambda place: place.free(name).value, reverse=True):
                part = min(left, place.free(name), key=lambda quantity: quantity.value)
                place.reserved = add(place.reserved, {name: part})
                left = left - part
                if left.value <= 0:
                    break

    def has_room_for(self, wanted: Amounts) -> bool:
        """Whether all nodes together have that much left."""
        return all(sum(place.free(name).value for place in self.all) >= amount.value for name, amount in wanted.items())


def topology_value(place: Place, key: str) -> str | None:
    return labels_of(place.node).get(key)
