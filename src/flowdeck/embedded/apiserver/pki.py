"""Keys and certificates of an embedded cluster: made at the first start, renewed when close to expiry.

    DATA/pki/ca.pem               the authority: certificate and key
    DATA/pki/ca.crt               its certificate alone, for clients
    DATA/pki/server.pem           the API server's serving certificate
    DATA/pki/admin.pem            a user in `system:masters`
    DATA/pki/node.pem             `system:node:NAME` in `system:nodes`: the node as a client
    DATA/pki/kubelet.pem          the node's serving certificate
    DATA/pki/kubelet-client.pem   the API server as the node's client
    DATA/pki/service-account.pem  signs service-account tokens

The folder has mode 0700, the files 0600. A certificate and its key share one file, so that a crash between two writes
leaves no pair that does not match. Each file starts with plain lines (ignored by PEM readers) that say what is in it;
thanks to them a start that has nothing to make needs no cryptography, and takes less than a millisecond.
"""

import base64
import hashlib
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from flowdeck import private_files
from flowdeck.certificates import Leaf, expiry, make_authority, make_key_pem, make_leaf, split_pem
from flowdeck.kube.times import format_time, parse_time

CA_LIFE = timedelta(days=3650)
LEAF_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=60)
"""A certificate with less time left than this is made anew by `prepare`."""

API_SERVICE_IP = "10.96.0.1"
"""The cluster IP of the Service `kubernetes`, by which pods reach the API server."""
SERVER_NAMES = (
    API_SERVICE_IP,
    "localhost",
    "127.0.0.1",
    "::1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Pki:
    """Where the keys and certificates are."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority: certificate and key."""
        return self.folder / "ca.pem"

    @property
    def ca(self) -> Path:
        """The authority's certificate, without its key."""
        return self.folder / "ca.crt"

    @property
    def server(self) -> Path:
        return self.folder / "server.pem"

    @property
    def admin(self) -> Path:
        return self.folder / "admin.pem"

    @property
    def node(self) -> Path:
        return self.folder / "node.pem"

    @property
    def kubelet(self) -> Path:
        return self.folder / "kubelet.pem"

    @property
    def kubelet_client(self) -> Path:
        return self.folder / "kubelet-client.pem"

    @property
    def service_account(self) -> Path:
        return self.folder / "service-account.pem"


def prepare(folder: Path, *, node: str, now: datetime, names: Sequence[str] = ()) -> Pki:
    """Makes what is missing, close to expiry, or signed for other names; returns where everything is.

    `names` are further DNS names and IP addresses of the API server and of the node (its cluster IP, its public name).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    pki = Pki(folder)
    _prepare_ca(pki, now)
    issuer = _fingerprint(pki.ca)
    for leaf in _leaves(node, tuple(names)):
        if not _is_good(folder / leaf.file, leaf, issuer, now):
            private_files.put(folder / leaf.file, _make_leaf(leaf, folder / "ca.pem", issuer, now))
    if not pki.service_account.exists():
        private_files.put(pki.service_account, make_key_pem())
    return pki


def _leaves(node: str, names: tuple[str, ...]) -> list[Leaf]:
    here = socket.gethostname()
    server_names = tuple(dict.fromkeys((*SERVER_NAMES, here, *names)))
    node_names = tuple(dict.fromkeys((node, "localhost", "127.0.0.1", "::1", here, *names)))
    return [
        Leaf("server.pem", "kube-apiserver", usage="server", names=server_names),
        Leaf("admin.pem", "kubernetes-admin", ("system:masters",)),
        Leaf("node.pem", f"system:node:{node}", ("system:nodes",)),
        Leaf("kubelet.pem", f"system:node:{node}", ("system:nodes",), usage="server", names=node_names),
        Leaf("kubelet-client.pem", "kube-apiserver-kubelet-client", ("system:masters",)),
    ]


def server_context(pki: Pki) -> ssl.SSLContext:
    """TLS of the API server: asks for a client certificate, and takes none or one of our authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server)
    context.load_verify_locations(pki.ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(pki: Pki, certificate: Path | None = None) -> ssl.SSLContext:
    """TLS of a client that trusts our authority and shows `certificate` (`pki.admin`, `pki.node`, ...)."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate)
    return context


def write_kubeconfig(path: Path, *, server: str, pki: Pki, certificate: Path, user: str = "admin") -> None:
    """Writes a kubeconfig with everything inside (mode 0600), unless the file already says the same.

    `server` is the URL; `certificate` one of the client certificates of `pki`.
    """
    certificate_pem, key_pem = split_pem(certificate.read_text())
    text = _KUBECONFIG.format(
        ca=_base64(split_pem(pki.ca.read_text())[0]),
        server=json.dumps(server),
        user=json.dumps(user),
        certificate=_base64(certificate_pem),
        key=_base64(key_pem),
    )
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        private_files.put(path, text)


_KUBECONFIG = """\
apiVersion: v1
kind: Config
clusters:
- name: flowdeck
  cluster:
    certificate-authority-data: {ca}
    server: {server}
contexts:
- name: flowdeck
  context:
    cluster: flowdeck
    namespace: default
    user: {user}
current-context: flowdeck
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _fingerprint(certificate: Path) -> str:
    return hashlib.sha256(certificate.read_bytes()).hexdigest()


def _is_good(path: Path, leaf: Leaf, issuer: str, now: datetime) -> bool:
    told = _told(path)
    return (
        told.get("Subject") == _subject_line(leaf)
        and told.get("Names") == ",".join(leaf.names)
        and told.get("Issuer") == issuer
        and parse_time(told["Not-After"]) - now > RENEW_BEFORE
    )


def _told(path: Path) -> dict[str, str]:
    """The plain lines at the start of a file; nothing for a file that is not there or not ours."""
    if not path.exists():
        return {}
    head = path.read_text().partition("-----BEGIN")[0]
    return dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)


def _subject_line(leaf: Leaf) -> str:
    return ",".join([f"CN={leaf.common_name}", *(f"O={name}" for name in leaf.organizations)])


def _prepare_ca(pki: Pki, now: datetime) -> None:
    both = pki.folder / "ca.pem"
    not_after = _told(both).get("Not-After")
    if not_after is None or parse_time(not_after) - now < RENEW_BEFORE:
        private_files.put(both, _make_ca(now))
    certificate = split_pem(both.read_text())[0]
    if not pki.ca.exists() or pki.ca.read_text() != certificate:
        private_files.put(pki.ca, certificate)


def _make_ca(now: datetime) -> str:
    told = f"Subject: CN=kubernetes\nNot-After: {format_time(now + CA_LIFE)}\n"
    return told + make_authority("kubernetes", now=now, life=CA_LIFE)


def _make_leaf(leaf: Leaf, ca: Path, issuer: str, now: datetime) -> str:
    certificate = make_leaf(leaf, ca.read_text(), now=now, life=LEAF_LIFE)
    told = {
        "Subject": _subject_line(leaf),
        "Names": ",".join(leaf.names),
        "Issuer": issuer,
        "Not-After": format_time(expiry(certificate)),
    }
    return "".join(f"{name}: {value}\n" for name, value in told.items()) + certificate
