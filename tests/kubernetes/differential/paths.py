"""From `deployments/a/status` to a URL's path: which group a plural is in, and whether it has namespaces."""

from collections.abc import Mapping
from functools import cache

from flowdeck.kube import openapi


def url_path(path: str, namespace: str) -> str:
    """The path of a resource in `namespace`; one that begins with `/` is whole already. Raises `KeyError`."""
    if path.startswith("/"):
        return path
    plural, *rest = path.split("/")
    root, namespaced = _roots()[plural]
    return "/".join([root, *(["namespaces", namespace] if namespaced else []), plural, *rest])


@cache
def _roots() -> Mapping[str, tuple[str, bool]]:
    """Plural -> root of its group's preferred version, and whether it is namespaced. Core comes first."""
    found: dict[str, tuple[str, bool]] = {}
    for top, document in openapi.discovery().items():
        for group in document["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                root = "/".join(filter(None, (top, name, version["version"])))
                for resource in version["resources"]:
                    found.setdefault(resource["resource"], (root, resource["scope"] == "Namespaced"))
    return found
