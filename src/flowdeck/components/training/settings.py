"""What can be set about training."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The `training` branch of the settings tree."""

    progress_server: bool = True
    """Whether training code may report progress (upstream's feature gate `TrainJobStatus`, off there). It takes
    `tls_certificate`, `tls_key` and `tls_authority` as well: without them pods are told of no server."""
    progress_url: str = "https://kubeflow-trainer-controller-manager.kubeflow-system.svc:10443"
    """Where pods reach the progress server; the path is added."""
    progress_host: str = "127.0.0.1"
    """Address that the progress server listens on: one that pods can reach."""
    progress_port: int = 10443
    tls_certificate: Path | None = None
    """PEM file: the progress server's certificate, valid for the host in `progress_url`."""
    tls_key: Path | None = None
    """PEM file: its private key."""
    tls_authority: Path | None = None
    """PEM file: the certificate authority that pods shall trust."""

    @property
    def serves_progress(self) -> bool:
        return self.progress_server and None not in (self.tls_certificate, self.tls_key, self.tls_authority)
