"""The kubelet's API in a cluster that was there first: who may ask it, and what it shows, is the cluster's word."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from flowdeck.certificates import make_authority, split_pem
from flowdeck.clock import SystemClock
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.node.access import Access
from flowdeck.embedded.node.server import tls_context
from flowdeck.embedded.node.serving_certificate import ServingCertificate
from flowdeck.kube.errors import Forbidden, Unauthorized
from flowdeck.kube.kinds import CERTIFICATE_SIGNING_REQUEST, CLUSTER_ROLE_BINDING, SERVICE_ACCOUNT
from flowdeck.kube.objects import ObjectKey, Tree, key_of
from tests.world.world import World

MONITOR = ObjectKey("default", "monitor")
LONGEST_S = 10


def a_request(path: str, token: str = "") -> Tree:
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    return {"type": "http", "method": "GET", "path": path, "headers": headers, "state": {}}


@pytest.fixture
async def token(world: World, tmp_path: Path) -> str:
    """Of an account that may read the metrics of nodes, and nothing else of them."""
    pki.prepare(tmp_path / "pki", node="n1", now=world.clock.now())
    meta = {"name": MONITOR.name, "namespace": MONITOR.namespace}
    await world.client.create(SERVICE_ACCOUNT, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "metrics"}}
    rule = {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}
    await world.create(role | {"rules": [rule]})
    binding = {"apiVersion": role["apiVersion"], "kind": "ClusterRoleBinding", "metadata": {"name": "metrics"}}
    binding["subjects"] = [{"kind": "ServiceAccount", **meta}]
    binding["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metrics"}
    await world.client.create(CLUSTER_ROLE_BINDING, binding)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = await world.client.create_sub(SERVICE_ACCOUNT, MONITOR, "token", asked)
    return str(answer["status"]["token"])


async def test_a_token_opens_what_its_user_may_see_of_nodes(world: World, token: str) -> None:
    access = Access(world.client, world.clock, "n1")
    for _ in range(2):  # asked, then remembered
        await access.check(a_request("/metrics/resource", token))
        with pytest.raises(Forbidden, match=r"verb=get, resource=nodes, subresource\(s\)=\[proxy\]"):
            await access.check(a_request("/containerLogs/default/a/main", token))
    for stranger in ("", "wrong"):
        with pytest.raises(Unauthorized):
            await access.check(a_request("/metrics", stranger))


async def test_a_right_that_was_taken_away_ends_in_five_minutes(world: World, token: str) -> None:
    access = Access(world.client, world.clock, "n1")
    await access.check(a_request("/metrics", token))
    await world.client.delete(CLUSTER_ROLE_BINDING, ObjectKey("", "metrics"))
    await world.advance(seconds=299)
    await access.check(a_request("/metrics", token))
    await world.advance(seconds=2)
    with pytest.raises(Forbidden):
        await access.check(a_request("/metrics", token))


@asynccontextmanager
async def asking(world: World, folder: Path) -> AsyncIterator[tuple[ServingCertificate, Tree, "asyncio.Task[None]"]]:
    """A node that serves with its own certificate, the request that it has made for a signed one, and its task."""
    clock = SystemClock()
    kept = ServingCertificate(folder=folder, node="n1", names=("n1", "10.0.0.5"), client=world.client, clock=clock)
    authority = make_authority("cluster", now=datetime.now(UTC), life=timedelta(days=1))
    (folder / "ca.pem").write_text(authority)
    context = tls_context(kept.prepare(), authority)
    assert kept.prepare() == folder / "own.pem"
    running = asyncio.create_task(kept.run(context))
    async with asyncio.timeout(LONGEST_S):
        while not (found := (await world.client.list(CERTIFICATE_SIGNING_REQUEST)).items):  # noqa: ASYNC110 - a request
            await asyncio.sleep(0.01)
    try:
        yield kept, found[0], running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def sign(request: bytes, authority: Path) -> bytes:
    """As kube-controller-manager does: for the subject and the names that were asked for."""
    asked = x509.load_pem_x509_csr(request)
    certificate, key = split_pem(authority.read_text())
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=x509.load_pem_x509_certificate(certificate.encode()).subject,
        subject_name=asked.subject,
        public_key=asked.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + timedelta(days=1),
        extensions=list(asked.extensions),
    )
    private = serialization.load_pem_private_key(key.encode(), None)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def test_the_nodes_certificate_is_its_own_until_the_cluster_has_signed_one(world: World, tmp_path: Path) -> None:
    async with asking(world, tmp_path) as (kept, request, _):
        assert request["spec"]["signerName"] == "kubernetes.io/kubelet-serving"
        signed = sign(base64.b64decode(request["spec"]["request"]), tmp_path / "ca.pem")
        status = {"certificate": base64.b64encode(signed).decode()}
        await world.client.patch_status(CERTIFICATE_SIGNING_REQUEST, key_of(request), {"status": status})
        async with asyncio.timeout(LONGEST_S):
            while kept.prepare() != tmp_path / "signed.pem":  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.01)


async def test_a_node_that_is_refused_goes_on_with_its_own_certificate(world: World, tmp_path: Path) -> None:
    async with asking(world, tmp_path) as (kept, request, running):
        verdict = {"type": "Failed", "status": "True", "reason": "No", "message": "we sign for nobody"}
        status = {"conditions": [verdict]}
        await world.client.patch_status(CERTIFICATE_SIGNING_REQUEST, key_of(request), {"status": status})
        await asyncio.wait_for(running, LONGEST_S)
        assert kept.prepare() == tmp_path / "own.pem"
