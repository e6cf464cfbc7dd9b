"""How pods are kept apart: what `up` and `node` ask in the same words."""

from typing import Annotated, get_args

import typer

from flowdeck.cli.refusal import Refusal
from flowdeck.settings import Driver

DRIVERS: tuple[Driver, ...] = get_args(Driver)
DriverOption = Annotated[str, typer.Option(help=f"How pods are kept apart: {', '.join(DRIVERS)}.")]
PodsOption = Annotated[int, typer.Option(min=0, help="How many pods the node takes; 0: 500, or 10,000 simulated ones.")]
SimulatedOption = Annotated[float, typer.Option(min=0, help="For how long simulated pods run (driver `simulated`).")]


def checked_driver(word: str) -> Driver:
    """The driver of that name. Raises `Refusal`."""
    for driver in DRIVERS:
        if driver == word:
            return driver
    raise Refusal(f"unknown driver {word!r}: use one of {', '.join(DRIVERS)}")
