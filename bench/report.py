"""The table that benchmarks print: what was measured, median and p99, what to beat, what we want."""

import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flowdeck.version import VERSION


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing."""

    what: str
    samples: Sequence[float]
    unit: str
    want: str
    """The target, in words: `<= 1.0 s`."""
    beat: str = ""
    """The rival's figure, in words."""
    is_met: bool
    """Whether the median meets the target."""


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def p99(samples: Sequence[float]) -> float:
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * 0.99))]


def p95(samples: Sequence[float]) -> float:
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * 0.95))]


def show(rows: Sequence[Row]) -> None:
    """Prints the table, with the machine and versions that it was measured on."""
    table = Table(title="Flowdeck benchmarks")
    for heading in ("what", "median", "p99", "n", "want", "to beat", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.what,
            f"{median(row.samples):.4g} {row.unit}",
            f"{p99(row.samples):.4g}",
            str(len(row.samples)),
            row.want,
            row.beat,
            "met" if row.is_met else "missed",
        )
    console = Console(width=150)
    console.print(table)
    console.print(machine())


def machine() -> str:
    """What it was measured on."""
    return f"flowdeck {VERSION}, Python {sys.version.split()[0]}, {platform.platform()}, {_processor()}"


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    if not cpus.exists():
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()
