"""What configMap, secret, downwardAPI and projected volumes hold. Pure: objects in, `{path: File}` out.

Source: kubernetes/kubernetes (pkg/volume/configmap, secret, downwardapi, projected).
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowdeck.embedded.node.environment import ConfigError, Facts, field_text, resource_text
from flowdeck.kube.objects import Tree

DEFAULT_MODE = 0o644


class VolumeError(Exception):
    """A volume cannot be made (yet); the text goes into the `FailedMount` event."""


@dataclass(frozen=True)
class File:
    """One file of a volume."""

    content: bytes
    mode: int


Payload = Mapping[str, File]


def config_map_payload(source: Tree, found: Tree | None, *, default_mode: int) -> Payload:
    """`source` is a configMap volume or projection."""
    name = source["name"]
    if found is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'configmap "{name}" not found')
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return _pick(source, data, default_mode, "configmap")


def secret_payload(source: Tree, found: Tree | None, *, default_mode: int) -> Payload:
    """`source` is a secret volume (`secretName`) or projection (`name`)."""
    name = source.get("secretName") or source.get("name")
    if found is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'secret "{name}" not found')
    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return _pick(source, data, default_mode, "secret")


def _pick(source: Tree, data: Mapping[str, bytes], default_mode: int, word: str) -> Payload:
    items: Sequence[Tree] | None = source.get("items")
    if not items:
        return {key: File(content, default_mode) for key, content in data.items()}
    files = {}
    for item in items:
        if item["key"] not in data:
            if source.get("optional"):
                continue
            raise VolumeError(f"{word} references non-existent {word} key: {item['key']}")
        files[safe_path(item["path"])] = File(data[item["key"]], _mode(item, default_mode))
    return files


def downward_payload(source: Tree, facts: Facts, *, default_mode: int) -> Payload:
    """`source` is a downwardAPI volume or projection."""
    files = {}
    for item in source.get("items") or ():
        try:
            if ref := item.get("fieldRef"):
                text = field_text(ref["fieldPath"], facts)
            else:
                text = resource_text(item["resourceFieldRef"], {}, facts)
        except ConfigError as error:
            raise VolumeError(str(error)) from error
        files[safe_path(item["path"])] = File(text.encode(), _mode(item, default_mode))
    return files


def _mode(item: Tree, default: int) -> int:
    mode = item.get("mode")
    return default if mode is None else int(mode)


def safe_path(path: str) -> str:
    """A relative path that stays where it is put; raises `VolumeError` for others."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeError(f'invalid path "{path}": it must be relative and must not contain ".."')
    return "/".join(part for part in parts if part not in ("", "."))
