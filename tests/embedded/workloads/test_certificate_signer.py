"""Certificate signing requests: who made them, who may approve them, what is signed."""

import base64
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flowdeck.certificates import split_pem
from flowdeck.embedded.apiserver import pki
from flowdeck.embedded.apiserver.contract import User
from flowdeck.embedded.workloads.certificate_signer import CertificateSigner
from flowdeck.kube.errors import Forbidden
from flowdeck.kube.kinds import CERTIFICATE_SIGNING_REQUEST
from flowdeck.kube.objects import Tree
from tests.world.world import World

ADMIN = User("admin", groups=("system:masters",))
CSRS = CERTIFICATE_SIGNING_REQUEST.path + "/" + CERTIFICATE_SIGNING_REQUEST.plural


def a_request(name: str = "bob", *organizations: str, usages: tuple[str, ...] = ("client auth",)) -> Tree:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in organizations]
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    key = ec.generate_private_key(ec.SECP256R1())
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(asked.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": list(usages),
            "username": "somebody-else",
        },
    }


def certificate_in(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(split_pem(file.read_text())[0].encode())


async def post(world: World, obj: Tree, user: User = ADMIN) -> Tree:
    answer = await world.api.pipeline.call("POST", CSRS, {}, orjson.dumps(obj), user, "application/json")
    return orjson.loads(answer)


async def approve(world: World, name: str, user: User = ADMIN) -> None:
    request = await world.get(CERTIFICATE_SIGNING_REQUEST, name)
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "fine"}
    body = orjson.dumps({**request, "status": {"conditions": [approved]}})
    await world.api.pipeline.call("PUT", f"{CSRS}/{name}/approval", {}, body, user, "application/json")


@pytest.fixture
async def authority(world: World, tmp_path: Path) -> Path:
    authority = pki.prepare(tmp_path / "authority", node="n", now=world.clock.now()).authority
    await world.start(lambda client, clock: [CertificateSigner(client=client, clock=clock, authority=authority)])
    return authority


async def test_an_approved_request_is_signed_for_its_subject(world: World, authority: Path) -> None:
    made = await post(world, a_request("bob", "team"), User("alice", groups=("system:masters",)))
    assert (made["spec"]["username"], made["spec"]["groups"]) == ("alice", ["system:masters"])
    await world.settle()
    assert "certificate" not in (await world.get(CERTIFICATE_SIGNING_REQUEST, "bob"))["status"]
    await approve(world, "bob")
    await world.settle()
    signed = base64.b64decode((await world.get(CERTIFICATE_SIGNING_REQUEST, "bob"))["status"]["certificate"])
    certificate = x509.load_pem_x509_certificate(signed)
    certificate.verify_directly_issued_by(certificate_in(authority))
    assert certificate.subject.rfc4514_string() == "CN=bob,O=team"


async def test_a_request_for_more_than_a_client_fails(world: World, authority: Path) -> None:
    await post(world, a_request(usages=("client auth", "server auth")))
    await approve(world, "bob")
    await world.settle()
    assert await world.condition(CERTIFICATE_SIGNING_REQUEST, "bob", "Failed") == ("True", "SignerValidationFailure")


async def test_nobody_becomes_a_master_by_a_request(world: World) -> None:
    with pytest.raises(Forbidden, match="with system:masters group is not allowed"):
        await post(world, a_request("eve", "system:masters"))


async def test_only_who_may_use_the_signer_may_approve(world: World) -> None:
    await post(world, a_request())
    with pytest.raises(Forbidden, match=r'not permitted to approve requests with signerName "kubernetes\.io/kube-'):
        await approve(world, "bob", User("eve"))
