"""The certificates of what the operator serves: kept in a Secret, renewed before they end, written to files for TLS.

    ca.crt    certificates of the authorities to trust, the newest first
    ca.key    the newest authority's key
    tls.crt   the serving certificate, for webhooks and for the components' servers
    tls.key   its key

Every replica looks at the Secret now and then; the first that finds something to renew does it, the others see it.
A new authority is trusted for an hour before it signs, so that whoever checks has heard of it.
"""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from flowdeck import private_files
from flowdeck.certificates import Leaf, expiry, make_authority, make_leaf, read_certificate, split_all, split_pem
from flowdeck.client.base import Client
from flowdeck.clock import Clock
from flowdeck.cluster.names import CERTIFICATES, NAME, OURS
from flowdeck.kube.errors import AlreadyExists, ApiError, Conflict
from flowdeck.kube.kinds import SECRET
from flowdeck.kube.objects import Tree

CA_LIFE = timedelta(days=3650)
CA_RENEW_BEFORE = timedelta(days=365)
LEAF_LIFE = timedelta(days=90)
LEAF_RENEW_BEFORE = timedelta(days=30)
SETTLE = timedelta(hours=1)
"""For so long a new authority is trusted before it signs."""
CHECK_S = 30.0
"""How often the Secret is read."""
RETRY_S = 1.0

log = structlog.get_logger()


@dataclass
class Certificates:
    """Keeps the Secret and, in `folder`, what TLS reads: `serving.pem` (certificate and key) and `ca.crt`."""

    client: Client
    clock: Clock
    names: Sequence[str]
    """DNS names that the serving certificate is for."""
    folder: Path
    authorities: str = field(default="", init=False)
    """PEM of the authorities to trust; `""` until the Secret was read."""

    @property
    def serving(self) -> Path:
        return self.folder / "serving.pem"

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def ends(self) -> datetime | None:
        return expiry(self.serving.read_text()) if self.serving.exists() else None

    async def wait_ready(self) -> None:
        """Returns when the files are there, however long the API server cannot be reached."""
        while not await self._try():
            await self.clock.sleep(RETRY_S)

    async def keep(self) -> None:
        """Looks after them until it is cancelled."""
        while True:
            await self.clock.sleep(CHECK_S)
            await self._try()

    async def _try(self) -> bool:
        try:
            await self._look()
        except (Conflict, AlreadyExists):  # another replica was quicker: read what it has made
            return False
        except (ApiError, OSError) as error:
            log.warning("certificates could not be looked after", secret=str(CERTIFICATES), error=str(error))
            return False
        return True

    async def _look(self) -> None:
        secret = await self.client.find(SECRET, CERTIFICATES)
        held = _texts((secret or {}).get("data") or {})
        wanted = renewed(held, self.names, now=self.clock.now())
        if wanted != held:
            await self._store(secret, wanted)
            log.info("certificates were renewed", secret=str(CERTIFICATES), ends=str(expiry(wanted["tls.crt"])))
        await asyncio.get_running_loop().run_in_executor(None, self._write, wanted)

    async def _store(self, secret: Tree | None, data: Mapping[str, str]) -> None:
        metadata = (secret or {}).get("metadata") or {
            "namespace": CERTIFICATES.namespace,
            "name": CERTIFICATES.name,
            "labels": OURS,
        }
        wanted = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": metadata,
            "type": "kubernetes.io/tls",
            "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()},
        }
        await (self.client.create if secret is None else self.client.update)(SECRET, wanted)

    def _write(self, data: Mapping[str, str]) -> None:
        self.authorities = data["ca.crt"]
        _put(self.authority, data["ca.crt"])
        _put(self.serving, data["tls.crt"] + data["tls.key"])


def renewed(held: Mapping[str, str], names: Sequence[str], *, now: datetime) -> dict[str, str]:
    """What the Secret shall hold: `held` itself while nothing has to be done."""
    data = dict(held)
    authorities = [pem for pem in split_all(data.get("ca.crt", "")) if expiry(pem) > now]
    if not authorities or not data.get("ca.key") or expiry(authorities[0]) - now < CA_RENEW_BEFORE:
        certificate, data["ca.key"] = split_pem(make_authority(f"{NAME}-ca", now=now, life=CA_LIFE))
        authorities = [certificate, *authorities]
    data["ca.crt"] = "".join(authorities)
    if _is_due(data, authorities, names, now):
        leaf = Leaf("tls.crt", NAME, usage="server", names=tuple(names))
        made = make_leaf(leaf, authorities[0] + data["ca.key"], now=now, life=LEAF_LIFE)
        data["tls.crt"], data["tls.key"] = split_pem(made)
    return data


def _is_due(data: Mapping[str, str], authorities: Sequence[str], names: Sequence[str], now: datetime) -> bool:
    """Whether the serving certificate must be made anew."""
    if not data.get("tls.crt") or not data.get("tls.key"):
        return True
    leaf = read_certificate(data["tls.crt"])
    signers = [pem for pem in authorities if read_certificate(pem).key_id == leaf.authority_id]
    if set(names) - set(leaf.names) or leaf.ends - now < LEAF_RENEW_BEFORE or not signers:
        return True
    newest = read_certificate(authorities[0])
    return newest.key_id != leaf.authority_id and now - newest.begins > SETTLE


def _texts(data: Mapping[str, str]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def _put(path: Path, text: str) -> None:
    """Leaves alone a file that says so already: TLS reads it again when it changes."""
    if not path.exists() or path.read_text() != text:
        private_files.put(path, text)
