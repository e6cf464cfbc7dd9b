"""Whether the process lives and is ready, and what it has done: `/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from flowdeck.controller import metrics
from flowdeck.controller.manager import Manager
from flowdeck.serving import Receive, Scope, Send, answer


@dataclass(eq=False)
class Health:
    """What the process says of itself."""

    is_ready: bool = False
    """Whether webhooks are served."""
    manager: Manager | None = None
    """The controllers, while this replica leads."""
    certificate_ends: datetime | None = None

    def collect(self) -> Iterable[Metric]:
        """For Prometheus."""
        yield GaugeMetricFamily(
            "flowdeck_leader", "1 where the controllers run.", value=float(self.manager is not None)
        )
        if self.certificate_ends is not None:
            text = "When the serving certificate ends, in seconds since 1970."
            ends = self.certificate_ends.timestamp()
            yield GaugeMetricFamily("flowdeck_certificate_expiration_timestamp_seconds", text, value=ends)
        if self.manager is not None:
            yield from metrics.collect(self.manager)


@dataclass(frozen=True)
class HealthApp:
    """The ASGI application."""

    health: Health
    _registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._registry.register(self.health)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/healthz":
                await answer(send, 200, b"ok\n", "text/plain")
            case "/readyz" if self.health.is_ready:
                await answer(send, 200, b"ok\n", "text/plain")
            case "/readyz":
                await answer(send, 503, b"not ready: waiting for certificates\n", "text/plain")
            case "/metrics":
                await answer(send, 200, generate_latest(self._registry), "text/plain; version=0.0.4")
            case _:
                await answer(send, 404, b"not found\n", "text/plain")
