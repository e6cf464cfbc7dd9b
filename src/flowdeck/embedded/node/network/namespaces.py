"""The network of the `namespaces` driver: an address for each pod, names, Services, the world outside."""

import asyncio
import hashlib
import ipaddress
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import structlog

from flowdeck.embedded.node.contract import PodNetwork
from flowdeck.embedded.node.network.addresses import Addresses
from flowdeck.embedded.node.network.feed import Informers, feed
from flowdeck.embedded.node.network.proxy import Proxy, TargetOf, Targets, dial_from_machine
from flowdeck.embedded.node.network.removal import remove_network
from flowdeck.embedded.node.network.resolv_conf import resolv_conf
from flowdeck.embedded.node.network.resolver import Resolver, machine_resolvers
from flowdeck.embedded.node.network.service_env import service_env
from flowdeck.embedded.node.network.services import Services
from flowdeck.embedded.node.network.settings import NetworkSettings
from flowdeck.embedded.node.network.switchboard import Switchboard, SwitchError, SwitchPlan
from flowdeck.kube.objects import ObjectKey, Tree, get_in, uid_of

log = structlog.get_logger()


class NamespacedNetwork:
    """`Network` with a bridge, made by the switch process; `run` serves names and connections."""

    def __init__(self, settings: NetworkSettings, informers: Informers) -> None:
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._addresses = Addresses(settings.folder / "addresses.json", wanted=settings.pod_subnet)
        self._subnet = self._addresses.subnet
        self._board = Switchboard(_plan(settings, self._addresses))
        self._services = Services()
        self._resolver = Resolver(self._services, settings.cluster_domain, settings.resolvers or machine_resolvers())
        self._targets = Targets(
            self._services, api=(settings.api_host, settings.api_port), subnet=str(self._subnet.network)
        )
        self._changed = asyncio.Event()
        self._is_known = asyncio.Lock()
        self._knows_switch = False
        self._proxy = Proxy(self.dial)
        feed(self._services, informers, self._on_change)

    async def set_up(self, pod: Tree) -> PodNetwork:
        """Raises `SwitchError` where the machine does not allow it."""
        resolver = self._resolv_conf_of(pod)
        if get_in(pod, "spec", "hostNetwork"):
            self._services.put_pod(pod, self._settings.node_ip)
            return PodNetwork(ip=self._settings.node_ip, resolver=resolver)
        await self._learn()
        address = self._addresses.take(uid_of(pod))
        path = await self._board.plug(uid_of(pod), address)
        self._services.put_pod(pod, address)
        self._on_change()
        return PodNetwork(ip=address, namespace_path=path, resolver=resolver)

    async def tear_down(self, pod_uid: str) -> None:
        self._services.drop_pod(pod_uid)
        if self._addresses.of(pod_uid):
            await self._board.unplug(pod_uid)
            self._addresses.release(pod_uid)
        self._on_change()

    def rewrite(self, pod: Tree, env: Mapping[str, str], args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        """Adds the variables of Services; names and addresses work as they are."""
        services = service_env(pod, self._services, lambda _, address, port: (address, port))
        return {**services, **env}, list(args)

    async def dial(self, address: str, port: int) -> socket.socket:
        """A TCP connection to a pod, or to anything else, from the machine. Raises `OSError`."""
        if ipaddress.IPv4Address(address) in self._subnet.network:
            return await self._board.dial(address, port)
        return await dial_from_machine(address, port)

    async def forget_all_but(self, pod_uids: Collection[str]) -> None:
        """At the start of the node: takes down what is left of pods that are gone."""
        await self._learn()
        for uid in set(self._addresses.pods()) - set(pod_uids):
            await self._board.unplug(uid)
            self._addresses.release(uid)

    async def run(self) -> None:
        """Serves names, Services and the way outside, until cancelled."""
        proxy = self._proxy
        async with asyncio.TaskGroup() as group:
            datagrams = await self._board.datagrams(self._subnet.gateway, 53)
            streams = await self._board.listener(self._subnet.gateway, 53)
            group.create_task(self._resolver.serve_datagrams(datagrams), name="resolver udp")
            group.create_task(self._resolver.serve_streams(streams), name="resolver tcp")
            group.create_task(self._serve_node_ports(proxy), name="node ports")
            await self._serve_ports(proxy, group)

    async def close(self) -> None:
        """Leaves the network to the pods that run; the next start takes it over."""
        self._board.close()

    async def remove(self) -> None:
        """Takes everything down: bridge, cables, namespaces."""
        self._board.close()
        await asyncio.to_thread(remove_network, self._settings.folder)

    async def _learn(self) -> None:
        """What the switch has plugged in is the truth about addresses, once at the start."""
        async with self._is_known:
            if not self._knows_switch:
                for uid, address in (await self._board.info()).pods.items():
                    self._addresses.remember(uid, address)
                self._knows_switch = True

    async def _serve_ports(self, proxy: Proxy, group: asyncio.TaskGroup) -> None:
        """A listener for each port that a Service or the world outside has."""
        served: dict[int, asyncio.Task[None]] = {}
        while True:
            changed = self._changed
            wanted = self._services.ports() | set(self._settings.outside_ports)
            for port in served.keys() - wanted:
                served.pop(port).cancel()
            for port in wanted - served.keys():
                try:
                    listener = await self._board.listener("0.0.0.0", port)
                except SwitchError as error:
                    log.warning("pods cannot reach a port", port=port, error=str(error))
                    continue
                served[port] = group.create_task(proxy.serve(listener, self._targets.of_address), name=f"port {port}")
            await changed.wait()

    async def _serve_node_ports(self, proxy: Proxy) -> None:
        """NodePorts, on the machine's loopback address."""
        async with asyncio.TaskGroup() as group:
            served: dict[int, tuple[tuple[ObjectKey, int], asyncio.Task[None]]] = {}
            while True:
                changed = self._changed
                wanted = self._services.node_ports()
                for port in [port for port, (target, _) in served.items() if wanted.get(port) != target]:
                    served.pop(port)[1].cancel()
                for port in wanted.keys() - served.keys():
                    if listener := _listen_on_loopback(port):
                        key, number = wanted[port]
                        task = group.create_task(proxy.serve(listener, self._to_service(key, number)))
                        served[port] = (wanted[port], task)
                await changed.wait()

    def _to_service(self, key: ObjectKey, port: int) -> TargetOf:
        return lambda _address, _port: self._targets.of_service(key, port)

    def _on_change(self) -> None:
        self._resolver.changed()
        self._changed.set()
        self._changed = asyncio.Event()

    def _resolv_conf_of(self, pod: Tree) -> str:
        file = Path("/etc/resolv.conf")
        machine = file.read_text() if file.exists() else ""
        domain = self._settings.cluster_domain
        on_host = bool(get_in(pod, "spec", "hostNetwork"))
        return resolv_conf(pod, name_server="" if on_host else self._subnet.gateway, domain=domain, machine=machine)


def _listen_on_loopback(port: int) -> socket.socket | None:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        log.warning("a node port is in use on this machine", port=port, error=str(error))
        return None


def _plan(settings: NetworkSettings, addresses: Addresses) -> SwitchPlan:
    rootless = os.geteuid() != 0
    name = "fd" + hashlib.sha256(str(settings.folder.resolve()).encode()).hexdigest()[:10]
    return SwitchPlan(
        folder=settings.folder,
        gateway=addresses.subnet.gateway,
        prefix=addresses.subnet.prefix,
        rootless=rootless,
        uplink="" if rootless else name,
        uplink_address="" if rootless else addresses.subnet.uplink,
    )
