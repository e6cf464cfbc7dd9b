"""What the resolver of a pod answers, and what stands in the pod's resolv.conf."""

import socket
import struct

import pytest

from flowdeck.embedded.node.network import dns
from flowdeck.embedded.node.network.addresses import Addresses
from flowdeck.embedded.node.network.names import Verdict, look_up
from flowdeck.embedded.node.network.resolv_conf import resolv_conf
from flowdeck.embedded.node.network.resolver import Resolver
from flowdeck.embedded.node.network.services import Services
from tests.embedded.node.network.makers import a_pod, a_service, a_slice


def some_services() -> Services:
    services = Services()
    services.put_service(a_service("web", "10.96.0.20"))
    services.put_service(a_service("db"))
    services.put_slice(a_slice("db", "db-0@10.1.0.5", "10.1.0.6"))
    services.put_service(a_service("empty"))
    services.put_service(a_service("job", publishNotReadyAddresses=True, selector={"a": "b"}))
    services.put_pod(a_pod("p", hostname="n-0", subdomain="job"), "10.1.0.7")
    services.put_service(a_service("far", "", type="ExternalName", externalName="example.org."))
    return services


@pytest.mark.parametrize(
    ("name", "verdict", "addresses"),
    [
        ("web.default.svc.cluster.local", Verdict.FOUND, ("10.96.0.20",)),
        ("db.default.svc.cluster.local", Verdict.FOUND, ("10.1.0.5", "10.1.0.6")),
        ("db-0.db.default.svc.cluster.local", Verdict.FOUND, ("10.1.0.5",)),
        ("10-1-0-6.db.default.svc.cluster.local", Verdict.FOUND, ("10.1.0.6",)),
        ("n-0.job.default.svc.cluster.local", Verdict.FOUND, ("10.1.0.7",)),
        ("n-1.job.default.svc.cluster.local", Verdict.NOT_YET, ()),
        ("x.web.default.svc.cluster.local", Verdict.MISSING, ()),
        ("web.other.svc.cluster.local", Verdict.MISSING, ()),
        ("empty.default.svc.cluster.local", Verdict.MISSING, ()),
        ("10-1-0-7.default.pod.cluster.local", Verdict.FOUND, ("10.1.0.7",)),
        ("10-1-0-777.default.pod.cluster.local", Verdict.MISSING, ()),
        ("cluster.local", Verdict.FOUND, ()),
        ("foo.cluster.local", Verdict.MISSING, ()),
        ("example.com", Verdict.OUTSIDE, ()),
        ("web", Verdict.OUTSIDE, ()),
    ],
)
def test_a_name_leads_where_kubernetes_says(name: str, verdict: Verdict, addresses: tuple[str, ...]) -> None:
    found = look_up(name, some_services(), "cluster.local")
    assert (found.verdict, found.addresses) == (verdict, addresses)


def test_ports_are_found_by_name() -> None:
    found = look_up("_http._tcp.db.default.svc.cluster.local", some_services(), "cluster.local")
    assert [(each.port, each.target.partition(".")[0]) for each in found.services] == [(80, "db-0"), (80, "10-1-0-6")]
    assert look_up("_x._tcp.web.default.svc.cluster.local", some_services(), "cluster.local").verdict is Verdict.MISSING


def test_addresses_are_found_backwards() -> None:
    services = some_services()
    assert look_up("7.0.1.10.in-addr.arpa", services, "cluster.local").pointer == "n-0.job.default.svc.cluster.local"
    assert look_up("20.0.96.10.in-addr.arpa", services, "cluster.local").pointer == "web.default.svc.cluster.local"


def a_question(name: str, kind: int = dns.A) -> bytes:
    return struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + dns.encode_name(name) + struct.pack("!HH", kind, 1)


async def test_an_answer_carries_the_question_and_the_address() -> None:
    resolver = Resolver(some_services(), "cluster.local", [])
    told = await resolver.answer(a_question("WEB.default.svc.cluster.local"))
    assert told is not None
    number, flags, _, answers, *_ = struct.unpack_from("!HHHHHH", told)
    assert (number, flags & 0x8000, flags & 0xF, answers) == (77, 0x8000, 0, 1)
    assert told.endswith(socket.inet_aton("10.96.0.20"))


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("web.default.svc.cluster.local", dns.AAAA, dns.NO_ERROR),
        ("nobody.default.svc.cluster.local", dns.A, dns.NAME_ERROR),
        ("example.com", dns.A, dns.NAME_ERROR),
    ],
)
async def test_what_is_not_there_is_told(name: str, kind: int, code: int) -> None:
    told = await Resolver(some_services(), "cluster.local", []).answer(a_question(name, kind))
    assert told is not None
    assert struct.unpack_from("!HHHH", told)[1] & 0xF == code
    assert struct.unpack_from("!HHHH", told)[3] == 0


@pytest.mark.parametrize("raw", [b"", b"x" * 11, a_question("a")[:-3], bytes(12) + b"\xff" * 9, a_question("a" * 70)])
async def test_garbage_is_not_answered(raw: bytes) -> None:
    assert await Resolver(some_services(), "cluster.local", []).answer(raw) is None


async def test_an_answer_that_is_too_long_for_udp_says_so() -> None:
    services = some_services()
    services.put_slice(a_slice("db", *[f"10.1.{i}.{j}" for i in range(4) for j in range(1, 60)]))
    resolver = Resolver(services, "cluster.local", [])
    told = await resolver.answer(a_question("db.default.svc.cluster.local"), limit=1232)
    assert told is not None
    assert struct.unpack_from("!HH", told)[1] & 0x0200
    whole = await resolver.answer(a_question("db.default.svc.cluster.local"))
    assert whole is not None
    assert struct.unpack_from("!HHHH", whole)[3] == 4 * 59


_MACHINE = "search corp.example\nnameserver 1.1.1.1\noptions timeout:1\n"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {},
            "search default.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
            "nameserver 10.0.0.1\noptions ndots:5\n",
        ),
        ({"dnsPolicy": "Default"}, "search corp.example\nnameserver 1.1.1.1\noptions timeout:1\n"),
        (
            {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"], "options": [{"name": "edns0"}]}},
            "nameserver 9.9.9.9\noptions edns0\n",
        ),
        (
            {"dnsConfig": {"searches": ["more"], "options": [{"name": "ndots", "value": "2"}]}},
            "search default.svc.cluster.local svc.cluster.local cluster.local corp.example more\n"
            "nameserver 10.0.0.1\noptions ndots:2\n",
        ),
    ],
)
def test_resolv_conf_follows_the_pods_policy(spec: dict, expected: str) -> None:
    assert resolv_conf(a_pod("p", **spec), name_server="10.0.0.1", domain="cluster.local", machine=_MACHINE) == expected


def test_a_subnet_avoids_what_the_machine_uses_and_is_kept(tmp_path) -> None:
    first = Addresses(tmp_path / "a.json", taken=[])
    first.take("one")
    other = Addresses(tmp_path / "b.json", taken=[first.subnet.network])
    assert not other.subnet.network.overlaps(first.subnet.network)
    again = Addresses(tmp_path / "a.json", taken=[first.subnet.network])
    assert again.subnet == first.subnet
    assert again.take("one") == first.take("one")
    assert again.take("two") != again.take("one")
