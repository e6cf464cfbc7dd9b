"""X.509: authorities, and certificates that they sign. Keys are elliptic curves (P-256), everything is PEM text.

`cryptography` is loaded only when something is made or read.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


@dataclass(frozen=True)
class Leaf:
    """What a certificate shall say."""

    file: str
    """Where its owner keeps it."""
    common_name: str
    organizations: tuple[str, ...] = ()
    usage: Literal["server", "client"] = "client"
    names: tuple[str, ...] = ()
    """DNS names and IP addresses that a server may be reached at."""


def split_pem(text: str) -> tuple[str, str]:
    """The certificate and the private key in a PEM text; `""` for what is not there."""
    return _block(text, "CERTIFICATE"), _block(text, "PRIVATE KEY")


def _block(text: str, label: str) -> str:
    begin, end = f"-----BEGIN {label}-----", f"-----END {label}-----"
    start, stop = text.find(begin), text.find(end)
    return text[start : stop + len(end)] + "\n" if 0 <= start < stop else ""


def split_all(text: str) -> list[str]:
    """Every certificate in a PEM text."""
    end = "-----END CERTIFICATE-----"
    return [block[block.index("-----BEGIN CERTIFICATE-----") :] + end + "\n" for block in text.split(end)[:-1]]


def make_authority(common_name: str, *, now: datetime, life: timedelta) -> str:
    """A new authority: its certificate, then its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    key = _make_key()
    name = _name(common_name, ())
    certificate = (
        _builder(name, name, key, now, now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate, key)


def make_leaf(leaf: Leaf, authority: str, *, now: datetime, life: timedelta) -> str:
    """A certificate that `authority` (its certificate and key) signs, then its key; it ends with the authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509.oid import ExtendedKeyUsageOID

    certificate, private = split_pem(authority)
    ca_certificate = x509.load_pem_x509_certificate(certificate.encode())
    ca_key = serialization.load_pem_private_key(private.encode(), None)
    if not isinstance(ca_key, EllipticCurvePrivateKey):
        raise ValueError("the authority holds no elliptic-curve key: remove it to make a new one")
    key = _make_key()
    not_after = min(now + life, ca_certificate.not_valid_after_utc)
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if leaf.usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(leaf.common_name, leaf.organizations), ca_certificate.subject, key, now, not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if leaf.names:
        names = x509.SubjectAlternativeName([_general_name(name) for name in leaf.names])
        builder = builder.add_extension(names, critical=False)
    return _pem(builder.sign(ca_key, hashes.SHA256()), key)


def make_request(leaf: Leaf, key_pem: str) -> str:
    """A request for a certificate (PKCS #10), which the key signs."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    names = x509.SubjectAlternativeName([_general_name(name) for name in leaf.names])
    request = (
        x509.CertificateSigningRequestBuilder(_name(leaf.common_name, leaf.organizations))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True)
class Certificate:
    """What a certificate says."""

    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    """DNS names and addresses."""
    key_id: bytes
    """Of an authority's own key; empty for others."""
    authority_id: bytes
    """Of the key that signed it; empty for an authority's own."""


def read_certificate(pem: str) -> Certificate:
    """The first certificate of a text."""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(pem.encode())
    found = {type(extension.value): extension.value for extension in certificate.extensions}
    names, own, signer = (
        found.get(kind)
        for kind in (x509.SubjectAlternativeName, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    )
    return Certificate(
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        names=tuple(str(name.value) for name in names) if isinstance(names, x509.SubjectAlternativeName) else (),
        key_id=own.digest if isinstance(own, x509.SubjectKeyIdentifier) else b"",
        authority_id=(signer.key_identifier or b"") if isinstance(signer, x509.AuthorityKeyIdentifier) else b"",
    )


def expiry(pem: str) -> datetime:
    """When the first certificate in a text ends."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc


def _builder(
    subject: "x509.Name", issuer: "x509.Name", key: "EllipticCurvePrivateKey", now: datetime, not_after: datetime
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ a little
        .not_valid_after(not_after)
    )


def _name(common_name: str, organizations: Sequence[str]) -> "x509.Name":
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, is_ca: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _make_key() -> "EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def make_key_pem() -> str:
    """A new private key."""
    from cryptography.hazmat.primitives import serialization as s

    return _make_key().private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode()


def _pem(certificate: "x509.Certificate", key: "EllipticCurvePrivateKey") -> str:
    from cryptography.hazmat.primitives import serialization as s

    private = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
    return certificate.public_bytes(s.Encoding.PEM).decode() + private.decode()
