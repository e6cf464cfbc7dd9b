"""Whether the process lives and is ready, and what it has done: `/healthz`, `/readyz`, `/metrics`."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from flowdeck.controller import metrics
from flowdeck.controller.manager import Manager
from flowdeck.http1.asgi import Receive, Scope, Send
from flowdeck.serving import answer

log = structlog.get_logger()


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
    check: Callable[[], Awaitable[Mapping[str, str]]]
    """What the process needs besides and has not, with why."""
    _registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._registry.register(self.health)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/healthz":
                await answer(send, 200, b"ok\n", "text/plain")
            case "/readyz":
                why = await self._not_ready()
                await answer(send, 503 if why else 200, f"{why or 'ok'}\n".encode(), "text/plain")
            case "/metrics":
                await answer(send, 200, generate_latest(self._registry), "text/plain; version=0.0.4")
            case _:
                await answer(send, 404, b"not found\n", "text/plain")

    async def _not_ready(self) -> str:
        """Why not; reasons are for the log alone, since everybody may ask."""
        if not self.health.is_ready:
            return "not ready: waiting for certificates"
        failures = await self.check()
        for name, why in failures.items():
            log.warning("not ready", check=name, error=why)
        return f"not ready: waiting for {' and '.join(failures)}" if failures else ""
