"""Artifacts, by their URIs: put, get, list, delete; in files or in the object store of a cloud.

    artifacts = Artifacts(settings, folder=data / "artifacts")
    await artifacts.put(f"{artifacts.home}/run-1/model", b"...")

With files, `minio://<bucket>/<key>` is the file `<folder>/<bucket>/<key>`. Otherwise all URIs of the scheme that is set
are reached with the same credentials, whatever their bucket. Other schemes are refused.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, S3Store

from flowdeck.artifacts.bucket import Bucket, StoreBucket
from flowdeck.artifacts.files import FolderBucket
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.artifacts.uris import Uri, parse_uri
from flowdeck.kube.errors import Forbidden, NotFound, ServiceUnavailable

LOCAL_HOME = "minio://mlpipeline"
"""Where the platform keeps its own artifacts when they are files: upstream's default."""
CONNECT_S, ANSWER_S = 5, 30
RETRIES, RETRY_S = 3, 15
"""How often, and for how long, a request is tried again that the store did not answer or answered with 5xx."""
READY_S = 5.0
_LONGEST = 300
"""Of what a store says of an error."""


@dataclass(frozen=True)
class Info:
    """One object."""

    uri: str
    size: int
    """Bytes."""
    modified: datetime


@dataclass
class Artifacts:
    """See the module's text. Raises `NotFound`, `Forbidden`, `ServiceUnavailable`, and `BadRequest` for bad URIs."""

    settings: ArtifactSettings
    folder: Path
    """Where files are kept, if they are."""
    _buckets: dict[str, Bucket] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._home = parse_uri(self.settings.url or LOCAL_HOME)
        if self._home.scheme == "minio" and not self.is_local:
            raise ValueError("minio://... is for files: for a MinIO server use s3://bucket and AWS_ENDPOINT_URL")

    @property
    def is_local(self) -> bool:
        """Whether they are files."""
        return not self.settings.url

    @property
    def scheme(self) -> str:
        """Of the URIs that it serves."""
        return self._home.scheme

    @property
    def home(self) -> str:
        """Below which URI the platform keeps its own artifacts."""
        return str(self._home)

    async def put(self, uri: str, data: bytes | Path) -> None:
        """Keeps bytes, or a file's content; it is all there or not at all. What was there is replaced."""
        at = parse_uri(uri)
        with _told(uri):
            await self._bucket(at).put(at.key, data)

    async def get(self, uri: str) -> bytes:
        return b"".join([chunk async for chunk in self.chunks(uri)])

    async def chunks(self, uri: str, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content piece by piece, for what is too large to hold; of a part, from `begin` to before `end`."""
        at = parse_uri(uri)
        with _told(uri):
            async for chunk in self._bucket(at).chunks(at.key, begin, end):
                yield chunk

    async def download(self, uri: str, file: Path) -> None:
        """Writes the content to a file."""
        with file.open("wb") as target:
            async for chunk in self.chunks(uri):
                await asyncio.to_thread(target.write, chunk)

    async def find(self, uri: str) -> Info | None:
        """None when there is nothing."""
        at = parse_uri(uri)
        try:
            with _told(uri):
                found = await self._bucket(at).find(at.key)
        except NotFound:
            return None
        return Info(str(at), found.size, found.modified)

    async def list(self, prefix: str) -> AsyncIterator[Info]:
        """All objects below a URI, by name; `a/b` is not below `a/b2`, and nothing is below an object itself."""
        at = parse_uri(prefix)
        with _told(prefix):
            async for found in self._bucket(at).list(at.key):
                yield Info(str(Uri(at.scheme, at.bucket, found.key)), found.size, found.modified)

    async def delete(self, uri: str) -> None:
        """Whether it is there or not."""
        at = parse_uri(uri)
        with _told(uri), contextlib.suppress(NotFound, FileNotFoundError, exceptions.NotFoundError):
            await self._bucket(at).delete(at.key)

    async def ping(self) -> None:
        """For readiness."""
        try:
            async with asyncio.timeout(READY_S):
                async for _ in self.list(self.home):
                    break
        except TimeoutError as error:
            raise ServiceUnavailable(f"the artifact store {self.home} does not answer within {READY_S:g} s") from error

    def _bucket(self, at: Uri) -> Bucket:
        if at.scheme != self._home.scheme:
            raise ServiceUnavailable(f"there is no store for {at.scheme}://: artifacts are kept in {self.home}")
        if at.bucket not in self._buckets:
            self._buckets[at.bucket] = self._open(at.bucket)
        return self._buckets[at.bucket]

    def _open(self, bucket: str) -> Bucket:
        if self.is_local:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return FolderBucket(self.folder, bucket)
        make = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}[self._home.scheme]
        options = dict(self.settings.options)
        store = make(
            bucket,
            config=options,
            client_options={
                "connect_timeout": f"{CONNECT_S}s",
                "timeout": f"{ANSWER_S}s",
                "allow_http": True,
            },
            retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
        )
        return StoreBucket(store)


@contextlib.contextmanager
def _told(uri: str) -> Iterator[None]:
    """Turns what a store says into the platform's errors, without what it might tell of credentials."""
    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        raise NotFound(f"there is no artifact {uri}") from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise Forbidden(f"the artifact store refuses {uri}: look at the credentials of the platform") from error
    except (exceptions.BaseError, OSError) as error:
        why = str(error).strip().partition("\n")[0][:_LONGEST]
        raise ServiceUnavailable(f"the artifact store does not serve {uri}: {why}") from error
