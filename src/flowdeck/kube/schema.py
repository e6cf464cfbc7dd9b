"""Structural schemas, compiled once: unknown fields, defaults, types and bounds, CEL, merge keys."""

from collections.abc import Mapping, Sequence

from flowdeck.kube.errors import FieldError
from flowdeck.kube.objects import Tree


class Schema:
    """One compiled OpenAPI v3 schema.

    Two dialects are read: a CRD's `openAPIV3Schema` (structural, with `x-kubernetes-validations`), and the component
    schemas of the server's own OpenAPI documents (with `$ref`, `x-kubernetes-patch-strategy`, ...).
    """

    @classmethod
    def compile(cls, tree: Tree, *, definitions: Mapping[str, Tree] | None = None) -> "Schema":
        """Compiles a schema; `definitions` resolves `#/components/schemas/<name>` references, lazily."""
        raise NotImplementedError

    def prune(self, obj: Tree) -> list[str]:
        """Drops unknown fields in place; returns their paths (`spec.foo[0].bar`) in order."""
        raise NotImplementedError

    def default(self, obj: Tree) -> None:
        """Fills the schema's defaults in, in place."""
        raise NotImplementedError

    def validate(self, obj: Tree, old: Tree | None = None) -> Sequence[FieldError]:
        """Types, formats, bounds, enums, required, list-map duplicates, then CEL (transition rules with `old`)."""
        raise NotImplementedError

    @property
    def items(self) -> "Schema | None":
        """The schema of an array's items."""
        raise NotImplementedError

    def property(self, name: str) -> "Schema | None":
        """The schema of a field; of `additionalProperties` where the object is a map."""
        raise NotImplementedError
