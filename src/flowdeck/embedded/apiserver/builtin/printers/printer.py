"""The shape of a printer: columns, and the cells of an object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from flowdeck.kube.objects import Tree


class Column(NamedTuple):
    """A column of a table."""

    name: str
    type: str = "string"
    """`string`, `integer`, `number`, `boolean`, `date`."""
    priority: int = 0
    """0: always shown; 1: by `-o wide`."""
    format: str = ""
    description: str = ""

    def to_tree(self) -> Tree:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@dataclass(frozen=True)
class Printer:
    """Columns, and the cells of one object in that order."""

    columns: Sequence[Column]
    cells: Callable[[Tree, datetime], Sequence[Any]]
    conditions: Callable[[Tree], Sequence[Tree]] | None = None
    """A row's `conditions`, by which clients grey finished pods out."""


NAME = Column("Name", format="name")
AGE = Column("Age")


def wide(name: str, type_: str = "string") -> Column:
    return Column(name, type_, priority=1)
