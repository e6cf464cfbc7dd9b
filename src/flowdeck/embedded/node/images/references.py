"""Image references: `[registry/]path[:tag][@digest]`, as Docker and Kubernetes read them."""

import re
from dataclasses import dataclass

from flowdeck.embedded.node.contract import ImageError

_REFERENCE = re.compile(
    r"(?P<name>(?:(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w.-]+:\d+)(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][\w.+-]*:[0-9a-fA-F]{32,}))?",
    re.ASCII,
)
_VERSION = re.compile(r"v?(\d+(?:\.\d+)+)")


@dataclass(frozen=True)
class Reference:
    """A parsed reference in its familiar form: `docker.io/library/python` is `python`."""

    name: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}" if not self.digest else f"{self.name}@{self.digest}"

    @property
    def version(self) -> str:
        """The version that the tag starts with: `2.13.0` of `2.13.0-cuda13.0-runtime`; empty when there is none."""
        found = _VERSION.match(self.tag)
        return found.group(1) if found else ""


def parse_reference(text: str) -> Reference:
    """Raises `ImageError` (`InvalidImageName`) in the kubelet's words."""
    found = _REFERENCE.fullmatch(text)
    if not found:
        detail = "invalid reference format"
        if _REFERENCE.fullmatch(text.lower()):
            detail += f": repository name ({text.partition(':')[0]}) must be lowercase"
        raise ImageError(
            "InvalidImageName",
            f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": {detail}',
        )
    name = found["name"].removeprefix("index.docker.io/").removeprefix("docker.io/").removeprefix("library/")
    return Reference(name, found["tag"] or "latest", found["digest"] or "")
