"""The composition root: from settings to a running platform. The only file that knows everything.

foundation (lock, keys, port, node process) -> API server -> components' kinds -> controllers -> HTTPS
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import structlog

from flowdeck.client.base import Client
from flowdeck.clock import Clock, SystemClock
from flowdeck.components.base import Component, Context, Front
from flowdeck.controller import metrics
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import EventRecorder
from flowdeck.controller.manager import Manager
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.embedded.node.network.way_in import WayIn
from flowdeck.embedded.workloads import boot_objects, catalog, host_services
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.foundation import Foundation
from flowdeck.http1.server import HttpServer
from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION, NODE
from flowdeck.kube.objects import ObjectKey
from flowdeck.plugins import components
from flowdeck.settings import Settings
from flowdeck.state import StateFile
from flowdeck.stores import Stores

MANAGER = "flowdeck"
NODE_RESTART_S = 0.2
"""Pause before a node process that ended is started again."""

log = structlog.get_logger()


@dataclass
class Platform:
    """A running platform."""

    settings: Settings
    foundation: Foundation
    api: ApiServer
    http: HttpServer
    clock: Clock
    components: Sequence[Component]
    stores: Stores
    start_revision: int
    """What the node says of itself after this revision is news; before, it may be from an earlier run."""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the API answers and, if there is one, the node takes pods."""

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.foundation.server

    @property
    def client(self) -> Client:
        return self.api.client

    async def wait_ready(self) -> None:
        """Returns when the API answers and, if there is one, the node takes pods."""
        await self.started.wait()


@contextlib.asynccontextmanager
async def running(settings: Settings, foundation: Foundation) -> AsyncIterator[Platform]:
    """Runs a platform for as long as the context lasts; pods go on when it ends."""
    clock = SystemClock()
    keys = foundation.keys
    settings = _with_keys(settings, keys)
    parts = components(settings.disabled)
    rules = [rule for part in parts for rule in part.admission()]
    stores = Stores(settings.database, settings.artifacts, settings.data)
    stores.open()
    server = settings.server
    api = ApiServer.open(
        settings.data / "store.db",
        keys,
        clock,
        rules=rules,
        providers=server.providers,
        check=stores.check,
        watches=server.watches,
        to_pod=WayIn(settings.data / "node" / "network"),
    )
    try:
        http = HttpServer(api.pipeline, foundation.listener, pki.server_context(keys), server.limits)
        platform = Platform(settings, foundation, api, http, clock, parts, stores, api.store.revision)
        await _install(platform)
        async with asyncio.TaskGroup() as tasks:
            running_tasks = [tasks.create_task(http.run()), tasks.create_task(_manager(platform).run())]
            running_tasks += [tasks.create_task(serve()) for serve in _servers(platform)]
            running_tasks.append(tasks.create_task(_keep_node(platform)))
            running_tasks.append(tasks.create_task(_note_start(platform)))
            _write_state(platform)
            try:
                yield platform
            finally:
                for task in running_tasks:
                    task.cancel()
                if foundation.node is not None:
                    foundation.node.stop()
    finally:
        await stores.close()
        await api.end()
        with contextlib.suppress(FileNotFoundError):
            (settings.data / "state.json").unlink()


def _with_keys(settings: Settings, keys: pki.Pki) -> Settings:
    """What components serve over TLS has the API server's certificate, unless another one is set."""
    if settings.training.tls_certificate is not None:
        return settings
    training = replace(settings.training, tls_certificate=keys.server, tls_key=keys.server, tls_authority=keys.ca)
    return replace(settings, training=training)


async def _install(platform: Platform) -> None:
    """What must exist: namespaces and roles, the components' kinds and objects."""
    await platform.api.bootstrap()
    client = platform.client
    await boot_objects.ensure(client, address=platform.settings.server.host, port=_port(platform))
    for crd in definitions():
        await client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager=MANAGER)
    for part in platform.components:
        for crd in part.custom_resource_definitions():
            await client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager=MANAGER)
        for obj in part.objects():
            await client.apply(platform.api.kind_of(obj), obj, manager=MANAGER)


def _port(platform: Platform) -> int:
    """The one that the API server listens on."""
    port: int = platform.foundation.listener.getsockname()[1]
    return port


def _manager(platform: Platform) -> Manager:
    def make(client: Client) -> Sequence[Controller]:
        made = list(
            catalog.controllers(
                client,
                platform.clock,
                lambda component: EventRecorder(client, platform.clock, component),
                store=platform.api.store,
                registry=platform.api.registry,
                keys=platform.foundation.keys,
                volumes=platform.settings.data / "volumes",
                job_back_off=BackOff(platform.settings.jobs.back_off_start_s, platform.settings.jobs.back_off_max_s),
            )
        )
        made.append(boot_objects.ApiServiceController(client=client, port=_port(platform)))
        for part in platform.components:
            made += part.controllers(_context(platform, part, client))
        return made

    manager = Manager(platform.client, platform.clock, make, catalog.CACHED)
    platform.api.pipeline.metrics.add(lambda: metrics.collect(manager))
    return manager


def _context(platform: Platform, part: Component, client: Client) -> Context:
    return Context(
        client=client,
        clock=platform.clock,
        settings=getattr(platform.settings, part.name, None),
        events=EventRecorder(client, platform.clock, f"{part.name}-controller"),
        stores=platform.stores,
        publish=lambda front, host, port: _publish(platform, front, host, port),
        started=platform.wait_ready,
        vouchers=platform.api.fronts.vouchers,
    )


async def _publish(platform: Platform, front: Front, host: str, port: int) -> None:
    platform.api.fronts.add(host, port)
    service = ObjectKey(front.namespace, front.name)
    await host_services.lead_to(platform.client, service, label=front.label, port=front.port, host=host, host_port=port)


def _servers(platform: Platform) -> Sequence[Any]:
    return [serve for part in platform.components for serve in part.servers(_context(platform, part, platform.client))]


def _write_state(platform: Platform) -> None:
    from flowdeck import version

    node = platform.foundation.node
    state = StateFile(
        server=platform.server,
        kubeconfig=str(platform.settings.data / "kubeconfig"),
        pids={"api": os.getpid(), **({"node": node.pid} if node else {})},
        components=[part.name for part in platform.components],
        version=version.VERSION,
    )
    path = platform.settings.data / "state.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.chmod(0o600)
    fresh.replace(path)


async def _note_start(platform: Platform) -> None:
    await platform.http.wait_ready()
    if platform.foundation.node is not None:
        await _node_is_ready(platform)
    platform.started.set()


async def _node_is_ready(platform: Platform) -> None:
    async with platform.client.watch(NODE, resource_version=str(platform.start_revision)) as events:
        async for event in events:
            if event.object["metadata"]["name"] == platform.settings.node.name and is_true(event.object, "Ready"):
                return


async def _keep_node(platform: Platform) -> None:
    """Starts the node process again whenever it ends."""
    node = platform.foundation.node
    while node is not None:
        code = await asyncio.get_running_loop().run_in_executor(None, node.wait)
        log.warning("the node process ended, starting it again", code=code, log=str(node.log))
        await platform.clock.sleep(NODE_RESTART_S)
        node.start()
        _write_state(platform)
