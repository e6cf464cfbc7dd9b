"""The serving certificate and its authority are renewed in time, and never trusted too late."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowdeck.certificates import expiry, read_certificate, split_all
from flowdeck.cluster.certificates import CA_LIFE, CHECK_S, LEAF_LIFE, Certificates, renewed
from flowdeck.cluster.names import CERTIFICATES
from flowdeck.kube.kinds import NAMESPACE, SECRET
from tests.world.world import World

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["flowdeck.kubeflow-system.svc"]
DAY = timedelta(days=1)


def test_the_first_look_makes_an_authority_and_a_certificate() -> None:
    made = renewed({}, NAMES, now=START)
    leaf, (authority,) = read_certificate(made["tls.crt"]), split_all(made["ca.crt"])
    assert list(leaf.names) == NAMES
    assert leaf.authority_id == read_certificate(authority).key_id
    assert expiry(made["tls.crt"]) == START + LEAF_LIFE
    assert expiry(authority) == START + CA_LIFE


def test_while_nothing_is_due_nothing_changes() -> None:
    made = renewed({}, NAMES, now=START)
    assert renewed(made, NAMES, now=START + 59 * DAY) == made


def test_a_certificate_is_renewed_while_it_still_holds() -> None:
    made = renewed({}, NAMES, now=START)
    later = renewed(made, NAMES, now=START + 61 * DAY)
    assert later["ca.crt"] == made["ca.crt"]
    assert expiry(later["tls.crt"]) == START + 61 * DAY + LEAF_LIFE


def test_other_names_need_another_certificate() -> None:
    made = renewed({}, NAMES, now=START)
    later = renewed(made, [*NAMES, "other.svc", "10.0.0.1"], now=START)
    assert set(read_certificate(later["tls.crt"]).names) == {*NAMES, "other.svc", "10.0.0.1"}


def test_a_new_authority_is_trusted_for_an_hour_before_it_signs() -> None:
    end = START + CA_LIFE
    made = renewed({}, NAMES, now=START)
    made = renewed(made, NAMES, now=end - 366 * DAY)
    first = split_all(made["ca.crt"])[0]

    both = renewed(made, NAMES, now=end - 364 * DAY)
    assert split_all(both["ca.crt"])[1:] == [first]
    assert both["tls.crt"] == made["tls.crt"]

    signed = renewed(both, NAMES, now=end - 364 * DAY + timedelta(hours=2))
    assert signed["ca.crt"] == both["ca.crt"]
    newest = read_certificate(split_all(both["ca.crt"])[0])
    assert read_certificate(signed["tls.crt"]).authority_id == newest.key_id


def test_an_authority_that_has_ended_is_forgotten() -> None:
    made = renewed({}, NAMES, now=START)
    later = renewed(made, NAMES, now=START + CA_LIFE + DAY)
    assert split_all(made["ca.crt"])[0] not in split_all(later["ca.crt"])


async def with_namespace(world: World) -> None:
    await world.create({"apiVersion": "v1", "kind": NAMESPACE.kind, "metadata": {"name": CERTIFICATES.namespace}})


async def test_replicas_agree_on_one_secret_and_write_what_tls_reads(world: World, tmp_path: Path) -> None:
    await with_namespace(world)
    replicas = [Certificates(world.client, world.clock, NAMES, tmp_path / name) for name in "ab"]
    for replica in replicas:
        replica.folder.mkdir()
    waiting = [asyncio.create_task(replica.wait_ready()) for replica in replicas]
    while not all(task.done() for task in waiting):
        world.clock.advance(1)
        await asyncio.sleep(0.01)  # of real time: hours must not go by while keys are made and written
    assert replicas[0].authorities == replicas[1].authorities
    assert replicas[0].serving.read_text() == replicas[1].serving.read_text()
    assert replicas[0].serving.stat().st_mode & 0o077 == 0
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(replicas[0].serving)


async def test_a_deleted_secret_is_made_anew(world: World, tmp_path: Path) -> None:
    await with_namespace(world)
    certificates = Certificates(world.client, world.clock, NAMES, tmp_path)
    await certificates.wait_ready()
    before = certificates.serving.read_text()
    keeping = asyncio.create_task(certificates.keep())
    await world.client.delete(SECRET, CERTIFICATES)
    async with asyncio.timeout(20):
        while certificates.serving.read_text() == before:
            world.clock.advance(CHECK_S)
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert await world.client.find(SECRET, CERTIFICATES)
