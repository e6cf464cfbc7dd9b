"""Puts a node together and runs it: client, informers, images, network, driver, pods, the kubelet's API."""

import asyncio
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog

from flowdeck.client.base import ObjectList, Reader, WatchEvent
from flowdeck.client.http import HttpClient
from flowdeck.client.kubeconfig import ClusterConfig, load_kubeconfig
from flowdeck.clock import Clock, SystemClock
from flowdeck.controller.events import EventRecorder
from flowdeck.controller.informer import Informer, Informers
from flowdeck.embedded.node import machine
from flowdeck.embedded.node.access import Access
from flowdeck.embedded.node.contract import Runtime
from flowdeck.embedded.node.control_groups import ControlGroups
from flowdeck.embedded.node.images.library import LocalImages
from flowdeck.embedded.node.images.settings import ImageSettings
from flowdeck.embedded.node.network.namespaces import NamespacedNetwork
from flowdeck.embedded.node.network.plain import PlainNetwork
from flowdeck.embedded.node.network.settings import NetworkSettings
from flowdeck.embedded.node.pods import simulated
from flowdeck.embedded.node.pods.means import Basics, Means
from flowdeck.embedded.node.pods.processes import Processes
from flowdeck.embedded.node.pods.roster import Roster
from flowdeck.embedded.node.pods.runtime import PodRuntime
from flowdeck.embedded.node.registration import Registration
from flowdeck.embedded.node.sandbox.client import Zygote
from flowdeck.embedded.node.sandbox.driver import Driver, NamespacesDriver, PlainDriver, can_do_namespaces
from flowdeck.embedded.node.server import KubeletApi, tls_context
from flowdeck.embedded.node.serving_certificate import ServingCertificate
from flowdeck.embedded.node.settings import NodeSettings
from flowdeck.embedded.node.streams.machine_usage import MachineUsage
from flowdeck.http1.server import HttpServer
from flowdeck.kube.kinds import POD
from flowdeck.kube.objects import Kind, Tree, uid_of

_Network = NamespacedNetwork | PlainNetwork

FILES = 10_000
"""That the node may open: each connection of a pod to a Service takes two, and there may be 4096."""

log = structlog.get_logger()


@dataclass(frozen=True)
class _OnlyOurPods:
    """A reader of pods that sees those of one node: a node may not see others'."""

    reader: Reader
    node: str

    async def list(self, kind: Kind, **query: object) -> ObjectList:
        return await self.reader.list(kind, fields=f"spec.nodeName={self.node}")

    def watch(
        self, kind: Kind, *, resource_version: str, **query: object
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        return self.reader.watch(kind, fields=f"spec.nodeName={self.node}", resource_version=resource_version)


@dataclass(frozen=True, kw_only=True)
class _Node:
    """What is the same for every driver: how the API is reached, and the pods that it has for us."""

    settings: NodeSettings
    config: ClusterConfig
    clock: Clock
    client: HttpClient
    pods: Informer

    @property
    def basics(self) -> Basics:
        return Basics(settings=self.settings, client=self.client, clock=self.clock, events=self.events)

    @property
    def events(self) -> EventRecorder:
        return EventRecorder(self.client, self.clock, "kubelet", self.settings.name)


async def run_node(settings: NodeSettings) -> None:
    """Runs the node until it is cancelled; pods go on without it and are found again by the next."""
    clock = SystemClock()
    config = load_kubeconfig(settings.kubeconfig)
    settings.data.mkdir(mode=0o711, parents=True, exist_ok=True)
    async with HttpClient(config, clock, manager="kubelet") as client:
        pods = Informer(POD, _OnlyOurPods(client, settings.name), clock)  # type: ignore[arg-type]
        node = _Node(settings=settings, config=config, clock=clock, client=client, pods=pods)
        if settings.driver == "simulated":
            await _run_simulated(node)
            return
        zygote = Zygote(settings.data / "zygote.log")
        zygote.start()
        _allow_many_files()
        try:
            await _run_processes(node, zygote)
        finally:
            zygote.stop()


def _allow_many_files() -> None:
    """As many as we may have, up to `FILES`; the zygote, so every pod, keeps the usual limit."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if resource.RLIM_INFINITY != now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _run_simulated(node: _Node) -> None:
    capacity = {**simulated.CAPACITY, "pods": str(node.settings.max_pods)}
    roster = Roster(node.pods, node.basics, simulated.Simulation(node.clock, node.settings.simulated_run_s))
    async with _serving(node, simulated.SimulatedRuntime(roster), roster, "simulated", capacity, capacity, lambda: ()):
        await node.pods.wait_synced()
        await roster.run()


async def _run_processes(node: _Node, zygote: Zygote) -> None:
    settings = node.settings
    informers = Informers(node.client, node.clock)
    driver = await _driver(settings, zygote)
    warm = driver.keep_warm(settings.data / "warm", settings.warm, node.clock)
    network = _network(settings, node.config, informers, has_namespaces=driver.has_own_root)
    images = LocalImages(_image_settings(settings, can_unpack=driver.has_own_root), node.clock)
    try:
        await _run_pods(node, _means(node, zygote, driver, images, network), network, images, informers)
    finally:
        if warm is not None:
            warm.close()
        await images.close()
        await network.close()


async def _run_pods(node: _Node, means: Means, network: _Network, images: LocalImages, informers: Informers) -> None:
    """Serves, and begins with the pods once it is known which there are."""
    processes = Processes(means)
    roster = Roster(node.pods, means, processes)
    capacity = machine.capacity(node.settings.data, node.settings.max_pods)
    driver, runtime = means.driver.name, PodRuntime(roster, means)
    async with _serving(node, runtime, roster, driver, capacity, means.allocatable, images.listed) as tasks:
        for informer in informers:
            tasks.create_task(informer.run(), name=f"informer {informer.kind.plural}")
        tasks.create_task(network.run(), name="network")
        for informer in (*informers, node.pods):
            await informer.wait_synced()
        here = {folder.name for folder in processes.folders()}
        await network.forget_all_but(here | {uid_of(pod) for pod in node.pods.list()})
        await roster.run()


def _means(node: _Node, zygote: Zygote, driver: Driver, images: LocalImages, network: _Network) -> Means:
    return Means(
        settings=node.settings,
        client=node.client,
        clock=node.clock,
        events=node.events,
        driver=driver,
        zygote=zygote,
        images=images,
        network=network,
        dial=network.dial,
        control_groups=ControlGroups(node.settings.data),
        gpus=machine.Gpus(machine.gpus()),
        allocatable=machine.allocatable(node.settings.data, node.settings.max_pods),
    )


@asynccontextmanager
async def _serving(
    node: _Node,
    runtime: Runtime,
    roster: Roster[Any],
    driver: str,
    capacity: Mapping[str, str],
    allocatable: Mapping[str, str],
    images: Callable[[], Sequence[Tree]],
) -> AsyncIterator[asyncio.TaskGroup]:
    """The kubelet's API, and the Node kept in the API server; in a group that takes more tasks."""
    own = _own_certificate(node) if node.settings.pki is None else None
    tls = _tls(node, own)
    server = _server(node, runtime, roster, tls)
    registration = Registration(
        settings=node.settings,
        client=node.client,
        clock=node.clock,
        driver=driver,
        port=server.port,
        capacity=capacity,
        allocatable=allocatable,
        images=images,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.run(), name="kubelet api")
        tasks.create_task(node.pods.run(), name="informer pods")
        tasks.create_task(_register(registration, node.settings, driver, server.port), name="registration")
        if own is not None:
            tasks.create_task(own.run(tls), name="serving certificate")
        yield tasks


async def _register(registration: Registration, settings: NodeSettings, driver: str, port: int) -> None:
    await registration.register()
    log.info("node is ready", node=settings.name, driver=driver, port=port)
    await registration.run()


async def _driver(settings: NodeSettings, zygote: Zygote) -> NamespacesDriver | PlainDriver:
    """The driver that was asked for; `auto` takes namespaces where the machine can do them."""
    hidden = [settings.data, *settings.hidden]
    if settings.driver == "plain":
        return PlainDriver(zygote, hidden)
    if settings.driver == "namespaces" or await can_do_namespaces(zygote):
        return NamespacesDriver(zygote, hidden)
    log.warning("this machine has no namespaces for us: pods are kept apart by folders only", driver="plain")
    return PlainDriver(zygote, hidden)


def _network(settings: NodeSettings, config: ClusterConfig, informers: Informers, *, has_namespaces: bool) -> _Network:
    server = urlsplit(config.server)
    wanted = NetworkSettings(
        folder=settings.data / "network",
        node_ip=settings.host_ip,
        api_host=server.hostname or "127.0.0.1",
        api_port=server.port or 443,
        cluster_domain=settings.cluster_domain,
    )
    return NamespacedNetwork(wanted, informers) if has_namespaces else PlainNetwork(wanted, informers)


def _image_settings(settings: NodeSettings, *, can_unpack: bool) -> ImageSettings:
    return ImageSettings(
        folder=settings.cache,
        archives=settings.data / "archives",
        table=settings.data.parent / "images.toml",
        machine_env=settings.machine_env,
        find_links=settings.find_links,
        index_url=settings.index_url,
        offline=settings.offline,
        can_unpack=can_unpack,
    )


def _server(node: _Node, runtime: Runtime, roster: Roster[Any], tls: ssl.SSLContext) -> HttpServer:
    settings = node.settings
    api = KubeletApi(
        runtime=runtime,
        access=Access(node.client, node.clock, settings.name),
        clock=node.clock,
        machine=MachineUsage(settings.name, settings.data, node.clock),
        pods=roster.pods,
    )
    return HttpServer(api, socket.create_server((settings.host_ip, settings.port)), tls)


def _own_certificate(node: _Node) -> ServingCertificate:
    settings = node.settings
    names = tuple(dict.fromkeys((settings.name, settings.host_ip)))
    return ServingCertificate(
        folder=settings.data / "pki", node=settings.name, names=names, client=node.client, clock=node.clock
    )


def _tls(node: _Node, own: ServingCertificate | None) -> ssl.SSLContext:
    """TLS of the kubelet's API."""
    settings = node.settings
    if own is None:
        assert settings.pki is not None
        return tls_context(settings.pki / "kubelet.pem", (settings.pki / "ca.crt").read_text())
    authority = settings.client_ca.read_text() if settings.client_ca else node.config.ca_pem
    return tls_context(own.prepare(), authority)
