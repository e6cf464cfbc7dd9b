"""A table of two that do the same: ours and theirs, measured in one run on one machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.report import machine, median


@dataclass(frozen=True, kw_only=True)
class Both:
    """One thing that both were measured at."""

    what: str
    ours: Sequence[float]
    theirs: Sequence[float]
    """Empty where they do not have it."""
    unit: str
    want: str = ""
    """For ours, in words."""


def show_both(rows: Sequence[Both], them: str) -> None:
    """Prints the medians."""
    table = Table(title=f"Flowdeck beside {them}")
    for heading in ("what", "embedded", them, "want"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        ours, theirs = (
            f"{median(samples):.4g} {row.unit}".strip() if samples else "-" for samples in (row.ours, row.theirs)
        )
        table.add_row(row.what, ours, theirs, row.want)
    console = Console(width=150)
    console.print(table)
    console.print(machine())
