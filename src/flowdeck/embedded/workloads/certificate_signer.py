"""Signs approved certificate signing requests for clients of the API server.

Reads   CertificateSigningRequest
Writes  CertificateSigningRequest.status.certificate, or its condition Failed

Source: k8s.io/kubernetes (pkg/controller/certificates/signer).
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from flowdeck.certificates import split_pem
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.controller.contract import DONE, Maps, Result
from flowdeck.controller.status import write_status
from flowdeck.embedded.apiserver.admission.certificate_requests import CLIENT_SIGNER
from flowdeck.kube.conditions import Condition, is_true, set_condition
from flowdeck.kube.kinds import CERTIFICATE_SIGNING_REQUEST
from flowdeck.kube.objects import Kind, ObjectKey, Tree, get_in

_USAGES = frozenset({"client auth", "digital signature", "key encipherment"})
_LIFE = timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class CertificateSigner:
    """Signs what is asked of `kubernetes.io/kube-apiserver-client`; other signers are somebody else's."""

    client: Client
    clock: Clock
    authority: Path
    """The cluster's authority: certificate and key in one PEM file."""
    name: str = "certificate-signer"
    kind: Kind = CERTIFICATE_SIGNING_REQUEST
    watches: Sequence[Maps] = ()

    async def reconcile(self, key: ObjectKey) -> Result:
        request = await self.client.find(self.kind, key)
        if request is None or not _is_waiting(request):
            return DONE
        try:
            signed: Tree = {"certificate": base64.b64encode(self._sign(request)).decode()}
        except ValueError as error:
            conditions = list(get_in(request, "status", "conditions", default=[]))
            failed = Condition(type="Failed", status="True", reason="SignerValidationFailure", message=str(error))
            set_condition(conditions, failed, now=self.clock.now())
            signed = {"conditions": conditions}
        await write_status(self.client, self.kind, request, {**(request.get("status") or {}), **signed})
        return DONE

    def _sign(self, request: Tree) -> bytes:
        """Raises `ValueError` for what cannot be signed."""
        spec = request["spec"]
        usages = set(spec.get("usages") or ())
        if "client auth" not in usages or usages - _USAGES:
            raise ValueError(f"usages {sorted(usages)} are not allowed for signer {CLIENT_SIGNER}")
        life = timedelta(seconds=spec["expirationSeconds"]) if "expirationSeconds" in spec else _LIFE
        return sign(self.authority, _decoded(spec["request"]), min(life, _LIFE), self.clock.now())


def _is_waiting(request: Tree) -> bool:
    return (
        request["spec"].get("signerName") == CLIENT_SIGNER
        and is_true(request, "Approved")
        and not is_true(request, "Failed")
        and not is_true(request, "Denied")
        and not get_in(request, "status", "certificate")
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the request is no base64: {error}") from error


def sign(authority: Path, request: bytes, life: timedelta, now: datetime) -> bytes:
    """A client certificate (PEM) for a request (PEM). Raises `ValueError` for a request that is none or not its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509.oid import ExtendedKeyUsageOID

    asked = x509.load_pem_x509_csr(request)
    if not asked.is_signature_valid:
        raise ValueError("the request is not signed by its own key")
    certificate, key = split_pem(authority.read_text())
    issuer = x509.load_pem_x509_certificate(certificate.encode())
    issuer_key = serialization.load_pem_private_key(key.encode(), None)
    if not isinstance(issuer_key, EllipticCurvePrivateKey):
        raise ValueError(f"{authority} holds no elliptic-curve key")
    signed = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(issuer.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(min(now + life, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM)
