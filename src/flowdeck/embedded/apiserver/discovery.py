"""What is served here: `/api`, `/apis`, group and version lists, aggregated discovery, `/version`.

Source: k8s.io/apiserver (pkg/endpoints/discovery).
"""

import base64
import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from flowdeck.embedded.apiserver.contract import Answer, RequestInfo, Resource, Subresource
from flowdeck.embedded.apiserver.negotiation import Form, encode, negotiate
from flowdeck.kube.errors import page_not_found
from flowdeck.kube.objects import Kind, Tree
from flowdeck.kube.versions import version_priority

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

VERSION: Tree = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2+flowdeck",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-11-24T00:00:00Z",
    "goVersion": "",
    "compiler": "python",
    "platform": f"{platform.system().lower()}/{_MACHINES.get(platform.machine(), platform.machine())}",
}
"""Clients compare `gitVersion` and `minor`; the suffix says who answers."""


class Resources(Protocol):
    """The registry, as far as discovery reads it."""

    generation: int

    def __iter__(self) -> Iterator[Resource]: ...


class Discovery:
    """Answers the discovery paths; documents are made anew when the registry changed."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._generation = -1
        self._made: dict[tuple[str, Form], tuple[bytes, str]] = {}

    def answer(self, info: RequestInfo) -> Answer | None:
        """The answer for a discovery path, None for any other path. Raises `NotFound` for unknown groups."""
        path = info.path.rstrip("/")
        if path == "/version":
            return Answer(obj=VERSION)
        if path not in ("/api", "/apis") and not _is_group_path(path):
            return None
        form = negotiate(info.headers.get("accept", ""), shapes=False, discovery=path in ("/api", "/apis"))
        body, tag = self._document(path, form)
        if not form.shape:
            return Answer(raw=body, content_type=form.content_type)
        headers = {"ETag": tag, "Vary": "Accept", "Cache-Control": "public"}
        if info.headers.get("if-none-match") == tag:
            return Answer(raw=b"", code=304, content_type=form.content_type, headers=headers)
        return Answer(raw=body, content_type=form.content_type, headers=headers)

    def _document(self, path: str, form: Form) -> tuple[bytes, str]:
        if self._generation != self._resources.generation:
            self._made.clear()
            self._generation = self._resources.generation
        found = self._made.get((path, form))
        if found is None:
            body = encode(_make(path, form, _by_group(self._resources)), form.media)
            found = self._made[path, form] = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
        return found


def _is_group_path(path: str) -> bool:
    parts = path.split("/")
    return (parts[1:2] == ["api"] and len(parts) == 3) or (parts[1:2] == ["apis"] and len(parts) in (3, 4))


_Groups = Mapping[str, Mapping[str, list[Resource]]]
"""Group -> version, most preferred first -> resources."""


def _by_group(resources: Iterable[Resource]) -> _Groups:
    found: dict[str, dict[str, list[Resource]]] = {}
    for resource in resources:
        found.setdefault(resource.kind.group, {}).setdefault(resource.kind.version, []).append(resource)
    return {
        group: {
            version: sorted(versions[version], key=lambda resource: resource.kind.plural)
            for version in sorted(versions, key=version_priority)
        }
        for group, versions in found.items()
    }


def _make(path: str, form: Form, groups: _Groups) -> Tree:
    parts = path.split("/")[1:]
    if form.shape:
        return _aggregated(form.version, groups, is_core=path == "/api")
    match parts:
        case ["api"]:
            return {
                "kind": "APIVersions",
                "versions": list(groups.get("", {})),
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
            }
        case ["apis"]:
            found = [_group(name, versions) for name, versions in groups.items() if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}
        case ["api", version] if version in groups.get("", {}):
            return _resource_list("", version, groups[""][version])
        case ["apis", group] if group in groups:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, groups[group])}
        case ["apis", group, version] if version in groups.get(group, {}):
            return _resource_list(group, version, groups[group][version])
    raise page_not_found()


def _group(name: str, versions: Iterable[str]) -> Tree:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(group: str, version: str, resources: Iterable[Resource]) -> Tree:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [entry for resource in resources for entry in _entries(resource)],
    }


def _entries(resource: Resource) -> Iterator[Tree]:
    kind = resource.kind
    entry: Tree = {
        "name": kind.plural,
        "singularName": resource.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if not resource.virtual:
        entry["storageVersionHash"] = _storage_hash(resource)
    yield entry
    for name, sub in sorted(resource.subresources.items()):
        found: Tree = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
        if _is_foreign(sub.kind, kind):
            found |= {"group": sub.kind.group, "version": sub.kind.version}
        yield {**found, "kind": sub.kind.kind, "verbs": sorted(sub.verbs)}


def _is_foreign(kind: Kind, parent: Kind) -> bool:
    return (kind.group, kind.version) != (parent.group, parent.version)


def _storage_hash(resource: Resource) -> str:
    """A short name for the stored form: clients see by it when stored objects should be written anew."""
    kind = resource.kind
    text = f"{kind.group}/{resource.storage_version}/{kind.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _aggregated(version: str, groups: _Groups, *, is_core: bool) -> Tree:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name} if name else {},
                "versions": [_version(one, resources) for one, resources in versions.items()],
            }
            for name, versions in groups.items()
            if bool(name) != is_core
        ],
    }


def _version(version: str, resources: Iterable[Resource]) -> Tree:
    return {"version": version, "resources": [_aggregated_entry(r) for r in resources], "freshness": "Current"}


def _aggregated_entry(resource: Resource) -> Tree:
    kind = resource.kind
    entry: Tree = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind, resource),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [
            _aggregated_sub(name, sub, resource) for name, sub in sorted(resource.subresources.items())
        ]
    return entry


def _aggregated_sub(name: str, sub: Subresource, parent: Resource) -> Tree:
    return {
        "subresource": name,
        "responseKind": _response_kind(sub.kind, parent),
        "verbs": sorted(sub.verbs),
    }


def _response_kind(kind: Kind, parent: Resource) -> Tree:
    """Built-in kinds leave out the group and version that they are listed under."""
    if not parent.is_custom and not _is_foreign(kind, parent.kind):
        return {"group": "", "version": "", "kind": kind.kind}
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}
