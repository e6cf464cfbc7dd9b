"""Gives a pod its place: volumes, network, sandbox, `/etc/hosts`; and takes it away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from flowdeck.embedded.node.contract import PodNetwork
from flowdeck.embedded.node.environment import Facts, names_referred_to
from flowdeck.embedded.node.pods.attempts import remove_tree
from flowdeck.embedded.node.pods.build import Place
from flowdeck.embedded.node.pods.means import Means
from flowdeck.embedded.node.pods.spec import all_containers, domain_name_of, hostname_of
from flowdeck.embedded.node.sandbox import files
from flowdeck.embedded.node.sandbox.plan import Mount, PodSpec
from flowdeck.embedded.node.volumes.volumes import PodVolumes, Volume, used_bytes
from flowdeck.kube.kinds import CONFIG_MAP, SECRET
from flowdeck.kube.objects import Kind, ObjectKey, Tree


@dataclass
class PodPlace:
    """The place of one pod on this machine."""

    pod: Tree
    means: Means

    def __post_init__(self) -> None:
        self.folder = self.means.pod_folder(self.pod["metadata"]["uid"])
        self.network: PodNetwork | None = None
        self._made: dict[str, Volume] = {}
        settings = self.means.settings
        self._volumes = PodVolumes(
            self.pod,
            self.folder,
            objects=self.means.client,
            clock=self.means.clock,
            hidden=self.means.hidden,
            allowed=settings.volume_roots,
            host_allowed=settings.host_roots,
            can_give=settings.is_root,
        )

    @property
    def ip(self) -> str:
        return self.network.ip if self.network else ""

    async def set_up(self) -> None:
        """Makes everything, or makes sure of it. Raises `VolumeError`, `StartError`, `ApiError`, `OSError`."""
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.network = await self.means.network.set_up(self.pod)
        self._made = await self._volumes.set_up(self._facts())
        await self.means.driver.hold(self._pod_spec(self.network))
        self._write_files(self.network)

    def _pod_spec(self, network: PodNetwork) -> PodSpec:
        group = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        in_memory = [
            {"path": str(volume.path), "size": str(volume.size_limit or ""), "group": group}
            for volume in self._made.values()
            if volume.in_memory
        ]
        return PodSpec(
            folder=self.folder,
            hostname=hostname_of(self.pod),
            network=network.namespace_path,
            share_processes=bool(self.pod["spec"].get("shareProcessNamespace")),
            tmpfs=in_memory,
        )

    def _write_files(self, network: PodNetwork) -> None:
        (self.folder / "hostname").write_text(hostname_of(self.pod) + "\n")
        (self.folder / "hosts").write_text(self._hosts(network))
        if network.resolver:
            (self.folder / "resolv.conf").write_text(network.resolver)

    def _hosts(self, network: PodNetwork) -> str:
        """Source: kubernetes/kubernetes (pkg/kubelet/kubelet_pods.go managedHostsFileContent)."""
        name = hostname_of(self.pod)
        full = domain_name_of(self.pod, self.means.settings.cluster_domain)
        lines = [
            "# Kubernetes-managed hosts file.",
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::\tip6-localnet",
            "fe00::0\tip6-mcastprefix",
            "fe00::1\tip6-allnodes",
            "fe00::2\tip6-allrouters",
            f"{network.ip}\t{full}\t{name}" if full else f"{network.ip}\t{name}",
            *(f"{address}\t{host}" for host, address in network.hosts.items()),
        ]
        if aliases := self.pod["spec"].get("hostAliases"):
            lines += ["", "# Entries added by HostAliases."]
            lines += ["\t".join([alias["ip"], *(alias.get("hostnames") or ())]) for alias in aliases]
        return "\n".join(lines) + "\n"

    def _facts(self) -> Facts:
        return Facts(
            pod=self.pod, pod_ip=self.ip, host_ip=self.means.settings.host_ip, allocatable=self.means.allocatable
        )

    async def facts_for(self, container: Tree) -> Facts:
        """What the container's variables may refer to, read now."""
        config_maps, secrets = names_referred_to(container)
        services, _ = self.means.network.rewrite(self.pod, {}, [])
        found_maps, found_secrets = await asyncio.gather(
            self._read(CONFIG_MAP, config_maps), self._read(SECRET, secrets)
        )
        return Facts(
            pod=self.pod,
            config_maps=found_maps,
            secrets=found_secrets,
            services=services,
            pod_ip=self.ip,
            host_ip=self.means.settings.host_ip,
            allocatable=self.means.allocatable,
        )

    async def _read(self, kind: Kind, names: set[str]) -> dict[str, Tree | None]:
        namespace = self.pod["metadata"]["namespace"]
        ordered = sorted(names)
        found = await asyncio.gather(*(self.means.client.find(kind, ObjectKey(namespace, name)) for name in ordered))
        return dict(zip(ordered, found, strict=True))

    def ready(self) -> Place:
        return Place(folder=self.folder, volumes=self._made, files=self._files())

    def _files(self) -> Sequence[Mount]:
        wanted = {"hosts": "/etc/hosts", "hostname": "/etc/hostname", "resolv.conf": "/etc/resolv.conf"}
        return [
            Mount(source=self.folder / name, target=target, optional=True)
            for name, target in wanted.items()
            if (self.folder / name).exists()
        ]

    @property
    def needs_refresh(self) -> bool:
        return self._volumes.needs_refresh()

    async def refresh(self) -> None:
        """Brings volumes up to date whose content comes from objects. Raises `VolumeError`, `ApiError`."""
        await self._volumes.refresh(self._facts())

    def overfull(self) -> str:
        """What an emptyDir volume that outgrew its limit is told with; `""` when none did."""
        for name, volume in self._made.items():
            if volume.size_limit and not volume.in_memory and used_bytes(volume.path) > volume.size_limit:
                limit = next(v["emptyDir"]["sizeLimit"] for v in self.pod["spec"]["volumes"] if v["name"] == name)
                return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
        return ""

    def save(self) -> None:
        self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        files.write_whole(str(self.folder / "pod.json"), self.pod)

    def note_end(self, reason: str, message: str) -> None:
        files.write_whole(str(self.folder / "ended.json"), {"reason": reason, "message": message})

    def end_noted(self) -> tuple[str, str] | None:
        ended = files.read(str(self.folder / "ended.json"))
        return (ended["reason"], ended["message"]) if ended else None

    def was_torn_down(self) -> bool:
        return (self.folder / "torn-down").exists()

    async def tear_down(self) -> None:
        """Takes network, sandbox, volumes and roots away; logs and how containers ended stay."""
        uid = self.pod["metadata"]["uid"]
        self.means.control_groups.end_all(uid)
        await self.means.driver.release(self.folder)
        await self.means.network.tear_down(uid)
        self.means.gpus.release(f"{uid}/")
        await asyncio.to_thread(self._remove_bulk)
        self.means.control_groups.remove(uid)
        (self.folder / "torn-down").touch()

    def _remove_bulk(self) -> None:
        self._volumes.remove()
        remove_tree(self.folder / "home")
        for attempt in (self.folder / "containers").glob("*/*"):
            for name in ("root", "work", "tmp"):
                remove_tree(attempt / name)

    def forget(self) -> None:
        """Removes what is left of the pod on this machine; its logs are kept for a while."""
        meta = self.pod["metadata"]
        remove_tree(self.folder)
        self.means.past_logs.keep(self.means.log_folder(meta["namespace"], meta["name"], meta["uid"]))


def refusal_of(pod: Tree, *, has_own_root: bool) -> tuple[str, str] | None:
    """Why this node cannot run such a pod at all."""
    spec = pod["spec"]
    for name in ("hostPID", "hostIPC"):
        if spec.get(name) and has_own_root:
            return "HostNamespacesNotSupported", f"Pod was rejected: {name} is not supported by this node"
    names = [container["name"] for container in all_containers(pod)]
    if len(set(names)) != len(names):
        return "InvalidPod", "Pod was rejected: container names must be unique"
    return None
