"""The certificate of the kubelet's API in a cluster that gives us none: our own at first, then one that it signs.

Asked for as kubelets do, by a CertificateSigningRequest to `kubernetes.io/kubelet-serving`; somebody has to approve it
(`kubectl certificate approve`). Until then, and where the cluster does not sign for who we are, ours goes on: an API
server that does not check kubelets' certificates, which is the default, takes it. When two thirds of a certificate's
time are over, the next one is asked for.

    DATA/pki/own.pem, signed.pem        certificate, then key

Source: kubernetes/kubernetes (pkg/kubelet/certificate/kubelet.go).
"""

import base64
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from flowdeck.certificates import Leaf, make_authority, make_key_pem, make_leaf
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import CERTIFICATE_SIGNING_REQUEST
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of

if TYPE_CHECKING:
    from cryptography import x509

SIGNER = "kubernetes.io/kubelet-serving"
OWN_LIFE = timedelta(days=365)
RETRY_S = 5.0
"""How soon what failed is tried again, at first."""
LONGEST_RETRY_S = 3600.0

log = structlog.get_logger()


class Refused(Exception):
    """The cluster does not sign for us; the text has its reason."""


@dataclass(frozen=True, kw_only=True)
class ServingCertificate:
    """Keeps it good."""

    folder: Path
    node: str
    names: Sequence[str]
    """DNS names and IP addresses of the node."""
    client: Client
    clock: Clock

    @property
    def _own(self) -> Path:
        return self.folder / "own.pem"

    @property
    def _signed(self) -> Path:
        return self.folder / "signed.pem"

    def prepare(self) -> Path:
        """A file with a certificate that holds now, and its key."""
        if self._is_good(self._signed):
            return self._signed
        if not self._is_good(self._own):
            self._make_own()
        return self._own

    async def run(self, context: ssl.SSLContext) -> None:
        """Puts signed certificates into `context`, for ever; ends when the cluster does not sign for us."""
        pause_s = RETRY_S
        while True:
            await self.clock.sleep(self._seconds_left())
            try:
                await self._renew()
                context.load_cert_chain(self._signed)
                pause_s = RETRY_S
                log.info("the cluster has signed the certificate of this node's API", node=self.node)
            except Refused as error:
                log.warning("the cluster signs no certificate for this node's API", node=self.node, reason=str(error))
                return
            except (ApiError, OSError) as error:
                log.warning("cannot get a certificate, trying again", node=self.node, error=str(error))
                await self.clock.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_RETRY_S)

    def _make_own(self) -> None:
        now = self.clock.now()
        leaf = Leaf("own.pem", f"{self.node}@{int(now.timestamp())}", usage="server", names=tuple(self.names))
        authority = make_authority(leaf.common_name, now=now, life=OWN_LIFE)
        _write(self._own, make_leaf(leaf, authority, now=now, life=OWN_LIFE))

    def _is_good(self, file: Path) -> bool:
        if not file.exists():
            return False
        names, _, end = _told(file)
        return end > self.clock.now() and names == frozenset(self.names)

    def _seconds_left(self) -> float:
        """Until a signed one is to be asked for."""
        if not self._is_good(self._signed):
            return 0.0
        _, start, end = _told(self._signed)
        return max(0.0, (start + (end - start) * 2 / 3 - self.clock.now()).total_seconds())

    async def _renew(self) -> None:
        key = make_key_pem()
        request = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "csr-"},
            "spec": {
                "signerName": SIGNER,
                "usages": ["digital signature", "server auth"],
                "request": base64.b64encode(_request(key, self.node, self.names)).decode(),
            },
        }
        made = await self.client.create(CERTIFICATE_SIGNING_REQUEST, request)
        signed = await self._wait(key_of(made))
        _write(self._signed, signed.decode() + key)
        if not self._is_good(self._signed):
            raise Refused("the signed certificate is not for the names of this node, or has ended already")

    async def _wait(self, key: ObjectKey) -> bytes:
        """The signed certificate. A request that nobody looks at the cluster removes after a day: `NotFound`."""
        while True:
            request = await self.client.get(CERTIFICATE_SIGNING_REQUEST, key)
            if signed := _answer(request):
                return signed
            start = request["metadata"]["resourceVersion"]
            selected = self.client.watch(
                CERTIFICATE_SIGNING_REQUEST, fields=f"metadata.name={key.name}", resource_version=start
            )
            async with selected as events:
                async for event in events:
                    if signed := _answer(event.object):
                        return signed


def _answer(request: Tree) -> bytes:
    """The certificate, once it is there. Raises `Refused`."""
    for verdict in ("Denied", "Failed"):
        if condition := find_condition(request, verdict):
            raise Refused(f"{verdict}: {condition.get('message') or condition.get('reason') or key_of(request).name}")
    return base64.b64decode(get_in(request, "status", "certificate", default=""))


def _request(key_pem: str, node: str, names: Sequence[str]) -> bytes:
    """PKCS #10, as the signer wants it: this very subject."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509.oid import NameOID

    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    who = [(NameOID.ORGANIZATION_NAME, "system:nodes"), (NameOID.COMMON_NAME, f"system:node:{node}")]
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in who])
    ).add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _told(file: Path) -> tuple[frozenset[str], datetime, datetime]:
    """Names, begin and end of the certificate in a file."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    names = (extension.value for extension in certificate.extensions)
    told = {str(name.value) for value in names if isinstance(value, x509.SubjectAlternativeName) for name in value}
    return frozenset(told), certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, text: str) -> None:
    """Puts a private file in place, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
