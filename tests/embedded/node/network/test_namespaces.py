"""What programs in pods see of the network: addresses, names, Services, each other; and that nothing is left behind."""

import asyncio
import os
import signal
from pathlib import Path

from flowdeck.embedded.node.network.switchboard import Switchboard
from flowdeck.kube.kinds import ENDPOINT_SLICE, SERVICE
from tests.embedded.node.network.conftest import World
from tests.embedded.node.network.makers import a_pod, a_service, a_slice

_LISTEN_ONCE = """
import socket
server = socket.create_server(("0.0.0.0", {port}))
print("listening", flush=True)
talk, peer = server.accept()
talk.sendall(b"hello " + talk.recv(100))
print(peer[0])
"""
_ASK = """
import socket
talk = socket.create_connection(("{host}", {port}), timeout=5)
talk.sendall(b"you")
print(talk.recv(100).decode())
"""
_RESOLVE = """
import socket
try:
    print(*sorted({{info[4][0] for info in socket.getaddrinfo("{name}", 80, socket.AF_INET)}}))
except socket.gaierror as error:
    print("gaierror")
"""


async def test_pods_have_addresses_of_their_own_and_reach_each_other(world: World) -> None:
    one, other = a_pod("one"), a_pod("other")
    first, second = await world.network.set_up(one), await world.network.set_up(other)
    assert first.ip != second.ip
    assert await world.network.set_up(one) == first
    serving = asyncio.create_task(world.inside(other, _LISTEN_ONCE.format(port=29500)))
    told = await _until_answered(world, one, second.ip, 29500)
    assert told == "hello you"
    assert first.ip in await serving


async def test_the_same_port_serves_in_two_pods_at_once(world: World) -> None:
    one, other = a_pod("one"), a_pod("other")
    ips = [(await world.network.set_up(pod)).ip for pod in (one, other)]
    serving = [asyncio.create_task(world.inside(pod, _LISTEN_ONCE.format(port=29500))) for pod in (one, other)]
    for ip in ips:
        assert await _until_answered(world, a_pod("asker"), ip, 29500) == "hello you"
    await asyncio.gather(*serving)


async def test_a_service_address_leads_to_its_pods(world: World) -> None:
    server = a_pod("server")
    place = await world.network.set_up(server)
    world.facts.put(SERVICE, a_service("web", "10.96.0.20"))
    world.facts.put(ENDPOINT_SLICE, a_slice("web", place.ip))
    serving = asyncio.create_task(world.inside(server, _LISTEN_ONCE.format(port=8080)))
    assert await _until_answered(world, a_pod("asker"), "web.default.svc.cluster.local", 80) == "hello you"
    await serving


async def test_a_service_without_pods_refuses_at_once(world: World) -> None:
    world.facts.put(SERVICE, a_service("empty", "10.96.0.21"))
    async with asyncio.timeout(5):
        told = await world.inside(a_pod("asker"), _ASK.format(host="10.96.0.21", port=80))
    assert "ConnectionRefusedError" in told or "ConnectionResetError" in told


async def test_the_kubernetes_service_leads_to_the_api_server_on_the_machine(world: World) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"api " + await reader.read(100))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    world.network._targets._api = ("127.0.0.1", server.sockets[0].getsockname()[1])
    https = [{"name": "https", "port": 443}]
    world.facts.put(SERVICE, a_service("kubernetes", "10.96.0.1", ports=https))
    async with server:
        told = await _until_answered(world, a_pod("asker"), "kubernetes.default.svc", 443)
    assert told == "api you"
    env, args = world.network.rewrite(a_pod("asker"), {"A": "1"}, ["x"])
    assert env["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert env["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert (env["A"], args) == ("1", ["x"])


async def test_the_world_outside_is_reached_through_the_machine(world: World) -> None:
    wanted: list[tuple[str, int]] = []

    async def dial(address: str, port: int):
        wanted.append((address, port))
        raise ConnectionRefusedError

    world.network._proxy._dial = dial
    await world.inside(a_pod("asker"), _ASK.format(host="192.0.2.7", port=80))
    assert wanted == [("192.0.2.7", 80)]


async def test_a_pod_is_found_by_hostname_as_soon_as_it_has_an_address(world: World) -> None:
    world.facts.put(SERVICE, a_service("job", publishNotReadyAddresses=True, selector={"j": "job"}))
    asking = asyncio.create_task(world.inside(a_pod("asker"), _RESOLVE.format(name="job-node-0-0.job")))
    node = await world.network.set_up(a_pod("node", hostname="job-node-0-0", subdomain="job"))
    assert await asking == node.ip
    full = _RESOLVE.format(name="job-node-0-0.job.default.svc.cluster.local")
    assert await world.inside(a_pod("asker"), full) == node.ip
    assert await world.inside(a_pod("asker"), _RESOLVE.format(name="nobody.default.svc.cluster.local")) == "gaierror"


async def test_the_network_outlives_the_node_process_and_the_switch_process(world: World) -> None:
    one, other = a_pod("one"), a_pod("other")
    first, second = await world.network.set_up(one), await world.network.set_up(other)
    board: Switchboard = world.network._board
    before = (await board.info()).pid
    again = world.another()
    assert (await again.set_up(one), await again.set_up(other)) == (first, second)
    if os.geteuid() == 0:
        os.kill(before, signal.SIGKILL)
        third = world.another()
        assert (await third.set_up(one)).ip == first.ip
        assert (await third._board.info()).pid != before
        serving = asyncio.create_task(world.inside(other, _LISTEN_ONCE.format(port=29500)))
        assert await _until_answered(world, one, second.ip, 29500) == "hello you"
        await serving


async def test_what_is_gone_leaves_nothing_behind(world: World) -> None:
    await world.network.set_up(a_pod("one"))
    await world.network.tear_down("uid-one")
    await world.network.tear_down("uid-one")
    assert (await world.network._board.info()).pods == {}
    await world.network.set_up(a_pod("two"))
    await world.another().forget_all_but([])
    assert (await world.network._board.info()).pods == {}
    uplink = world.network._board._plan.uplink
    assert (uplink in os.listdir("/sys/class/net")) == (os.geteuid() == 0)
    await world.network.remove()
    assert str(world.folder) not in _mounts()
    assert uplink not in os.listdir("/sys/class/net")


async def test_an_address_rests_before_it_is_used_again(world: World) -> None:
    first = await world.network.set_up(a_pod("one"))
    await world.network.tear_down("uid-one")
    assert (await world.network.set_up(a_pod("two"))).ip != first.ip


def _mounts() -> str:
    return Path("/proc/mounts").read_text()


async def _until_answered(world: World, pod: dict, host: str, port: int) -> str:
    async with asyncio.timeout(10):
        while True:
            told = await world.inside(pod, _ASK.format(host=host, port=port))
            if "Error" not in told:
                return told
