"""The network of the `plain` driver: pods share the machine's, and are told addresses and ports that work there.

pod with hostname and subdomain   127.x.y.z of its own name, known before the pod is (Linux; elsewhere 127.0.0.1)
port of a pod                     another, free one for each (name, port) that somebody's variables mention
Service                           127.0.0.1 and a port on which the node listens and leads on
"""

import asyncio
import socket
from collections.abc import Collection, Mapping, Sequence

import structlog

from flowdeck.embedded.node.contract import PodNetwork
from flowdeck.embedded.node.network.feed import Informers, feed
from flowdeck.embedded.node.network.loopback import LOOPBACK, Loopback
from flowdeck.embedded.node.network.proxy import API_SERVICE, Proxy, TargetOf, Targets, dial_from_machine
from flowdeck.embedded.node.network.removal import remove_network
from flowdeck.embedded.node.network.rewriting import Names, Place
from flowdeck.embedded.node.network.service_env import service_env
from flowdeck.embedded.node.network.services import Services, is_headless
from flowdeck.embedded.node.network.settings import NetworkSettings
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of, labels_of, uid_of

RENDEZVOUS_PORTS = frozenset({29500, 23456, 2222, 9999, 36543, 6666})
"""What training jobs meet on: Trainer's port, then those of PyTorch, TensorFlow, XGBoost, Paddle and JAX in v1."""

log = structlog.get_logger()


class PlainNetwork:
    """`Network` without namespaces."""

    def __init__(self, settings: NetworkSettings, informers: Informers) -> None:
        settings.folder.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._loopback = Loopback(settings.folder / "loopback.json")
        self._services = Services()
        self._targets = Targets(self._services, api=(settings.api_host, settings.api_port), subnet="")
        self._proxy = Proxy(self.dial)
        self._names: dict[str, tuple[str, str]] = {}
        """Pod uid -> its name (see `_name_of`) and the group of pods that speak of it."""
        self._changed = asyncio.Event()
        feed(self._services, informers, self._on_change)

    async def set_up(self, pod: Tree) -> PodNetwork:
        address = self._settings.node_ip
        if not get_in(pod, "spec", "hostNetwork"):
            name = self._name_of(pod)
            self._names[uid_of(pod)] = (name, _group_of(pod))
            address = self._loopback.address_of(name)
        self._services.put_pod(pod, address)
        return PodNetwork(ip=address)

    async def tear_down(self, pod_uid: str) -> None:
        """Addresses and ports stay while another pod of the same group may have been told them."""
        self._services.drop_pod(pod_uid)
        name, group = self._names.pop(pod_uid, ("", ""))
        if name and not any(each == group for _, each in self._names.values()):
            gone = {each for each in self._loopback.names() if each == name or each.endswith(f".{group}")}
            self._loopback.keep_only(self._loopback.names() - gone)

    def rewrite(self, pod: Tree, env: Mapping[str, str], args: Sequence[str]) -> tuple[dict[str, str], list[str]]:
        namespace = key_of(pod).namespace
        subdomain = get_in(pod, "spec", "subdomain", default="")
        names = Names(
            namespace=namespace,
            services={*(each["metadata"]["name"] for each in self._services.in_namespace(namespace)), subdomain} - {""},
            domain=self._settings.cluster_domain,
            find=lambda host, service, space: self._find(host, service, space, subdomain),
        )
        told, new_args = names.rewrite(env, args)
        defaults = {"GLOO_SOCKET_IFNAME": "lo"} if env and self._has_loopback_device() else {}
        return {**defaults, **service_env(pod, self._services, self._place_of_service), **told}, new_args

    async def dial(self, address: str, port: int) -> socket.socket:
        """A TCP connection to a pod's address and the port that stands for `port` there. Raises `OSError`."""
        name = self._loopback.name_of(address)
        return await dial_from_machine(address, self._loopback.known_port(name, port) if name else port)

    async def forget_all_but(self, pod_uids: Collection[str]) -> None:
        """Nothing is held for pods that are gone, but a few lines in a file."""

    async def run(self) -> None:
        """Serves a port for each port of each Service, until cancelled."""
        async with asyncio.TaskGroup() as group:
            served: dict[tuple[ObjectKey, int], asyncio.Task[None]] = {}
            while True:
                changed = self._changed
                wanted = self._services.all_ports()
                for gone in served.keys() - wanted:
                    served.pop(gone).cancel()
                for key, port in wanted - served.keys() - {(API_SERVICE, port) for _, port in wanted}:
                    here = self._loopback.port_of(_service_name(key), port)
                    try:
                        listener = socket.create_server((LOOPBACK, here))
                    except OSError as error:
                        log.warning("a Service has no port on this machine", service=str(key), error=str(error))
                        continue
                    target = self._to_service(key, port)
                    served[key, port] = group.create_task(self._proxy.serve(listener, target), name=f"{key}:{port}")
                await changed.wait()

    async def close(self) -> None:
        """Nothing is held."""

    async def remove(self) -> None:
        """Takes down what the network keeps."""
        await asyncio.to_thread(remove_network, self._settings.folder)

    def _find(self, host: str, service: str, namespace: str, own_subdomain: str) -> Place | None:
        key = ObjectKey(namespace, service)
        known = self._services.find(key)
        if known is not None and not is_headless(known) and not host:
            return Place(LOOPBACK, lambda port: self._place_of_service(key, "", port)[1])
        if known is None and service != own_subdomain:
            return None
        name = f"{host}.{service}.{namespace}" if host else f"{service}.{namespace}"
        return Place(self._loopback.address_of(name), lambda port: self._port_of_member(name, port))

    def _port_of_member(self, name: str, port: int) -> int:
        """Only ports that every job wants, and that the listener is told itself, are others here: a server that was
        started with `--port 8080` listens on 8080."""
        return self._loopback.port_of(name, port) if port in RENDEZVOUS_PORTS else port

    def _place_of_service(self, key: ObjectKey, address: str, port: int) -> tuple[str, int]:
        if key == API_SERVICE:
            return self._settings.api_host, self._settings.api_port
        return LOOPBACK, self._loopback.port_of(_service_name(key), port)

    def _name_of(self, pod: Tree) -> str:
        """`<hostname>.<subdomain>.<namespace>`; else the headless Service that selects this pod alone, as each replica
        of a v1 training job has one; else the pod's uid."""
        namespace, spec = key_of(pod).namespace, pod["spec"]
        if spec.get("hostname") and spec.get("subdomain"):
            return f"{spec['hostname']}.{spec['subdomain']}.{namespace}"
        own = self._services.find(key_of(pod))
        if own is not None and is_headless(own) and _selects(own, pod):
            return f"{key_of(pod).name}.{namespace}"
        return uid_of(pod)

    def _to_service(self, key: ObjectKey, port: int) -> TargetOf:
        return lambda _address, _port: self._targets.of_service(key, port)

    def _on_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @staticmethod
    def _has_loopback_device() -> bool:
        return any(name == "lo" for _, name in socket.if_nameindex())


def _service_name(key: ObjectKey) -> str:
    return f"service {key}"


def _group_of(pod: Tree) -> str:
    """`<subdomain>.<namespace>`, or for v1 jobs the job's: pods that speak of each other."""
    labels = labels_of(pod)
    name = get_in(pod, "spec", "subdomain") or labels.get("training.kubeflow.org/job-name") or key_of(pod).name
    return f"{name}.{key_of(pod).namespace}"


def _selects(service: Tree, pod: Tree) -> bool:
    selector = get_in(service, "spec", "selector", default={})
    labels = labels_of(pod)
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())
