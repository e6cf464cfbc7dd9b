"""Packs endpoints into EndpointSlices with as few changes as possible. Pure.

Source: kubernetes (staging/src/k8s.io/endpointslice/reconciler.go)
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from flowdeck.kube.objects import Tree, copy_of, get_in, is_being_deleted, owner_reference

MAX_ENDPOINTS = 100
"""Endpoints in one slice."""
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True)
class Group:
    """Endpoints that share their ports and their address family."""

    ports: Sequence[Tree]
    endpoints: Sequence[Tree]
    address_type: str = "IPv4"

    @property
    def key(self) -> bytes:
        return _group_key(self.address_type, self.ports)


@dataclass(frozen=True)
class Identity:
    """What all slices of one Service have in common."""

    owner: Tree
    service_name: str
    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass
class Changes:
    """What to write; slices that are right stay out."""

    create: list[Tree] = field(default_factory=list)
    update: list[Tree] = field(default_factory=list)
    delete: list[Tree] = field(default_factory=list)


def _group_key(address_type: str, ports: Any) -> bytes:
    return orjson.dumps([address_type, ports or []], option=orjson.OPT_SORT_KEYS)


def endpoint_id(endpoint: Tree) -> str:
    """The target's uid; the address where there is no target."""
    return str(get_in(endpoint, "targetRef", "uid") or endpoint["addresses"][0])


def pack(identity: Identity, groups: Iterable[Group], existing: Sequence[Tree]) -> Changes:
    """Fills the slices there are before it makes new ones. A Service without any endpoint keeps one empty slice."""
    changes = Changes()
    wanted = {group.key: group for group in groups if group.endpoints} or {b"": Group((), ())}
    by_key: dict[bytes, list[Tree]] = {key: [] for key in wanted}
    placeholder = b"" in wanted
    for found in (s for s in existing if not is_being_deleted(s)):
        key = b"" if placeholder else _group_key(found["addressType"], found.get("ports"))
        if key in by_key:
            by_key[key].append(found)
        else:
            changes.delete.append(found)
    for key, group in wanted.items():
        _pack_group(identity, group, by_key[key], changes)
    return changes


def _pack_group(identity: Identity, group: Group, slices: Sequence[Tree], changes: Changes) -> None:
    left = {endpoint_id(endpoint): endpoint for endpoint in group.endpoints}
    contents = [[left.pop(i) for e in s.get("endpoints") or () if (i := endpoint_id(e)) in left] for s in slices]
    new = list(left.values())
    for content in contents:
        if content or not new or len(new) < MAX_ENDPOINTS:
            room = MAX_ENDPOINTS - len(content)
            content += new[:room]
            new = new[room:]
    kept = 0
    for found, content in zip(slices, contents, strict=True):
        is_last_chance = not group.endpoints and kept == 0
        if not content and not is_last_chance:
            changes.delete.append(found)
            continue
        kept += 1
        updated = _filled(identity, group, content, found)
        if updated != found:
            changes.update.append(updated)
    while new or not kept:
        kept += 1
        changes.create.append(_filled(identity, group, new[:MAX_ENDPOINTS], None))
        new = new[MAX_ENDPOINTS:]


def _filled(identity: Identity, group: Group, endpoints: Sequence[Tree], found: Tree | None) -> Tree:
    slice_ = copy_of(found) if found else _empty(identity)
    labels = slice_["metadata"].get("labels") or {}
    slice_["metadata"]["labels"] = {SERVICE_NAME: identity.service_name, **identity.labels}
    if found and labels == slice_["metadata"]["labels"]:
        slice_["metadata"]["labels"] = labels
    same = found is not None and (found.get("endpoints") or []) == list(endpoints)
    if not same:
        slice_["metadata"]["annotations"] = dict(identity.annotations)
    slice_["addressType"] = group.address_type
    if not same or found is None:
        slice_["endpoints"] = list(endpoints)
    if (slice_.get("ports") or []) != list(group.ports):
        slice_["ports"] = [dict(port) for port in group.ports]
    return slice_


def _empty(identity: Identity) -> Tree:
    meta = identity.owner["metadata"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{identity.service_name}-",
            "namespace": meta["namespace"],
            "ownerReferences": [owner_reference(identity.owner)],
        },
    }
