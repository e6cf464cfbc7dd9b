"""What an environment consists of, and what a finished one has. Pure."""

import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowdeck.embedded.node.contract import NONE_ADDED, Additions

PLATFORM_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_BARE = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[\w, -]*\])?\s*(?:==\s*([\w.]+))?\s*(?:;.*)?")


@dataclass(frozen=True)
class Recipe:
    """What an environment consists of."""

    python: str
    """`3.11`."""
    packages: tuple[str, ...] = ()
    """Requirements as pip takes them; `pip` itself is always there."""
    additions: Additions = NONE_ADDED
    """Of who asked for it: nobody else gets it."""

    def digest(self, sources: Mapping[str, str]) -> str:
        """Names the environment with packages from there: 64 hex characters."""
        content: list[object] = [self.python, sorted(set(self.packages)), platform.system(), platform.machine()]
        if self.packages or self.additions != NONE_ADDED:
            content.append(sorted(sources.items()))
        if self.additions != NONE_ADDED:
            content.append([sorted(set(self.additions.packages)), sorted(set(self.additions.bare))])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class Environment:
    """A finished environment."""

    path: Path
    recipe: Recipe
    sources: Mapping[str, str]
    """Where its packages are from, as uv was told."""
    installed: Mapping[str, str]
    """Normalised package name -> version."""
    size_bytes: int

    @property
    def digest(self) -> str:
        """64 hex characters."""
        return self.path.name

    def satisfies(self, recipe: Recipe) -> bool:
        """True when everything the recipe asks for is in it (asked for by name or by exact version)."""
        if self.recipe.additions != NONE_ADDED or recipe.additions != NONE_ADDED:
            return self.recipe == recipe
        return self.recipe.python == recipe.python and all(self._has(package) for package in recipe.packages)

    def _has(self, requirement: str) -> bool:
        if requirement in self.recipe.packages:
            return True
        wanted = _BARE.fullmatch(requirement)
        if not wanted or "[" in requirement or ";" in requirement:
            return False
        version = self.installed.get(normal(wanted[1]))
        return version is not None and wanted[2] in (None, version, version.partition("+")[0])


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
