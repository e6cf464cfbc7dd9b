"""From an HTTP request to what it asks for.

Source of the rules: k8s.io/apiserver (pkg/endpoints/request/requestinfo.go).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

MAX_BODY_BYTES = 3 * 1024 * 1024
"""As upstream: larger request bodies are answered by 413."""
MAX_PROXIED_BYTES = 64 * 1024 * 1024
"""Of a body on its way through a proxy, which upstream does not limit: it is held in memory."""

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """The parts of a resource URL."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    subpath: str = ""
    is_watch_prefix: bool = False
    """The old form `/api/v1/watch/...`."""


@lru_cache(1024)
def parse_path(path: str) -> ResourcePath | None:
    """The resource that a path (unquoted) names; None for every other one: `/version`, `/apis`, `/apis/apps/v1`."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    is_watch = rest[0] == "watch" and len(rest) > 1
    rest = rest[1:] if is_watch else rest
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        is_sub_of_namespace = len(rest) > 2 and rest[2] not in ("status", "finalize")
        if is_sub_of_namespace:
            rest = rest[2:]
    return ResourcePath(
        group,
        version,
        rest[0],
        namespace,
        rest[1] if len(rest) > 1 else "",
        rest[2] if len(rest) > 2 else "",
        "/".join(rest[3:]),
        is_watch,
    )


def verb_of(method: str, path: ResourcePath, query: Mapping[str, str]) -> str:
    """The API verb of a request on a resource."""
    if method in ("GET", "HEAD"):
        if path.is_watch_prefix or (not path.name and is_true(query.get("watch", ""))):
            return "watch"
        return "get" if path.name else "list"
    if method == "DELETE" and not path.name:
        return "deletecollection"
    return _VERBS.get(method, method.lower())


def selected_name(verb: str, query: Mapping[str, str]) -> str:
    """The one name that a list or watch is limited to by `fieldSelector=metadata.name=x`: roles may name it."""
    if verb not in ("list", "watch"):
        return ""
    for term in query.get("fieldSelector", "").split(","):
        path, _, name = term.partition("=")
        if path == "metadata.name" and name.removeprefix("=") and "/" not in name:
            return name.removeprefix("=")
    return ""


def parse_query(raw: bytes) -> Mapping[str, Sequence[str]]:
    return parse_qs(raw.decode("latin-1"), keep_blank_values=True) if raw else {}


def is_true(text: str) -> bool:
    """Whether a query parameter means yes: every text does but these, as upstream (where one without a value does)."""
    return text.lower() not in ("", "false", "0")
