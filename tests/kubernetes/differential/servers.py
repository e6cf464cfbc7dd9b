"""The two servers of a pair: a real one, and the embedded one in this process."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from flowdeck.client.base import Client
from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.clock import Clock, SystemClock
from flowdeck.controller.contract import Controller
from flowdeck.controller.events import EventRecorder
from flowdeck.controller.manager import Manager
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.apiserver import ApiServer
from flowdeck.embedded.workloads import boot_objects, catalog
from flowdeck.embedded.workloads.custom_kind_cleanup import CustomKindCleanup
from flowdeck.embedded.workloads.definitions import definitions
from flowdeck.embedded.workloads.job.back_off import BackOff
from flowdeck.http1.server import HttpServer
from flowdeck.kube.kinds import CUSTOM_RESOURCE_DEFINITION, PRIORITY_CLASS, SERVICE

CONNECTIONS = 100

MakeControllers = Callable[[Client, Clock], Sequence[Controller]]


@dataclass(frozen=True)
class Server:
    """A server, and how to speak to it as its administrator."""

    name: str
    url: str
    session: aiohttp.ClientSession
    stranger: aiohttp.ClientSession
    """Shows no certificate: for requests that say themselves who they are, or do not."""


@asynccontextmanager
async def at(name: str, kubeconfig: Path) -> AsyncIterator[Server]:
    """A server that runs already; the kubeconfig has a client certificate of `system:masters`."""
    config = load_kubeconfig(kubeconfig)
    stranger = replace(config, certificate_pem="", key_pem="")
    async with _session(config.ssl_context()) as session, _session(stranger.ssl_context()) as other:
        yield Server(name, config.server, session, other)


def _session(tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls or True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None), trust_env=False)


@asynccontextmanager
async def embedded(folder: Path, *, whole: bool) -> AsyncIterator[Server]:
    """The embedded server as a real one is right after its start; `whole`: with the controllers of a cluster."""
    clock = SystemClock()
    keys = pki.prepare(folder / "pki", node="none", now=clock.now())
    api = ApiServer.open(folder / "store.db", keys, clock)
    await _boot(api)
    listener = socket.create_server(("127.0.0.1", 0))
    http = HttpServer(api.pipeline, listener, pki.server_context(keys))
    if whole:
        for crd in definitions():
            await api.client.apply(CUSTOM_RESOURCE_DEFINITION, crd, manager="flowdeck")
    manager = Manager(api.client, clock, lambda client: _controllers(client, api, clock, folder, whole))
    tasks = [asyncio.create_task(work) for work in (http.run(), manager.run())]
    await http.wait_ready()
    kubeconfig = folder / "kubeconfig"
    pki.write_kubeconfig(kubeconfig, server=f"https://127.0.0.1:{http.port}", pki=keys, certificate=keys.admin)
    try:
        async with at("ours", kubeconfig) as server:
            yield server
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await api.end()


async def _boot(api: ApiServer) -> None:
    """What a real API server makes by itself: not our storage class, no endpoints on loopback."""
    await api.bootstrap()
    for name in boot_objects.PRIORITIES:
        await api.client.create(PRIORITY_CLASS, boot_objects.priority_class(name))
    await api.client.create(SERVICE, boot_objects.api_service(pki.API_SERVICE_IP, 6443))


def _controllers(client: Client, api: ApiServer, clock: Clock, folder: Path, whole: bool) -> Sequence[Controller]:
    if not whole:
        # a real API server does this itself: definitions become established, and end
        return [CustomKindCleanup(client=client, clock=clock)]
    return catalog.controllers(
        client,
        clock,
        lambda component: EventRecorder(client, clock, component),
        store=api.store,
        registry=api.registry,
        keys=pki.Pki(folder / "pki"),
        volumes=folder / "volumes",
        job_back_off=BackOff(10, 600),
    )
