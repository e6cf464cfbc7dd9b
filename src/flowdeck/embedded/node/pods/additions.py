"""What a pod says that a container's program will install. Pure."""

import re
from typing import Any

import msgspec

from flowdeck.embedded.node.contract import NONE_ADDED, Additions
from flowdeck.kube.objects import Tree, annotations_of

PREFIX = "packages.flowdeck.dev/"
"""Of an annotation, before the container's name: `{"packages": [...], "bare": [...]}`."""
_MOST = 100
_VERSIONS = r"\s*(?:===|[~<>=!]=|[<>])\s*[\w.*+!-]+\s*"
_REQUIREMENT = re.compile(rf"[A-Za-z0-9][\w.-]*(?:\[[\w., -]*\])?(?:{_VERSIONS}(?:,{_VERSIONS})*)?", re.ASCII)
"""A name, perhaps with versions: no path, no URL, no option of the installer."""


def additions_of(pod: Tree, container: str) -> Additions:
    """Nothing, where what it says is not of that form."""
    text = annotations_of(pod).get(PREFIX + container)
    if not text:
        return NONE_ADDED
    try:
        said: dict[str, Any] = msgspec.json.decode(text, type=dict[str, list[str]])
    except msgspec.DecodeError:
        return NONE_ADDED
    packages, bare = tuple(said.get("packages") or ()), tuple(said.get("bare") or ())
    if len(packages) + len(bare) > _MOST or not all(map(_REQUIREMENT.fullmatch, (*packages, *bare))):
        return NONE_ADDED
    return Additions(packages, bare)
