"""What a user can set about the network of pods."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Where pods live and how they reach the API and the world."""

    folder: Path
    """`DATA/node/network`."""
    node_ip: str = "127.0.0.1"
    """The machine's address, for pods with `hostNetwork`."""
    api_host: str = "127.0.0.1"
    """Where the API server listens, seen from the machine; the Service `kubernetes` leads there."""
    api_port: int = 6443
    cluster_domain: str = "cluster.local"
    pod_subnet: str = ""
    """`10.220.16.0/20`; empty: one that nothing on this machine uses, remembered in the folder."""
    outside_ports: Sequence[int] = (22, 80, 443, 3128, 5432, 6379, 8000, 8080, 8443, 9000, 9092, 50051)
    """TCP ports of the world outside that pods with an address of their own can reach."""
    resolvers: Sequence[str] = ()
    """Name servers for names outside the cluster; empty: the machine's."""
