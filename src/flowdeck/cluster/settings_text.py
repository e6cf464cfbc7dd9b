"""The settings tree of the platform on a cluster, as the ConfigMap `flowdeck` holds it in YAML."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowdeck.cluster.settings import ClusterSettings
from flowdeck.kube import yaml_text
from flowdeck.kube.objects import Tree
from flowdeck.plugins import registered


class SettingsError(Exception):
    """The text is no settings tree; says which setting is wrong."""


def read_settings(text: str) -> ClusterSettings:
    """Settings as YAML says them; what it leaves out has its default. Raises `SettingsError`."""
    try:
        tree = yaml_text.load(text)
    except yaml_text.YamlError as error:
        raise SettingsError(f"settings are not YAML: {error}") from error
    settings: ClusterSettings = _changed(ClusterSettings(), {} if tree is None else tree, "")
    for name in sorted(settings.disabled - registered().keys()):
        raise SettingsError(f"disabled: there is no component {name!r}; there are {', '.join(registered())}")
    return settings


def as_tree(settings: ClusterSettings) -> Tree:
    """What differs from the defaults: `read_settings` makes the same of it."""
    return _differences(settings, ClusterSettings())


def _changed(default: Any, tree: Any, path: str) -> Any:
    """The branch `default` with what `tree` says."""
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{path or 'settings'}: must be a mapping of settings to values")
    known = {field.name: getattr(default, field.name) for field in _settable(default)}
    values = {}
    for name, value in tree.items():
        inner = f"{path}.{name}" if path else str(name)
        if name not in known:
            raise SettingsError(f"{inner}: there is no such setting; there are {', '.join(known)}")
        values[name] = _value(known[name], value, inner)
    return dataclasses.replace(default, **values)


def _value(default: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(default):
        return _changed(default, value, path)
    if isinstance(default, frozenset):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{path}: must be a list of names, not {value!r}")
        return frozenset(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise SettingsError(f"{path}: must be of type {type(default).__name__}, not {value!r}")
    return value


def _differences(branch: Any, default: Any) -> Tree:
    found: Tree = {}
    for field in _settable(default):
        value, usual = getattr(branch, field.name), getattr(default, field.name)
        if value != usual:
            found[field.name] = _differences(value, usual) if dataclasses.is_dataclass(value) else _plain(value)
    return found


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def _settable(branch: Any) -> list[Any]:
    """The fields that a ConfigMap may set: files (certificates) are the process's own business."""
    return [field for field in dataclasses.fields(branch) if not _is_file(getattr(branch, field.name))]


def _is_file(value: Any) -> bool:
    return value is None or isinstance(value, Path)
