"""Settings as text: what YAML says changes a tree of frozen dataclasses, and what differs in such a tree is YAML."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from flowdeck.kube import yaml_text
from flowdeck.kube.objects import Tree

T = TypeVar("T")


class SettingsError(Exception):
    """The text is no settings tree; says which setting is wrong."""


def read(text: str, default: T, only: Collection[str] = ()) -> T:
    """`default` with what the text says. `only`: the branches that it may name; none: all. Raises `SettingsError`."""
    try:
        tree = yaml_text.load(text)
    except yaml_text.YamlError as error:
        raise SettingsError(f"settings are not YAML: {error}") from error
    changed: T = _changed(default, {} if tree is None else tree, "", only)
    return changed


def differences(branch: Any, default: Any) -> Tree:
    """What differs: `read` makes the same of it."""
    found: Tree = {}
    for field in _settable(default):
        value, usual = getattr(branch, field.name), getattr(default, field.name)
        if value != usual:
            found[field.name] = differences(value, usual) if dataclasses.is_dataclass(value) else _plain(value)
    return found


def _changed(default: Any, tree: Any, path: str, only: Collection[str] = ()) -> Any:
    """The branch `default` with what `tree` says."""
    if not isinstance(tree, Mapping):
        raise SettingsError(f"{path or 'settings'}: must be a mapping of settings to values")
    known = {field.name: getattr(default, field.name) for field in _settable(default)}
    known = {name: value for name, value in known.items() if not only or name in only}
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
    if isinstance(default, frozenset | tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{path}: must be a list of texts, not {value!r}")
        return type(default)(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise SettingsError(f"{path}: must be of type {type(default).__name__}, not {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _settable(branch: Any) -> list[Any]:
    """The fields that text may set: files (certificates) are the process's own business."""
    return [field for field in dataclasses.fields(branch) if not _is_file(getattr(branch, field.name))]


def _is_file(value: Any) -> bool:
    return value is None or isinstance(value, Path)
