"""Create, get, update, patch, delete of simple objects, and what is wrong with requests."""

from tests.kubernetes.differential.makers import config_map
from tests.kubernetes.differential.scenario import create, delete, events, get, merge, scenario, update, watch

SCENARIOS = [
    scenario(
        "life of a config map",
        create("configmaps", config_map()),
        get("configmaps/a").kept("a"),
        watch("configmaps", resourceVersion="{a:metadata.resourceVersion}"),
        update("configmaps/a", config_map(data={"k": "w"})),
        merge("configmaps/a", {"data": {"k": None}}),
        delete("configmaps/a"),
        get("configmaps/a"),
        events(3),
    ),
]
