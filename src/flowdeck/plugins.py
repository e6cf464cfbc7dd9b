"""The components that there are: ours, and those that installed packages register.

A package registers a component by an entry point of the group `flowdeck.components`: its name is the component's, its
value the object that `components/base.py` describes. Quick to import: a component is loaded when it is asked for.
"""

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from flowdeck.components.base import Component

GROUP = "flowdeck.components"
OURS = (
    EntryPoint("jobset", "flowdeck.components.job_set.component:COMPONENT", GROUP),
    EntryPoint("pipelines", "flowdeck.components.pipelines.component:COMPONENT", GROUP),
    EntryPoint("training", "flowdeck.components.training.component:COMPONENT", GROUP),
)
"""What stands above is needed by what stands below."""


class PluginError(Exception):
    """A component that a package registers cannot be used; the text says why and what to do."""


def registered() -> Mapping[str, EntryPoint]:
    """All components by name, ours first; none is loaded. Raises `PluginError` where two have the same name."""
    found: dict[str, EntryPoint] = {}
    for entry in (*OURS, *sorted(entry_points(group=GROUP), key=lambda entry: entry.name)):
        if found.setdefault(entry.name, entry).value != entry.value:
            raise PluginError(
                f"there are two components {entry.name!r}, {found[entry.name].value} and {entry.value}: "
                "uninstall the package of one of them"
            )
    return found


def components(disabled: Collection[str] = ()) -> Sequence[Component]:
    """Those that are switched on. Raises `PluginError` for one that cannot be loaded."""
    return [_loaded(entry) for name, entry in registered().items() if name not in disabled]


def with_needs(names: Collection[str]) -> set[str]:
    """Those components, and the ones that they need. Raises `PluginError`."""
    known, found, open_names = registered(), set[str](), list(names)
    while open_names:
        name = open_names.pop()
        if name in known and name not in found:
            found.add(name)
            open_names += _loaded(known[name]).needs
    return found


def _loaded(entry: EntryPoint) -> Component:
    try:
        return cast(Component, entry.load())
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"component {entry.name!r} cannot be loaded from {entry.value}: {error}; mend or uninstall its package, "
            f"or leave it out (flowdeck up --disable {entry.name})"
        ) from error
