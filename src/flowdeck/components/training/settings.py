"""What can be set about training."""

from dataclasses import dataclass
from pathlib import Path

SERVICE = "kubeflow-trainer-controller-manager"
SERVICE_NAMESPACE = "kubeflow-system"
SERVICE_PORT = 10443
PROGRESS_NAMES = (f"{SERVICE}.{SERVICE_NAMESPACE}.svc", f"{SERVICE}.{SERVICE_NAMESPACE}.svc.cluster.local")
"""DNS names of the progress server."""
PROGRESS_URL = f"https://{PROGRESS_NAMES[0]}:{SERVICE_PORT}"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The `training` branch of the settings tree."""

    progress_server: bool = True
    """Whether training code may report progress (upstream's feature gate `TrainJobStatus`, off there). It takes
    `tls_certificate`, `tls_key` and `tls_authority` as well: without them pods are told of no server."""
    progress_host: str = "127.0.0.1"
    """Address that the progress server listens on. The Service `kubeflow-trainer-controller-manager` leads there, and
    its name is what pods are told; on a real cluster it must be the pod's own address."""
    progress_port: int = 0
    """TCP port that it listens on; 0: any free one. The Service's port is 10443 in any case."""
    tls_certificate: Path | None = None
    """PEM file: the progress server's certificate, valid for the names in `PROGRESS_NAMES`."""
    tls_key: Path | None = None
    """PEM file: its private key."""
    tls_authority: Path | None = None
    """PEM file: the certificate authority that pods shall trust; only its certificates are read."""

    @property
    def serves_progress(self) -> bool:
        return self.progress_server and None not in (self.tls_certificate, self.tls_key, self.tls_authority)
