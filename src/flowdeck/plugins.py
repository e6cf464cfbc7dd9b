"""The components that there are. Quick to import: a component is loaded when it is asked for."""

import importlib
from collections.abc import Collection, Sequence

from flowdeck.components.base import Component

NAMES = {"jobset": "flowdeck.components.job_set.component", "training": "flowdeck.components.training.component"}
"""By name; what stands further left is needed by what stands further right."""


def components(disabled: Collection[str] = ()) -> Sequence[Component]:
    """Those that are switched on."""
    return [importlib.import_module(NAMES[name]).COMPONENT for name in NAMES if name not in disabled]
