"""A schema's CEL rules (`x-kubernetes-validations`) on an object."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowdeck.kube.errors import FieldError, invalid

if TYPE_CHECKING:
    from flowdeck.kube.schema import Schema

BLOCKING = frozenset({"FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"})
"""Causes after which rules are not run: the object is not what they expect."""
NOT_CHECKED = invalid(
    "<nil>",
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation",
)


@dataclass(frozen=True)
class Rules:
    """The rules of one node."""

    @classmethod
    def of(cls, schema: "Schema") -> "Rules":
        return cls()


def check(schema: "Schema", obj: Any, old: Any, errors: list[FieldError]) -> None:
    """Runs the rules of a node and of all below it."""
