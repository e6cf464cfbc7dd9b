"""An operator's first start makes keys and certificates that real TLS accepts; the second one makes nothing."""

import asyncio
import contextlib
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowdeck.embedded.apiserver import pki as pki_module
from flowdeck.embedded.apiserver.pki import Pki, client_context, prepare, server_context, write_kubeconfig

NOW = datetime.now(UTC)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return prepare(tmp_path / "pki", node="node-1", now=NOW, names=["10.96.0.9", "deck.example"])


async def _shake_hands(pki: Pki, client_certificate: Path | None, name: str) -> bytes | None:
    """The DER certificate that the server saw."""
    seen: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(pki))
    async with server:
        port = server.sockets[0].getsockname()[1]
        context = client_context(pki, client_certificate)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        found = await asyncio.wait_for(seen, 5)
        writer.close()
        return found


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "10.96.0.1", "10.96.0.9", "kubernetes.default.svc", "deck.example"]
)
async def test_a_client_reaches_the_server_by_each_of_its_names(pki: Pki, name: str) -> None:
    assert await _shake_hands(pki, None, name) is None


async def test_the_server_sees_the_client_certificate(pki: Pki) -> None:
    from cryptography import x509

    der = await _shake_hands(pki, pki.node, "localhost")
    assert der is not None
    subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    assert subject == "CN=system:node:node-1,O=system:nodes"


async def test_a_certificate_of_another_authority_is_refused(pki: Pki, tmp_path: Path) -> None:
    stranger = prepare(tmp_path / "other", node="node-1", now=NOW)
    served = []
    server = await asyncio.start_server(lambda r, w: served.append(w), "127.0.0.1", 0, ssl=server_context(pki))
    async with server:
        port = server.sockets[0].getsockname()[1]
        context = client_context(pki, stranger.admin)
        with contextlib.suppress(OSError):  # TLS 1.3 tells the client late, or just hangs up
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
            await reader.read()
            writer.close()
    assert served == []


def test_nobody_else_may_read_the_keys(pki: Pki) -> None:
    assert stat.S_IMODE(pki.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in pki.folder.iterdir()} == {0o600}


def test_a_second_start_makes_nothing_and_needs_no_cryptography(pki: Pki) -> None:
    before = {path.name: path.read_bytes() for path in pki.folder.iterdir()}
    program = (
        "import sys; from pathlib import Path; from datetime import datetime;"
        "from flowdeck.embedded.apiserver.pki import prepare;"
        f"prepare(Path({str(pki.folder)!r}), node='node-1', now=datetime.fromisoformat({NOW.isoformat()!r}),"
        "names=['10.96.0.9', 'deck.example']);"
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
    assert {path.name: path.read_bytes() for path in pki.folder.iterdir()} == before


def test_certificates_close_to_expiry_are_renewed_and_the_authority_stays(pki: Pki) -> None:
    before = {path.name: path.read_bytes() for path in pki.folder.iterdir()}
    prepare(pki.folder, node="node-1", now=NOW + timedelta(days=330), names=["10.96.0.9", "deck.example"])
    changed = {path.name for path in pki.folder.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"server.pem", "admin.pem", "node.pem", "kubelet.pem", "kubelet-client.pem"}


def test_a_new_name_renews_only_the_serving_certificates(pki: Pki) -> None:
    before = {path.name: path.read_bytes() for path in pki.folder.iterdir()}
    prepare(pki.folder, node="node-1", now=NOW, names=["10.96.0.9", "deck.example", "new.example"])
    changed = {path.name for path in pki.folder.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"server.pem", "kubelet.pem"}


def test_a_new_authority_renews_everything_but_the_token_key(pki: Pki) -> None:
    before = {path.name: path.read_bytes() for path in pki.folder.iterdir()}
    (pki.folder / "ca.pem").unlink()
    prepare(pki.folder, node="node-1", now=NOW, names=["10.96.0.9", "deck.example"])
    kept = {path.name for path in pki.folder.iterdir() if path.read_bytes() == before[path.name]}
    assert kept == {"service-account.pem"}


def test_the_kubeconfig_holds_everything_a_client_needs(pki: Pki, tmp_path: Path) -> None:
    import base64

    import yaml

    path = tmp_path / "kubeconfig"
    write_kubeconfig(path, server="https://127.0.0.1:6443", pki=pki, certificate=pki.admin)
    config = yaml.safe_load(path.read_text())
    user = config["users"][0]["user"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]) == pki.ca.read_bytes()
    assert b"CERTIFICATE" in base64.b64decode(user["client-certificate-data"])
    assert pki_module.split_pem(base64.b64decode(user["client-key-data"]).decode())[1]
