"""The settings tree of the platform on a cluster, as the ConfigMap `flowdeck` holds it in YAML."""

from flowdeck.cluster.settings import ClusterSettings
from flowdeck.kube.objects import Tree
from flowdeck.plugins import registered
from flowdeck.settings_tree import SettingsError, differences, read


def read_settings(text: str) -> ClusterSettings:
    """Settings as YAML says them; what it leaves out has its default. Raises `SettingsError`."""
    settings = read(text, ClusterSettings())
    for name in sorted(settings.disabled - registered().keys()):
        raise SettingsError(f"disabled: there is no component {name!r}; there are {', '.join(registered())}")
    return settings


def as_tree(settings: ClusterSettings) -> Tree:
    """What differs from the defaults: `read_settings` makes the same of it."""
    return differences(settings, ClusterSettings())
