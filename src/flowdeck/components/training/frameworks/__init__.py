"""How the processes of a training job find each other: one file a framework, the promise in `_base.py`."""

from collections.abc import Sequence
from importlib.metadata import entry_points

from flowdeck.components.training.draft import Plugin
from flowdeck.components.training.frameworks.flux import Flux
from flowdeck.components.training.frameworks.jax import JAX
from flowdeck.components.training.frameworks.mpi import MPI
from flowdeck.components.training.frameworks.torch import Torch
from flowdeck.components.training.frameworks.xgboost import XGBoost

FRAMEWORKS: Sequence[Plugin] = (Torch(), JAX(), XGBoost(), MPI(), Flux())
"""Those that come with the platform."""

ENTRY_POINTS = "flowdeck.frameworks"


def all_frameworks() -> Sequence[Plugin]:
    """Ours, then those that installed packages register."""
    return (*FRAMEWORKS, *(entry.load() for entry in entry_points(group=ENTRY_POINTS)))
