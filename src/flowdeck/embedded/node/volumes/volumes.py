"""Makes the volumes of one pod, and keeps those up to date whose content comes from objects.

Folders are `POD/volumes/<name>`. What a volume needs of the API is read through `Objects`.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from flowdeck.clock import Clock
from flowdeck.embedded.node.environment import Facts
from flowdeck.embedded.node.volumes.atomic import write_all
from flowdeck.embedded.node.volumes.host_path import host_path
from flowdeck.embedded.node.volumes.ownership import give_to_group
from flowdeck.embedded.node.volumes.payload import (
    DEFAULT_MODE,
    File,
    Payload,
    VolumeError,
    config_map_payload,
    downward_payload,
    safe_path,
    secret_payload,
)
from flowdeck.kube.kinds import CONFIG_MAP, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, SECRET, SERVICE_ACCOUNT
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in
from flowdeck.kube.quantity import parse_quantity
from flowdeck.kube.times import parse_time

RENEW_AT = 0.8
"""A token is renewed when that much of its life is over, or after a day."""


class Objects(Protocol):
    """What volumes read of the API (a `Client` has both)."""

    async def find(self, kind: Kind, key: ObjectKey) -> Tree | None: ...

    async def create_sub(self, kind: Kind, key: ObjectKey, subresource: str, obj: Tree) -> Tree: ...


@dataclass(frozen=True, kw_only=True)
class Volume:
    """One volume of a pod, ready to be mounted."""

    path: Path
    read_only: bool = False
    in_memory: bool = False
    size_limit: int = 0
    """Bytes; 0: none."""
    is_bind: bool = False
    """Somebody else's folder, with what is mounted below it."""


@dataclass
class _Token:
    text: str
    renew_at: datetime


class PodVolumes:
    """The volumes of one pod."""

    def __init__(
        self,
        pod: Tree,
        folder: Path,
        *,
        objects: Objects,
        clock: Clock,
        hidden: Sequence[Path],
        allowed: Sequence[Path],
        host_allowed: Sequence[Path],
        can_give: bool,
    ) -> None:
        self._pod = pod
        self._folder = folder / "volumes"
        self._objects = objects
        self._clock = clock
        self._hidden = hidden
        self._allowed = allowed
        self._host_allowed = host_allowed
        self._can_give = can_give
        self._tokens: dict[str, _Token] = {}
        security = pod["spec"].get("securityContext") or {}
        self._group: int | None = security.get("fsGroup") if can_give else None
        self._only_if_differs = security.get("fsGroupChangePolicy") == "OnRootMismatch"

    async def set_up(self, facts: Facts) -> dict[str, Volume]:
        """Makes all volumes. Raises `VolumeError` (of the first that fails, with its name) and `ApiError`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        sources = self._pod["spec"].get("volumes") or ()
        made = await asyncio.gather(*(self._set_up(source, facts) for source in sources))
        return {source["name"]: volume for source, volume in zip(sources, made, strict=True)}

    async def _set_up(self, source: Tree, facts: Facts) -> Volume:
        try:
            return await self._make(source, facts)
        except VolumeError as error:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{source["name"]}" : {error}') from error
        except OSError as error:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{source["name"]}" : {error.strerror}') from error

    async def _make(self, source: Tree, facts: Facts) -> Volume:
        path = self._folder / source["name"]
        kind = next((name for name in source if name != "name"), "emptyDir")
        match kind:
            case "emptyDir":
                return self._empty_dir(source.get("emptyDir") or {}, path)
            case "hostPath":
                wanted = source["hostPath"]
                place = host_path(
                    wanted["path"], wanted.get("type") or "", hidden=self._hidden, allowed=self._host_allowed
                )
                return Volume(path=place, is_bind=True)
            case "persistentVolumeClaim":
                return await self._claim(source["persistentVolumeClaim"])
            case "configMap" | "secret" | "downwardAPI" | "projected":
                await self._write(source, facts)
                return Volume(path=path, read_only=True)
        raise VolumeError(f"volumes of type {kind} are not supported by this node")

    def _empty_dir(self, source: Tree, path: Path) -> Volume:
        is_new = not path.exists()
        path.mkdir(exist_ok=True)
        if is_new:
            path.chmod(0o777)
            if self._group is not None:
                os.chown(path, -1, self._group)
                path.chmod(0o2777)
        limit = source.get("sizeLimit")
        size = parse_quantity(limit).whole if limit is not None else 0
        return Volume(path=path, in_memory=source.get("medium") == "Memory", size_limit=size)

    async def _claim(self, source: Tree) -> Volume:
        name = source["claimName"]
        claim = await self._objects.find(PERSISTENT_VOLUME_CLAIM, ObjectKey(self._pod["metadata"]["namespace"], name))
        if claim is None:
            raise VolumeError(f'persistentvolumeclaim "{name}" not found')
        volume_name = claim["spec"].get("volumeName")
        if not volume_name or get_in(claim, "status", "phase") != "Bound":
            raise VolumeError(f'persistentvolumeclaim "{name}" is not bound')
        volume = await self._objects.find(PERSISTENT_VOLUME, ObjectKey("", volume_name))
        if volume is None:
            raise VolumeError(f'persistentvolume "{volume_name}" not found')
        read_only = bool(source.get("readOnly")) or claim["spec"].get("accessModes") == ["ReadOnlyMany"]
        path = await asyncio.to_thread(self._persistent, volume["spec"], read_only)
        return Volume(path=path, read_only=read_only, is_bind=True)

    def _persistent(self, spec: Tree, read_only: bool) -> Path:
        if found := spec.get("hostPath"):
            path = host_path(found["path"], found.get("type") or "", hidden=self._hidden, allowed=self._allowed)
        elif found := spec.get("local"):
            path = host_path(found["path"], "Directory", hidden=self._hidden, allowed=self._allowed)
        else:
            kinds = [name for name in spec if name in _FOREIGN] or ["unknown"]
            raise VolumeError(f"persistent volumes of type {kinds[0]} are not supported by this node")
        if self._group is not None and spec.get("local"):
            give_to_group(path, self._group, read_only=read_only, only_if_root_differs=self._only_if_differs)
        return path

    # ---- content from objects -------------------------------------------------------------------------------------

    async def refresh(self, facts: Facts) -> None:
        """Writes what has changed since. Raises `VolumeError` and `ApiError`; then the old content stays."""
        for source in self._pod["spec"].get("volumes") or ():
            if any(kind in source for kind in ("configMap", "secret", "downwardAPI", "projected")):
                await self._write(source, facts)

    def needs_refresh(self) -> bool:
        return any(
            kind in source
            for source in self._pod["spec"].get("volumes") or ()
            for kind in ("configMap", "secret", "downwardAPI", "projected")
        )

    async def _write(self, source: Tree, facts: Facts) -> None:
        kind = next(kind for kind in ("configMap", "secret", "downwardAPI", "projected") if kind in source)
        default_mode = source[kind].get("defaultMode")
        mode = DEFAULT_MODE if default_mode is None else int(default_mode)
        payload: Payload = await self._payload(source[kind], kind, mode, facts)
        owner = self._token_owner() if kind == "projected" else -1
        group = -1 if self._group is None else self._group
        if self._group is not None:
            payload = {name: File(file.content, file.mode | 0o040) for name, file in payload.items()}
        write_all(self._folder / source["name"], payload, owner=owner, group=group)

    async def _payload(self, source: Tree, kind: str, mode: int, facts: Facts) -> Payload:
        if kind == "projected":
            parts = [next(iter(part.items())) for part in source.get("sources") or ()]
            found = await asyncio.gather(*(self._payload(part or {}, inner, mode, facts) for inner, part in parts))
            return {name: file for payload in found for name, file in payload.items()}
        if kind == "configMap":
            return config_map_payload(source, await self._object(CONFIG_MAP, source["name"]), default_mode=mode)
        if kind == "secret":
            name = source.get("secretName") or source["name"]
            return secret_payload(source, await self._object(SECRET, name), default_mode=mode)
        if kind == "downwardAPI":
            return downward_payload(source, facts, default_mode=mode)
        if kind == "serviceAccountToken":
            has_owner = self._group is not None or self._token_owner() >= 0
            return {safe_path(source["path"]): File(await self._token(source), 0o600 if has_owner else mode)}
        raise VolumeError(f"projected sources of type {kind} are not supported by this node")

    def _token_owner(self) -> int:
        """A token belongs to the containers' user when they all have the same one."""
        if not self._can_give:
            return -1
        of_pod = get_in(self._pod, "spec", "securityContext", "runAsUser")
        users = {
            get_in(container, "securityContext", "runAsUser", default=of_pod)
            for container in (*(self._pod["spec"].get("initContainers") or ()), *self._pod["spec"]["containers"])
        }
        user = users.pop()
        return int(user) if user is not None and not users else -1

    async def _object(self, kind: Kind, name: str) -> Tree | None:
        return await self._objects.find(kind, ObjectKey(self._pod["metadata"]["namespace"], name))

    async def _token(self, source: Tree) -> bytes:
        known = self._tokens.get(source["path"])
        now = self._clock.now()
        if known is None or now >= known.renew_at:
            lifetime = int(source.get("expirationSeconds") or 3600)
            answer = await self._request_token(source.get("audience") or "", lifetime)
            expires = parse_time(answer["status"]["expirationTimestamp"])
            renew = now + min((expires - now) * RENEW_AT, timedelta(hours=24))
            known = self._tokens[source["path"]] = _Token(answer["status"]["token"], renew)
        return known.text.encode()

    async def _request_token(self, audience: str, lifetime_s: int) -> Tree:
        meta = self._pod["metadata"]
        account = self._pod["spec"].get("serviceAccountName") or "default"
        spec: Tree = {
            "expirationSeconds": lifetime_s,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
        }
        if audience:
            spec["audiences"] = [audience]
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
        return await self._objects.create_sub(SERVICE_ACCOUNT, ObjectKey(meta["namespace"], account), "token", request)

    def remove(self) -> None:
        """Deletes what the pod alone had; claims and host paths stay."""
        shutil.rmtree(self._folder, ignore_errors=True)


_FOREIGN = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc", "flexVolume", "flocker",
    "gcePersistentDisk", "glusterfs", "iscsi", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd",
    "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip


def used_bytes(folder: Path) -> int:
    """What the files below a folder take on disk."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
            except OSError:
                continue
    return total


def volumes_by_mount(container: Tree, volumes: Mapping[str, Volume]) -> list[tuple[Tree, Volume]]:
    """A container's mounts with their volumes. Raises `VolumeError` for one that the pod has not."""
    found = []
    for mount in container.get("volumeMounts") or ():
        if mount["name"] not in volumes:
            raise VolumeError(f'volume "{mount["name"]}" is not defined')
        found.append((mount, volumes[mount["name"]]))
    return found
