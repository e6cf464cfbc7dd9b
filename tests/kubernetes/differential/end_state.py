"""What controllers have made of a namespace: objects and events without what chance and the order of writes decide.

Left out of objects: uids, revisions, who wrote what, addresses, the random ends of names, hashes. Lists that have no
order (objects, endpoints, conditions) are sorted. Of events: reason, type, message, who said it, about whom; once each.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from flowdeck.kube.objects import Tree

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_HASH = re.compile(rf"(?<![a-z0-9])[{_LETTERS}]{{7,10}}(?![a-z0-9])")
_RANDOM = re.compile(rf"-[{_LETTERS}]{{5}}\b")
_UID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ADDRESS = re.compile(r"\b10\.\d+\.\d+\.\d+\b")
_UNTOLD = ("uid", "resourceVersion", "creationTimestamp", "managedFields")
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_BEGINNING = ("NewReplicaSetCreated", "ReplicaSetUpdated")
_UNORDERED = ("endpoints", "addresses", "notReadyAddresses", "conditions", "ownerReferences", "uncountedTerminatedPods")


def gist_of(objects: Sequence[Tree], namespace: str) -> list[Any]:
    """Objects as they are compared, sorted."""
    return _sorted(_plain([_without_noise(obj) for obj in objects], namespace))


def events_of(events: Sequence[Tree], namespace: str) -> list[Any]:
    """What was told, once each, sorted."""
    found = _sorted(_plain([_told(event) for event in events if not _is_repair(event)], namespace))
    return [event for at, event in enumerate(found) if event not in found[:at]]


def _is_repair(event: Tree) -> bool:
    """Upstream looks over all addresses now and then; a Service that comes or goes just then looks wrong to it."""
    return bool(event.get("reportingComponent") == "ipallocator-repair-controller")


def _without_noise(obj: Tree) -> Tree:
    """A slice of endpoints counts its writes as generations; how many it took is chance.

    So is whether the last of them was due to a change of a pod (`_TRIGGER`): two changes in one second are one.
    """
    untold = (*_UNTOLD, "generation") if "addressType" in obj else _UNTOLD
    metadata = {name: value for name, value in obj["metadata"].items() if name not in untold}
    annotations = {name: text for name, text in metadata.pop("annotations", {}).items() if name != _TRIGGER}
    found = {**obj, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}
    if conditions := obj.get("status", {}).get("conditions"):
        found["status"] = {**obj["status"], "conditions": [_without_race(condition) for condition in conditions]}
    return found


def _without_race(condition: Tree) -> Tree:
    """While pods of a new set begin: whether the controller has looked since it made the set is chance."""
    if condition.get("type") != "Progressing" or condition.get("reason") not in _BEGINNING:
        return condition
    return {**condition, "reason": " or ".join(_BEGINNING), "message": ""}


def _told(event: Tree) -> Tree:
    about = event["involvedObject"]
    return {
        "about": f"{about['kind']} {about.get('name', '')}",
        "reason": event.get("reason"),
        "type": event.get("type"),
        "message": event.get("message"),
        "by": event.get("reportingComponent") or event.get("source", {}).get("component"),
    }


def _plain(value: Any, namespace: str) -> Any:
    text = orjson.dumps(value).decode().replace(namespace, "NS")
    for pattern, name in ((_UID, "UID"), (_TIME, "TIME"), (_ADDRESS, "IP"), (_HASH, "HASH"), (_RANDOM, "-*")):
        text = pattern.sub(name, text)
    return _ordered(orjson.loads(text))


def _ordered(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _ordered(item, key) for key, item in value.items() if key != "resourceVersion"}
    if isinstance(value, list):
        items = [_ordered(item) for item in value]
        return _sorted(items) if name in _UNORDERED else items
    return value


def _sorted(values: list[Any]) -> list[Any]:
    return sorted(values, key=lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
