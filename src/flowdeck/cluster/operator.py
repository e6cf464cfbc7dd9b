"""The platform's process on a cluster; several replicas run at the same time.

every replica: certificates -> webhooks, health, the components' servers
the leader:    the components' controllers, and the webhook configurations' `caBundle`
"""

import asyncio
import base64
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.cluster.certificates import CHECK_S, Certificates
from flowdeck.cluster.health import Health, HealthApp
from flowdeck.cluster.names import LEASE, OPERATOR, OPERATOR_SERVICE
from flowdeck.cluster.settings import ClusterSettings
from flowdeck.cluster.webhooks import WebhookApp
from flowdeck.components.base import Component, Context
from flowdeck.controller.admission import AdmissionRule
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import EventRecorder
from flowdeck.controller.leader import LeaderElection, LostLease
from flowdeck.controller.manager import Manager
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION
from flowdeck.kube.objects import Kind, ObjectKey, Tree
from flowdeck.plugins import components
from flowdeck.serving import CertificateFiles, serve
from flowdeck.stores import Stores

log = structlog.get_logger()


@dataclass
class Operator:
    """One replica."""

    settings: ClusterSettings
    client: Client
    clock: Clock
    identity: str
    """Unique among the replicas: the pod's name."""
    folder: Path
    """Private; for certificates."""
    stores: Stores = field(default_factory=Stores)
    components: Sequence[Component] = field(init=False)
    certificates: Certificates = field(init=False)
    health: Health = field(default_factory=Health, init=False)

    def __post_init__(self) -> None:
        self.components = components(self.settings.disabled)
        names = [*server_names(self.components), *sorted(self.settings.names)]
        self.certificates = Certificates(self.client, self.clock, names, self.folder)

    async def run(self) -> None:
        """Works until it is cancelled, also while the API server cannot be reached."""
        with _listening(self.settings.host, self.settings.health_port) as health:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve(HealthApp(self.health, self.stores.check), health, self.clock), name="health")
                await self.certificates.wait_ready()
                tasks.create_task(self._keep_certificates(), name="certificates")
                tasks.create_task(self._serve_webhooks(), name="webhooks")
                for part in self.components:
                    for server in part.servers(self._context(part, self.client)):
                        tasks.create_task(server(), name=f"server of {part.name}")
                tasks.create_task(self._lead(), name="leader election")

    async def _serve_webhooks(self) -> None:
        rules = [rule for part in self.components for rule in part.admission()]
        app = WebhookApp(rules, self.client, self.clock)
        with _listening(self.settings.host, self.settings.webhook_port) as listener:
            self.health.is_ready = True
            serving = self.certificates.serving
            await serve(app, listener, self.clock, certificate=CertificateFiles(serving, serving))

    async def _keep_certificates(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.certificates.keep())
            while True:
                self.health.certificate_ends = self.certificates.ends
                await self.clock.sleep(CHECK_S)

    async def _lead(self) -> None:
        """Runs the controllers while this replica leads, again and again: a lost Lease is no reason to stop serving."""
        leader = self.settings.leader
        while True:
            election = LeaderElection(
                self.client, self.clock, LEASE, self.identity, leader.lease_s, leader.renew_s, leader.retry_s
            )
            try:
                await election.run(self._control)
            except LostLease as error:
                log.warning("no longer the leader", error=str(error))

    async def _control(self) -> None:
        manager = Manager(self.client, self.clock, self._controllers)
        self.health.manager = manager
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(manager.run())
                tasks.create_task(self._keep_trust())
        finally:
            self.health.manager = None

    def _controllers(self, client: Client) -> Sequence[Controller]:
        return [made for part in self.components for made in part.controllers(self._context(part, client))]

    def _context(self, part: Component, client: Client) -> Context:
        return Context(
            client=client,
            clock=self.clock,
            settings=self._settings_of(part),
            events=EventRecorder(client, self.clock, f"{part.name}-controller", host=self.identity),
            stores=self.stores,
        )

    def _settings_of(self, part: Component) -> object:
        """The component's branch; what it serves over TLS has the operator's certificate."""
        branch = getattr(self.settings, part.name, None)
        if not hasattr(branch, "tls_certificate"):
            return branch
        files = {"tls_certificate": self.certificates.serving, "tls_key": self.certificates.serving}
        return replace(branch, **files, tls_authority=self.certificates.authority)  # type: ignore[type-var]

    async def _keep_trust(self) -> None:
        """Tells the API server which authorities to trust when it calls the webhooks."""
        rules = [rule for part in self.components for rule in part.admission()]
        while True:
            for kind, name in configurations(rules):
                try:
                    await self._trust(kind, name)
                except (ApiError, OSError) as error:
                    log.warning("caBundle could not be written", configuration=name, error=str(error))
            await self.clock.sleep(CHECK_S)

    async def _trust(self, kind: Kind, name: str) -> None:
        found = await self.client.get(kind, ObjectKey("", name))
        bundle = base64.b64encode(self.certificates.authorities.encode()).decode()
        if all(hook["clientConfig"].get("caBundle") == bundle for hook in found["webhooks"]):
            return
        wanted: Tree = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name},
            "webhooks": [{"name": hook["name"], "clientConfig": {"caBundle": bundle}} for hook in found["webhooks"]],
        }
        await self.client.apply(kind, wanted, manager=OPERATOR)


def configurations(rules: Sequence[AdmissionRule]) -> list[tuple[Kind, str]]:
    """The webhook configurations that the rules stand in."""
    kinds = {"mutate": MUTATING_WEBHOOK_CONFIGURATION, "validate": VALIDATING_WEBHOOK_CONFIGURATION}
    return list(dict.fromkeys((kinds[rule.phase], rule.configuration) for rule in rules))


def server_names(parts: Sequence[Component]) -> list[str]:
    """DNS names by which the operator is reached: as webhooks, and at the components' fronts."""
    fronts = [f"{front.name}.{front.namespace}.svc" for part in parts for front in part.fronts()]
    services = dict.fromkeys([OPERATOR_SERVICE, *fronts])
    return [name for service in services for name in (service, f"{service}.cluster.local")]


def _listening(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), backlog=512)
