"""What a user can set about images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ImageSettings:
    """How environments are built and kept."""

    folder: Path
    """Environments and uv's cache, shared by all platforms of a user."""
    archives: Path
    """`DATA/node/archives`: unpacked archives."""
    table: Path
    """`DATA/images.toml`: the user's rows of the table of images."""
    machine_env: Mapping[str, str] = field(default_factory=dict)
    """The node's environment variables; its `UV_*`, `PIP_*`, proxy and certificate settings apply to builds."""
    find_links: Sequence[str] = ()
    """More places with wheels: folders or URLs."""
    index_url: str = ""
    """The package index; empty: what `UV_*`, `PIP_*` or pip's configuration say, else PyPI."""
    can_unpack: bool = True
    """False where containers cannot have a root of their own (plain driver): archives are then refused."""
    offline: bool = False
    """Build only from uv's cache and `find_links`."""
    build_timeout_s: float = 1800
    """A build that takes longer fails."""


def shared_folder(env: Mapping[str, str], *, is_root: bool) -> Path:
    """Where the environments of all platforms of a user are: `flowdeck` in the place for caches.

    For root that is /var/cache, where other users can read: pods run as such. Whoever has no home has his entry in the
    system's list of users, and never a folder in which others can write.
    """
    if base := env.get("XDG_CACHE_HOME"):
        return Path(base) / "flowdeck"
    return Path("/var/cache/flowdeck") if is_root else Path(env.get("HOME") or Path.home()) / ".cache" / "flowdeck"
