"""What can be set about the platform on a cluster. `docs/settings.md` is checked against this file."""

from dataclasses import dataclass, field

from flowdeck.components.pipelines.settings import SERVICE_PORT as PIPELINES_PORT
from flowdeck.components.pipelines.settings import PipelinesSettings
from flowdeck.components.training.settings import SERVICE_PORT, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class LeaderSettings:
    """The election of the replica that runs the controllers."""

    lease_s: int = 15
    """After that long without a renewal, another replica may take over."""
    renew_s: float = 10.0
    """After that long without a renewal, the leader stops; must be less than `lease_s`."""
    retry_s: float = 2.0
    """Pause between attempts to take or renew the Lease."""


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """The platform on a cluster: `settings.yaml` in the ConfigMap `flowdeck`."""

    disabled: frozenset[str] = frozenset()
    """Names of components that are not run: neither their kinds nor their rights are installed."""
    host: str = "0.0.0.0"
    """Address that webhooks, health and metrics are served on."""
    names: frozenset[str] = frozenset()
    """Further DNS names and addresses that the serving certificate shall be valid for: of an operator that runs outside
    the cluster, whose webhooks are called by URL."""
    webhook_port: int = 9443
    """TCP port of the webhooks (HTTPS)."""
    health_port: int = 8081
    """TCP port of `/healthz`, `/readyz` and `/metrics` (HTTP)."""
    leader: LeaderSettings = field(default_factory=LeaderSettings)
    pipelines: PipelinesSettings = field(default_factory=lambda: PipelinesSettings(host="0.0.0.0", port=PIPELINES_PORT))
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(progress_host="0.0.0.0", progress_port=SERVICE_PORT)
    )
