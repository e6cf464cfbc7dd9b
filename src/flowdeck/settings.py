"""What can be set: one tree of frozen dataclasses. Read once in `cli`, passed down.

`docs/settings.md` is checked against this file.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.training.settings import TrainingSettings
from flowdeck.embedded.apiserver.settings import Provider, WatchLimits
from flowdeck.http1.limits import Limits

Driver = Literal["auto", "namespaces", "plain", "simulated"]


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The API server."""

    host: str = "127.0.0.1"
    """Address to listen on. Loopback by default: whoever reaches it and has the kubeconfig is administrator."""
    port: int = 6443
    """TCP port; 0 takes any free one."""
    names: tuple[str, ...] = ()
    """Further DNS names and addresses that the server's certificate shall be valid for."""
    providers: tuple[Provider, ...] = ()
    """OpenID Connect providers whose users are let in. What they may do is up to Roles and their bindings."""
    limits: Limits = field(default_factory=Limits)
    """Of connections: how many, how slow."""
    watches: WatchLimits = field(default_factory=WatchLimits)
    """How many may be open."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedNodeSettings:
    """The node that `flowdeck up` starts."""

    enabled: bool = True
    """Without a node, pods stay Pending until one joins (`flowdeck node`)."""
    name: str = "flowdeck"
    """Name of the Node object."""
    driver: Driver = "auto"
    """How pods are kept apart: Linux namespaces, plain processes, or the best that the machine can do. `simulated`:
    nothing runs, pods only seem to."""
    pods: int = 0
    """How many pods it takes; 0: 500, or 10,000 simulated ones."""
    simulated_run_s: float = 1.0
    """For how long simulated pods run that do not say so themselves (docs/node.md), in seconds."""
    find_links: tuple[str, ...] = ()
    """Folders or URLs with wheels, for building images' environments."""
    index_url: str = ""
    """Package index for building environments; empty: pip's and uv's own configuration, else PyPI."""
    offline: bool = False
    """Build environments only from the cache and `find_links`."""
    warm_servers: int = 2
    """How many warm fork servers are kept at once, so that Python pods start without importing; 0: none."""


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """The Job controller."""

    back_off_start_s: float = 1.0
    """Pause before a failed pod is replaced for the first time; doubled each time. Upstream: 10."""
    back_off_max_s: float = 360.0
    """Longest such pause."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole platform, embedded."""

    data: Path
    """The data folder: database, keys, kubeconfig, pods. Mode 0700."""
    server: ServerSettings = field(default_factory=ServerSettings)
    node: EmbeddedNodeSettings = field(default_factory=EmbeddedNodeSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    pipelines: PipelinesSettings = field(default_factory=PipelinesSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    database: str = field(default="", repr=False)
    """URL of the components' database, `postgresql://user:password@host/name`; empty: SQLite in the data folder."""
    artifacts: ArtifactSettings = field(default_factory=ArtifactSettings)
    disabled: frozenset[str] = frozenset()
    """Names of components that are not run: their kinds and controllers are gone."""
