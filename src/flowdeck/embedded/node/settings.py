"""Settings of one node process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flowdeck.embedded.node.sandbox.warm import WarmSettings

MIB = 1024 * 1024
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class Taint:
    """Keeps pods away that do not tolerate it."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"
    """One of `EFFECTS`."""


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What `run_node` needs to know; times in seconds, sizes in bytes."""

    data: Path
    """The node's folder (`DATA/node`): pods, logs. Absolute, without symbolic links."""
    name: str
    """Name of the Node object."""
    kubeconfig: Path
    """Where the API server is and how to log in."""
    driver: Literal["auto", "namespaces", "plain", "simulated"] = "auto"
    """`auto`: namespaces where the machine can do them, else plain; `simulated`: nothing runs, pods only seem to."""
    host_ip: str = "127.0.0.1"
    """`status.hostIP` of pods and the node's InternalIP."""
    port: int = 10250
    """Where the kubelet's HTTPS API listens; 0: any free port."""
    hidden: tuple[Path, ...] = ()
    """Folders that no pod may see, beside the node's own: the platform's data folder."""
    pki: Path | None = None
    """Folder of `kubelet.pem` (our serving certificate with its key) and `ca.crt` (who signed the API server's).
    None: the node makes its own certificate, asks the cluster to sign one, and believes the kubeconfig's authority."""
    client_ca: Path | None = None
    """Who signed the certificates of those that may ask the kubelet's API; None: as `pki` says."""
    taints: tuple[Taint, ...] = ()
    """What the Node has from its first day; pods come only where they tolerate it."""
    machine_env: Mapping[str, str] = field(default_factory=dict)
    """The node process's own environment, for building images."""
    cache: Path = Path("cache")
    """Where environments are kept, for all platforms of the user. Absolute, without symbolic links."""
    find_links: tuple[str, ...] = ()
    """Folders or URLs with wheels, for building images' environments."""
    index_url: str = ""
    """Package index for that; empty: the machine's configuration, else PyPI."""
    offline: bool = False
    """Build only from the cache and `find_links`."""
    volume_roots: tuple[Path, ...] = ()
    """Folders inside `hidden` that persistent volumes may lie in all the same."""
    host_roots: tuple[Path, ...] = ()
    """Folders inside `hidden` that hostPath volumes may name all the same: the artifacts of pipelines."""
    is_root: bool = False
    """The node runs as root: files can be given to other users."""
    labels: dict[str, str] = field(default_factory=dict)
    """More labels of the Node object."""
    crash_loop_start_s: float = 1.0
    """Pause before the second restart of a container; doubles with each more. A kubelet: 10."""
    crash_loop_max_s: float = 300.0
    """Longest such pause."""
    max_pods: int = 500
    """How many pods the node takes; simulated ones cost little."""
    simulated_run_s: float = 1.0
    """For how long simulated pods run that do not say so themselves, and are not restarted when they end."""
    log_max_bytes: int = 10 * MIB
    """A container's log is rotated at that size."""
    log_max_files: int = 5
    """How many log files of one container attempt are kept."""
    lease_s: float = 10.0
    """How often the node's Lease is renewed."""
    warm: WarmSettings = field(default_factory=WarmSettings)
    """Warm fork servers."""
    cluster_domain: str = "cluster.local"
