"""`plugins_input` of runs and recurring runs: kept and told again; no plug-in acts on it yet. Pure.

Source: kubeflow/pipelines (backend/src/apiserver/plugins)
"""

from typing import Any

import msgspec

from flowdeck.kube.errors import BadRequest
from flowdeck.kube.objects import Tree

MAX_PLUGINS = 16
MAX_INPUT, MAX_ALL = 64 * 1024, 256 * 1024
"""Bytes of JSON."""
MAX_DEPTH = 10


def checked_plugins(given: Tree | None) -> Tree:
    """What may be kept. Raises `BadRequest`."""
    found = given or {}
    if len(found) > MAX_PLUGINS:
        raise _bad(f"it has {len(found)} plug-ins, more than {MAX_PLUGINS}")
    for name, value in found.items():
        if not isinstance(value, dict):
            raise _bad(f"{name!r} must be an object")
        if len(msgspec.json.encode(value)) > MAX_INPUT:
            raise _bad(f"{name!r} is larger than {MAX_INPUT} bytes")
        if _is_deeper(value, MAX_DEPTH):
            raise _bad(f"{name!r} is nested deeper than {MAX_DEPTH}")
    if len(msgspec.json.encode(found)) > MAX_ALL:
        raise _bad(f"it is larger than {MAX_ALL} bytes")
    return found


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(one, depth - 1) for one in inner)


def _bad(why: str) -> BadRequest:
    return BadRequest(f"Invalid input error: plugins_input: {why}")
