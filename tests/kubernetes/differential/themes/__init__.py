"""The scenarios, a file a theme. Each module has `SCENARIOS`; the name of the module is the theme."""

import importlib
import pkgutil
from collections.abc import Sequence

from tests.kubernetes.differential.scenario import Scenario


def all_scenarios() -> Sequence[Scenario]:
    """The scenarios of all themes, each named `theme/name`. Two of one name are a mistake."""
    found = [
        scenario.of_theme(name)
        for _, name, _ in pkgutil.iter_modules(__path__)
        for scenario in importlib.import_module(f"{__name__}.{name}").SCENARIOS
    ]
    names = [scenario.name for scenario in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"scenarios of the same name: {twice}"
    return found
