"""Servers that pipelines' artifacts and a cluster's operator need, as pods: where the pods' network is one of its own,
pods do not reach what listens on the machine's loopback, but as root the machine reaches pods.
"""

import asyncio
import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from flowdeck.artifacts.artifacts import Artifacts
from flowdeck.artifacts.settings import ArtifactSettings
from flowdeck.client.http import HttpClient
from flowdeck.kube.conditions import is_true
from flowdeck.kube.kinds import CONFIG_MAP, POD, SECRET
from flowdeck.kube.objects import ObjectKey, Tree
from flowdeck.version import VERSION
from tests.artifacts.s3 import SECRET as S3_SECRET
from tests.artifacts.s3 import make_bucket, options, s3_server
from tests.sql.postgresql import PASSWORD, programs

NAMESPACE = "default"
S3_PORT = 9000
POSTGRESQL_PORT = 5432
READY_S = 120
KEYS = "store-keys"
"""The Secret with the keys of an S3 server."""
_S3 = f"""
import threading
from moto.server import ThreadedMotoServer
ThreadedMotoServer("0.0.0.0", {S3_PORT}, verbose=False).start()
threading.Event().wait()
"""
_POSTGRESQL = """
set -e
export PATH="{programs}:$PATH"
printf %s "$PASSWORD" > /tmp/password
initdb -D /tmp/data -U flowdeck --auth=scram-sha-256 --pwfile=/tmp/password --encoding=UTF8 --no-locale -N
echo "host all all 0.0.0.0/0 scram-sha-256" >> /tmp/data/pg_hba.conf
exec postgres -D /tmp/data -p {port} -h 0.0.0.0 -k "" -F
"""


class Platform(Protocol):
    """Where they run."""

    def client(self) -> HttpClient: ...


@dataclass(frozen=True)
class S3:
    """A running S3 server."""

    endpoint: str

    def bucket(self, name: str) -> Artifacts:
        """Makes it, unless it is there; what reaches it."""
        make_bucket(self.endpoint, name)
        return Artifacts(ArtifactSettings(url=f"s3://{name}", options=options(self.endpoint)), folder=None)  # type: ignore[arg-type]

    @property
    def variables(self) -> dict[str, str]:
        """What programs of the provider look for in the environment."""
        keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": S3_SECRET, "AWS_REGION": "us-east-1"}
        return {**keys, "AWS_ENDPOINT_URL": self.endpoint, "AWS_ALLOW_HTTP": "true"}

    async def tell(self, client: HttpClient, namespace: str, default_root: str = "") -> None:
        """A namespace's `kfp-launcher` names the server from now on."""
        ref = f"{{secretName: {KEYS}, accessKeyKey: id, secretKeyKey: key}}"
        providers = f"""s3:
  default:
    endpoint: {self.endpoint}
    region: us-east-1
    credentials: {{fromEnv: false, secretRef: {ref}}}
"""
        keys = {"id": base64.b64encode(b"key").decode(), "key": base64.b64encode(S3_SECRET.encode()).decode()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": KEYS}}
        launcher = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": namespace, "name": "kfp-launcher"},
        }
        data = {"providers": providers, **({"defaultPipelineRoot": default_root} if default_root else {})}
        await client.apply(SECRET, {**secret, "data": keys}, manager="test")
        await client.apply(CONFIG_MAP, {**launcher, "data": data}, manager="test")

    async def untell(self, client: HttpClient, namespace: str) -> None:
        await client.delete(CONFIG_MAP, ObjectKey(namespace, "kfp-launcher"))
        await client.delete(SECRET, ObjectKey(namespace, KEYS))


@contextmanager
def s3_beside(platform: Platform, driver: str) -> Iterator[S3]:
    """One that the platform's pods reach, and this process."""
    if driver == "plain":
        with s3_server() as endpoint:
            yield S3(endpoint)
        return
    image = f"ghcr.io/flowdeck/flowdeck:{VERSION}"
    with a_pod(platform, "s3", S3_PORT, image=image, command=["python", "-c", _S3]) as address:
        yield S3(f"http://{address}:{S3_PORT}")


@contextmanager
def postgresql_beside(platform: Platform) -> Iterator[str]:
    """The URL of an empty database that the platform's pods reach."""
    script = _POSTGRESQL.format(programs=programs(), port=POSTGRESQL_PORT)
    env = [{"name": "PASSWORD", "value": PASSWORD}]
    user = {"runAsUser": 65534, "runAsGroup": 65534}
    with a_pod(
        platform, "postgresql", POSTGRESQL_PORT,
        image="debian:12", command=["bash", "-c", script], env=env, securityContext=user,
    ) as address:  # fmt: skip
        yield f"postgresql://flowdeck:{PASSWORD}@{address}:{POSTGRESQL_PORT}/postgres"


@contextmanager
def a_pod(
    platform: Platform, name: str, port: int, *, image: str, command: Sequence[str], **container: Any
) -> Iterator[str]:
    """Runs it until the context ends; gives its address once it listens on the port."""
    if os.geteuid() != 0:
        pytest.skip("without root this process does not reach pods")
    ready = {"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": READY_S}
    program = {"name": "main", "image": image, "command": list(command), "readinessProbe": ready, **container}
    pod: Tree = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"containers": [program], "terminationGracePeriodSeconds": 0},
    }
    try:
        yield asyncio.run(_started(platform, pod))
    finally:
        asyncio.run(_removed(platform, name))


async def _started(platform: Platform, pod: Tree) -> str:
    key = ObjectKey(NAMESPACE, pod["metadata"]["name"])
    async with platform.client() as client:
        made = await client.create(POD, pod)
        async with (
            asyncio.timeout(READY_S),
            client.watch(POD, namespace=NAMESPACE, resource_version=made["metadata"]["resourceVersion"]) as events,
        ):
            async for event in events:
                if event.object["metadata"]["name"] == key.name and is_true(event.object, "Ready"):
                    return str(event.object["status"]["podIP"])
    raise AssertionError(f"the pod {key.name} is not ready")


async def _removed(platform: Platform, name: str) -> None:
    async with platform.client() as client:
        await client.delete(POD, ObjectKey(NAMESPACE, name), missing_ok=True)
