"""Where the artifacts of tasks are: files of this machine, or object stores, as a namespace's `kfp-launcher` says."""

import asyncio
import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from flowdeck.artifacts.uris import Uri, parse_uri
from flowdeck.client.base import Client
from flowdeck.components.pipelines.runner.folders import LAUNCH, Folder
from flowdeck.components.pipelines.runner.outputs import BadOutput, Collected
from flowdeck.components.pipelines.runner.providers import CONFIG, LauncherConfig, Provider, launcher_config, store_of
from flowdeck.kube.errors import BadRequest, Forbidden, NotFound
from flowdeck.kube.kinds import CONFIG_MAP, SECRET
from flowdeck.kube.objects import ObjectKey, Tree, get_in

if TYPE_CHECKING:
    from flowdeck.artifacts.artifacts import Artifacts
    from flowdeck.components.base import Context

OUTPUTS = ".outputs.json"
"""What the bringer leaves last, in an object store: a `Collected`."""


class Home(Protocol):
    """The folder of one attempt."""

    async def lay_out(self, launch: Tree) -> None:
        """Makes it, with the launcher's document."""
        ...

    async def collected(self, parameters: Collection[str]) -> Collected | None:
        """What an attempt that ended well has left; None: it is not all there yet. Raises `BadOutput`."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Keeps something beside it."""
        ...

    async def get(self, name: str) -> bytes:
        """Raises `NotFound`."""
        ...


@dataclass(frozen=True)
class InFiles:
    """A folder of this machine."""

    folder: Folder

    async def lay_out(self, launch: Tree) -> None:
        await asyncio.to_thread(self.folder.lay_out, launch)

    async def collected(self, parameters: Collection[str]) -> Collected | None:
        return await asyncio.to_thread(self.folder.collected, parameters)

    async def put(self, name: str, data: bytes) -> None:
        await asyncio.to_thread(self.folder.keep, name, data)

    async def get(self, name: str) -> bytes:
        return await asyncio.to_thread(self.folder.kept, name)


@dataclass(frozen=True)
class InStore:
    """A prefix of an object store."""

    artifacts: "Artifacts"
    root: str

    async def lay_out(self, launch: Tree) -> None:
        await self.put(LAUNCH, msgspec.json.encode(launch))

    async def collected(self, parameters: Collection[str]) -> Collected | None:
        try:
            data = await self.get(OUTPUTS)
        except NotFound:
            return None
        try:
            return msgspec.json.decode(data, type=Collected)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadOutput(f"failed to read the outputs: {error}") from error

    async def put(self, name: str, data: bytes) -> None:
        await self.artifacts.put(f"{self.root}/{name}", data)

    async def get(self, name: str) -> bytes:
        return await self.artifacts.get(f"{self.root}/{name}")


@dataclass(frozen=True)
class Homes:
    """Finds them. Raises `BadRequest` where a namespace's configuration is none."""

    client: Client
    artifacts: "Artifacts"
    """The platform's own."""
    multi_user: bool = False
    """Each namespace has a part of the platform's own store, and reaches no other. Raises `Forbidden` for those."""

    async def config(self, namespace: str) -> LauncherConfig:
        found = await self.client.find(CONFIG_MAP, ObjectKey(namespace, CONFIG))
        return launcher_config(get_in(found, "data"))

    async def default_root(self, namespace: str) -> str:
        """Below which URI runs put their artifacts that do not say where."""
        config = await self.config(namespace)
        return config.default_root or f"{self._part_of(namespace)}/v2/artifacts"

    def _part_of(self, namespace: str) -> str:
        return f"{self.artifacts.home}/private-artifacts/{namespace}" if self.multi_user else self.artifacts.home

    def _check(self, namespace: str, at: Uri) -> None:
        part = self._part_of(namespace)
        if self.multi_user and not str(at).startswith(f"{part}/"):
            raise Forbidden(f"{at} is not the namespace {namespace}'s: its artifacts lie below {part}")

    def file(self, namespace: str, config: LauncherConfig, uri: str) -> Path | None:
        """The file or folder that an artifact is on this machine; None: it is elsewhere."""
        try:
            at = parse_uri(uri)
        except BadRequest:
            return None
        if not self.artifacts.is_local or at.scheme != "minio" or config.has("minio"):
            return None
        self._check(namespace, at)
        return self.artifacts.folder / at.bucket / at.key

    async def home(self, namespace: str, root: str, config: LauncherConfig | None = None) -> Home:
        """Of a task's root, with the query of the pipeline root."""
        root, _, query = root.partition("?")
        config = config or await self.config(namespace)
        at = parse_uri(root)
        if self.file(namespace, config, root) is not None:
            return InFiles(Folder(self.artifacts.folder, f"{at.bucket}/{at.key}"))
        artifacts = await self.store(namespace, at, config.provider(at, query))
        return InStore(artifacts, str(replace(at, scheme=store_of(at.scheme))))

    async def contents(self, namespace: str, uri: str) -> "tuple[Artifacts, str]":
        """What reaches an artifact, or a folder of them, and its URI there."""
        config = await self.config(namespace)
        if self.file(namespace, config, uri) is not None:
            return self.artifacts, uri
        at = parse_uri(uri)
        store = await self.store(namespace, at, config.provider(at))
        return store, str(replace(at, scheme=store_of(at.scheme)))

    async def store(self, namespace: str, at: Uri, provider: Provider) -> "Artifacts":
        """What reaches the bucket of a URI."""
        options = {**provider.options}
        if provider.secret:
            secret = await self.client.get(SECRET, ObjectKey(namespace, provider.secret))
            options |= _secrets(provider, secret.get("data") or {})
        if not options and not self.artifacts.is_local and self.artifacts.scheme == store_of(at.scheme):
            self._check(namespace, at)
            return self.artifacts
        return opened(store_of(at.scheme), at.bucket, options)


def homes_in(ctx: "Context") -> Homes:
    return Homes(client=ctx.client, artifacts=ctx.stores.artifacts, multi_user=ctx.settings.multi_user)


def opened(scheme: str, bucket: str, options: Mapping[str, str]) -> "Artifacts":
    from flowdeck.artifacts.artifacts import Artifacts
    from flowdeck.artifacts.settings import ArtifactSettings

    return Artifacts(ArtifactSettings(url=f"{scheme}://{bucket}", options=options), Path())


def _secrets(provider: Provider, values: Mapping[str, str]) -> dict[str, str]:
    missing = [key for key in provider.secret_keys.values() if key not in values]
    if missing:
        raise BadRequest(f"the Secret {provider.secret} has no key {missing[0]!r}, which the ConfigMap {CONFIG} names")
    return {option: base64.b64decode(values[key]).decode() for option, key in provider.secret_keys.items()}
