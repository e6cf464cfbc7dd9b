"""The certificate of the kubelet's API in a cluster that gives us none: our own at first, then one that it signs.

Asked for as kubelets do, by a CertificateSigningRequest to `kubernetes.io/kubelet-serving`; somebody has to approve it
(`kubectl certificate approve`). Until then, and where the cluster does not sign for who we are, ours goes on: an API
server that does not check kubelets' certificates, which is the default, takes it. When two thirds of a certificate's
time are over, the next one is asked for.

    DATA/pki/own.pem, signed.pem        certificate, then key

Source: kubernetes/kubernetes (pkg/kubelet/certificate/kubelet.go).
"""

import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from flowdeck import private_files
from flowdeck.certificates import Leaf, make_authority, make_key_pem, make_leaf, make_request, read_certificate
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.kube.conditions import find_condition
from flowdeck.kube.errors import ApiError
from flowdeck.kube.kinds import CERTIFICATE_SIGNING_REQUEST
from flowdeck.kube.objects import ObjectKey, Tree, get_in, key_of

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
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private_files.put(self._own, make_leaf(leaf, authority, now=now, life=OWN_LIFE))

    def _is_good(self, file: Path) -> bool:
        if not file.exists():
            return False
        held = read_certificate(file.read_text())
        return held.ends > self.clock.now() and set(held.names) == set(self.names)

    def _seconds_left(self) -> float:
        """Until a signed one is to be asked for."""
        if not self._is_good(self._signed):
            return 0.0
        held = read_certificate(self._signed.read_text())
        return max(0.0, (held.begins + (held.ends - held.begins) * 2 / 3 - self.clock.now()).total_seconds())

    async def _renew(self) -> None:
        key = make_key_pem()
        leaf = Leaf(
            "signed.pem", f"system:node:{self.node}", ("system:nodes",), usage="server", names=tuple(self.names)
        )
        request = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "csr-"},
            "spec": {
                "signerName": SIGNER,
                "usages": ["digital signature", "server auth"],
                "request": base64.b64encode(make_request(leaf, key).encode()).decode(),
            },
        }
        made = await self.client.create(CERTIFICATE_SIGNING_REQUEST, request)
        signed = await self._wait(key_of(made))
        private_files.put(self._signed, signed.decode() + key)
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
