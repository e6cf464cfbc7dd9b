"""The status of a CustomResourceDefinition: whether its names are free, and which versions are stored.

Decided as the definition is written, so that it is served with the answer to its creation.

Source: k8s.io/apiextensions-apiserver (pkg/controller/status/naming_controller.go).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowdeck.clock import Clock
from flowdeck.embedded.apiserver.contract import Storage
from flowdeck.kube.conditions import Condition, set_condition
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION
from flowdeck.kube.objects import Tree, copy_of, get_in, key_of

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer of a definition: its objects go first."""


@dataclass(frozen=True)
class Names:
    """Accepts the names of definitions that are written."""

    storage: Storage
    clock: Clock

    def new(self, definition: Tree) -> None:
        finalizers = definition["metadata"].setdefault("finalizers", [])
        if CLEANUP not in finalizers:
            finalizers.append(CLEANUP)
        self._accept(definition)

    def changed(self, definition: Tree, old: Tree) -> None:
        if definition["spec"] != old["spec"]:
            definition["status"] = copy_of(definition.get("status") or {})
            self._accept(definition)

    def _accept(self, definition: Tree) -> None:
        if _can_be_named(definition["spec"]):
            accept_names(definition, self.storage.list(CUSTOM_RESOURCE_DEFINITION), self.clock)


def _can_be_named(spec: Tree) -> bool:
    """A definition that validation will refuse may lack anything."""
    names = spec.get("names") or {}
    return bool(spec.get("group") and names.get("plural") and names.get("kind") and spec.get("versions"))


def accept_names(definition: Tree, others: Iterable[Tree], clock: Clock) -> None:
    """Sets a definition's status: its names are accepted unless another of its group has them."""
    status = definition.setdefault("status", {})
    names = definition["spec"]["names"]
    conflict = _conflict(definition, others)
    conditions = status.setdefault("conditions", [])
    if conflict is None:
        accepted = Condition(type="NamesAccepted", status="True", reason="NoConflicts", message="no conflicts found")
        status["acceptedNames"] = dict(names)
    else:
        reason, message = conflict
        accepted = Condition(type="NamesAccepted", status="False", reason=reason, message=message)
        status.setdefault("acceptedNames", {"plural": "", "kind": ""})
    set_condition(conditions, accepted, now=clock.now())
    set_condition(conditions, _established(conditions, accepted), now=clock.now())
    _note_storage(definition)


def _established(conditions: Sequence[Tree], accepted: Condition) -> Condition:
    """Once established, a definition stays so, even if a later change of its names was not accepted."""
    was = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
    if was or accepted.status == "True":
        message = "the initial names have been accepted"
        return Condition(type="Established", status="True", reason="InitialNamesAccepted", message=message)
    message = "not all names are accepted"
    return Condition(type="Established", status="False", reason="NotAccepted", message=message)


def _conflict(definition: Tree, others: Iterable[Tree]) -> tuple[str, str] | None:
    names, group = definition["spec"]["names"], definition["spec"]["group"]
    taken: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        if other["spec"]["group"] == group and key_of(other) != key_of(definition):
            theirs = get_in(other, "status", "acceptedNames", default={})
            taken |= {theirs.get("plural", ""), theirs.get("singular", ""), *(theirs.get("shortNames") or ())}
            kinds |= {theirs.get("kind", ""), theirs.get("listKind", "")}
    for reason, name, used in (
        ("PluralConflict", names["plural"], taken),
        ("SingularConflict", names.get("singular"), taken),
        *(("ShortNamesConflict", short, taken) for short in names.get("shortNames") or ()),
        ("KindConflict", names["kind"], kinds),
        ("ListKindConflict", names.get("listKind"), kinds),
    ):
        if name and name in used:
            return reason, f'"{name}" is already in use'
    return None


def _note_storage(definition: Tree) -> None:
    stored = definition["status"].setdefault("storedVersions", [])
    for version in definition["spec"]["versions"]:
        name = version.get("name")
        if version.get("storage") and name and name not in stored:
            stored.append(name)
