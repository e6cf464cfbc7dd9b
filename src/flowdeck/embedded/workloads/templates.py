"""Pods from templates, and the short hash that tells templates apart."""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from flowdeck.kube.objects import Tree, copy_of, owner_reference

_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""Letters that can't spell a bad word: upstream's alphabet for names."""


def safe_hash(*parts: object, length: int = 10) -> str:
    """A short name-safe digest of the parts (JSON trees, texts, numbers)."""
    digest = hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).digest()
    return "".join(_SAFE[byte % len(_SAFE)] for byte in digest[:length])


def template_hash(template: Mapping[str, Any], collision_count: int | None = None) -> str:
    """The `pod-template-hash` of a template; the collision count makes another one of the same template."""
    return safe_hash(dict(template), collision_count or 0)


def pod_of(template: Mapping[str, Any], owner: Tree, *, name: str = "") -> Tree:
    """The pod that a template describes, controlled by `owner`; without a name the server makes one up."""
    given = template.get("metadata") or {}
    metadata: Tree = {"namespace": owner["metadata"]["namespace"], "ownerReferences": [owner_reference(owner)]}
    for field in ("labels", "annotations"):
        metadata[field] = dict(given.get(field) or {})
    if given.get("finalizers"):
        metadata["finalizers"] = list(given["finalizers"])
    if name:
        metadata["name"] = name
    else:
        metadata["generateName"] = name_prefix(owner["metadata"]["name"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy_of(template.get("spec") or {})}


def name_prefix(owner_name: str) -> str:
    """`<owner>-`; the server shortens it where suffix and prefix do not fit together."""
    return f"{owner_name}-"
