"""What the environment asks of an initializer."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WORKSPACE = "/workspace"


class InitializerError(Exception):
    """The source cannot be fetched; the message is for the user."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One thing to fetch."""

    uri: str
    destination: str
    allow: Sequence[str] = ()
    """File patterns to fetch; empty: all."""
    ignore: Sequence[str] = ()
    """File patterns to leave out."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The provider's own settings, by upper-case name."""

    @property
    def scheme(self) -> str:
        return self.uri.partition("://")[0].lower() if "://" in self.uri else ""

    @property
    def path(self) -> str:
        """What follows the scheme."""
        return self.uri.partition("://")[2]


def destination(name: str) -> str:
    """Where to: the program's argument, else the folder of that name in the workspace."""
    return sys.argv[1] if len(sys.argv) > 1 else f"{WORKSPACE}/{name}"


def source_from_environment(destination: str, *, allow: Sequence[str] = (), ignore: Sequence[str] = ()) -> Source:
    """Reads `STORAGE_URI` and, in place of `ignore`, `IGNORE_PATTERNS`."""
    env = dict(os.environ)  # noqa: TID251 - a program of its own, with no other configuration
    uri = env.get("STORAGE_URI", "")
    if not uri:
        raise InitializerError("STORAGE_URI is not set: nothing to fetch")
    patterns = [item.strip() for item in env.get("IGNORE_PATTERNS", "").split(",") if item.strip()]
    return Source(uri=uri, destination=destination, allow=allow, ignore=patterns or ignore, env=env)
