"""One strategy for all built-in kinds: what is general stands here, what is particular is in each kind's `Rules`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flowdeck.embedded.apiserver.builtin.validation.metadata import validate_metadata, validate_metadata_update
from flowdeck.kube.errors import FieldError
from flowdeck.kube.names import NameRule
from flowdeck.kube.objects import Kind, Tree, copy_of

Validate = Callable[[Tree], list[FieldError]]
ValidateUpdate = Callable[[Tree, Tree], list[FieldError]]
Change = Callable[[Tree, Tree], None]
"""Changes a new object (first) in place, looking at the one that it replaces (second)."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is particular about one kind; what is left out does nothing."""

    name: NameRule
    """What its names must look like."""
    default: Callable[[Tree], None] | None = None
    on_create: Callable[[Tree], None] | None = None
    on_update: Change | None = None
    on_status: Change | None = None
    validate: Validate | None = None
    validate_create: Validate | None = None
    """Runs after `validate`, for new objects only."""
    validate_update: ValidateUpdate | None = None
    """Runs when anything but metadata and status differs: immutable fields and the like."""
    validates_first: bool = False
    """`validate` runs before `validate_update`."""
    validate_status: ValidateUpdate | None = None
    warnings: Callable[[Tree, Tree | None], Sequence[str]] | None = None
    counts_generations: bool = False
    """`metadata.generation` starts at 1 and rises with each change outside metadata and status."""
    counts_annotations: bool = False
    """Annotations count as well."""
    keeps_status: bool = False
    """It has a status subresource: other writes leave `status` as it is."""
    initial_status: Mapping[str, object] | None = None
    """The status of a fresh object, where upstream sets one: `{"phase": "Pending"}`."""
    status_keeps: tuple[str, ...] = ()
    """What of metadata a write of the status does not reach."""
    creator_sets_status: bool = False
    """Nodes register themselves with their status."""


@dataclass(frozen=True)
class BuiltinStrategy:
    """The `Strategy` of a built-in kind."""

    kind: Kind
    rules: Rules

    def default(self, obj: Tree) -> None:
        """Needs an object whose fields have their types: the schema's `type_errors` and `prune` come before."""
        if self.rules.default:
            self.rules.default(obj)

    def prepare_create(self, obj: Tree) -> None:
        if self.rules.keeps_status and not self.rules.creator_sets_status:
            obj["status"] = copy_of(dict(self.rules.initial_status or {}))
        if self.rules.counts_generations:
            obj["metadata"]["generation"] = 1
        if self.rules.on_create:
            self.rules.on_create(obj)

    def prepare_update(self, obj: Tree, old: Tree) -> None:
        if self.rules.keeps_status:
            _keep(obj, old, "status")
        if self.rules.on_update:
            self.rules.on_update(obj, old)
        if self.rules.counts_generations:
            _count_generation(obj, old, self.rules.counts_annotations)

    def prepare_status(self, obj: Tree, old: Tree) -> None:
        _keep_all_but_status(obj, old, self.rules.status_keeps)
        if self.rules.on_status:
            self.rules.on_status(obj, old)

    def validate(self, obj: Tree) -> Sequence[FieldError]:
        errors = validate_metadata(obj, self.kind.namespaced, self.rules.name)
        for validate in (self.rules.validate, self.rules.validate_create):
            errors += validate(obj) if validate else []
        return errors

    def validate_update(self, obj: Tree, old: Tree) -> Sequence[FieldError]:
        errors = validate_metadata_update(obj, old)
        if not _differs(obj, old):
            return errors
        changed = self.rules.validate_update(obj, old) if self.rules.validate_update else []
        whole = self.rules.validate(obj) if self.rules.validate else []
        return errors + (whole + changed if self.rules.validates_first else changed + whole)

    def validate_status(self, obj: Tree, old: Tree) -> Sequence[FieldError]:
        errors = validate_metadata_update(obj, old)
        if self.rules.validate_status:
            errors += self.rules.validate_status(obj, old)
        return errors

    def warnings(self, obj: Tree, old: Tree | None) -> Sequence[str]:
        return self.rules.warnings(obj, old) if self.rules.warnings else ()


def only_status_from(obj: Tree, old: Tree) -> None:
    """Makes `obj` equal to `old` but for status and what says who wrote it, on which version."""
    written: Tree = {name: obj[name] for name in ("status", "apiVersion", "kind") if name in obj}
    metadata = dict(old["metadata"])
    for name in ("resourceVersion", "managedFields"):
        metadata.pop(name, None)
        if name in obj["metadata"]:
            metadata[name] = obj["metadata"][name]
    obj.clear()
    obj.update({name: value for name, value in old.items() if name != "status"})
    obj.update(written)
    obj["metadata"] = metadata


def _keep_all_but_status(obj: Tree, old: Tree, kept_metadata: Sequence[str]) -> None:
    """A write of a built-in kind's status reaches metadata as well."""
    for name in {*obj, *old} - {"apiVersion", "kind", "metadata", "status"}:
        _keep(obj, old, name)
    for name in kept_metadata:
        _keep(obj["metadata"], old["metadata"], name)


def _keep(obj: Tree, old: Tree, field: str) -> None:
    if field in old:
        obj[field] = old[field]
    else:
        obj.pop(field, None)


def _differs(obj: Tree, old: Tree) -> bool:
    return any(obj.get(name) != old.get(name) for name in obj.keys() | old.keys() if name not in ("metadata", "status"))


def _count_generation(obj: Tree, old: Tree, with_annotations: bool) -> None:
    meta, was = obj["metadata"], old["metadata"]
    is_new = _differs(obj, old) or (with_annotations and meta.get("annotations") != was.get("annotations"))
    meta["generation"] = int(was.get("generation") or 1) + is_new
