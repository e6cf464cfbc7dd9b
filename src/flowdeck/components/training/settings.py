"""What can be set about training."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

SERVICE = "kubeflow-trainer-controller-manager"
SERVICE_NAMESPACE = "kubeflow-system"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The `training` branch of the settings tree."""

    progress_server: bool = True
    """Whether training code may report progress (upstream's feature gate `TrainJobStatus`, off there). It takes
    `tls_certificate`, `tls_key` and `tls_authority` as well: without them pods are told of no server."""
    progress_host: str = "127.0.0.1"
    """Address that the progress server listens on: one that pods can reach. One that is not on the loopback is
    published as the Service `kubeflow-trainer-controller-manager`, whose name pods are told."""
    progress_port: int = 10443
    """TCP port of the progress server and its Service."""
    tls_certificate: Path | None = None
    """PEM file: the progress server's certificate, valid for `progress_host` and for the Service's name."""
    tls_key: Path | None = None
    """PEM file: its private key."""
    tls_authority: Path | None = None
    """PEM file: the certificate authority that pods shall trust; only its certificates are read."""

    @property
    def progress_url(self) -> str:
        """Where pods reach the progress server; the path is added."""
        host = self.progress_host if self.is_local else f"{SERVICE}.{SERVICE_NAMESPACE}.svc"
        return f"https://{host}:{self.progress_port}"

    @property
    def is_local(self) -> bool:
        """Whether the progress server listens on the loopback, which no Service may point to."""
        return ip_address(self.progress_host).is_loopback

    @property
    def serves_progress(self) -> bool:
        return self.progress_server and None not in (self.tls_certificate, self.tls_key, self.tls_authority)
