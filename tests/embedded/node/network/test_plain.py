"""What programs in pods are told where they share the machine's network: names and ports that work there."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from flowdeck.embedded.node.network.plain import PlainNetwork
from flowdeck.embedded.node.network.settings import NetworkSettings
from flowdeck.kube.kinds import ENDPOINT_SLICE, SERVICE
from tests.embedded.node.network.conftest import Facts
from tests.embedded.node.network.makers import a_pod, a_service, a_slice


def a_network(folder: Path, facts: Facts) -> PlainNetwork:
    return PlainNetwork(NetworkSettings(folder=folder / "network", api_port=6444), facts)


def a_node(job: str, index: int, *, namespace: str = "default") -> dict:
    return a_pod(f"{job}-{namespace}-{index}", namespace=namespace, hostname=f"{job}-node-0-{index}", subdomain=job)


_TORCH = {"PET_MASTER_ADDR": "{job}-node-0-0.{job}", "PET_MASTER_PORT": "29500", "PET_NNODES": "2"}


def torch_env(job: str) -> dict[str, str]:
    return {name: value.format(job=job) for name, value in _TORCH.items()}


async def test_all_pods_of_a_job_are_told_the_same_free_port_and_two_jobs_never_the_same(tmp_path: Path) -> None:
    network = a_network(tmp_path, Facts())
    told = {}
    for job, namespace in (("a", "default"), ("b", "default"), ("a", "other")):
        nodes = [a_node(job, index, namespace=namespace) for index in (1, 0)]
        envs = [network.rewrite(node, torch_env(job), [])[0] for node in nodes]
        places = [await network.set_up(node) for node in nodes]
        assert envs[0]["PET_MASTER_PORT"] == envs[1]["PET_MASTER_PORT"]
        assert envs[0]["PET_MASTER_ADDR"] == places[1].ip
        told[job, namespace] = envs[0]["PET_MASTER_PORT"]
    assert len(set(told.values())) == 3
    assert "29500" not in told.values()
    again = a_network(tmp_path, Facts())
    assert again.rewrite(a_node("a", 1), torch_env("a"), [])[0]["PET_MASTER_PORT"] == told["a", "default"]


async def test_a_port_is_given_back_when_the_last_pod_of_the_job_is_gone(tmp_path: Path) -> None:
    network = a_network(tmp_path, Facts())
    nodes = [a_node("a", 0), a_node("a", 1)]
    for node in nodes:
        await network.set_up(node)
    port = network.rewrite(nodes[1], torch_env("a"), [])[0]["PET_MASTER_PORT"]
    await network.tear_down("uid-a-default-0")
    assert network.rewrite(nodes[1], torch_env("a"), [])[0]["PET_MASTER_PORT"] == port
    await network.tear_down("uid-a-default-1")
    assert network._loopback.names() == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-node-0-0.a:29500", "{host}:{port}"),
        ("--rdzv_endpoint=a-node-0-0.a:29500", "--rdzv_endpoint={host}:{port}"),
        ("tcp://a-node-0-0.a.default.svc.cluster.local:29500", "tcp://{host}:{port}"),
        ("a-node-0-0.a.default", "{host}"),
        ("web.default.svc:80", "127.0.0.1:{web}"),
        ("http://web/path", "http://127.0.0.1:{web}/path"),
        ("http://web.default.svc.cluster.local/x?y=1", "http://127.0.0.1:{web}/x?y=1"),
        ("https://kubernetes.default.svc", "https://127.0.0.1:6444"),
        ("http://a-node-0-0.a:8080/", "http://{host}:8080/"),
        ("the web is wide", "the web is wide"),
        ("/var/web:80", "/var/web:80"),
        ("example.com:80", "example.com:80"),
        ("nobody.default.svc:80", "nobody.default.svc:80"),
    ],
)
async def test_names_become_addresses_of_this_machine(tmp_path: Path, text: str, expected: str) -> None:
    facts = Facts()
    network = a_network(tmp_path, facts)
    facts.put(SERVICE, a_service("a"))
    facts.put(SERVICE, a_service("web", "10.96.0.20"))
    facts.put(SERVICE, a_service("kubernetes", "10.96.0.1", ports=[{"name": "https", "port": 443}]))
    place = await network.set_up(a_node("a", 0))
    _, (told,) = network.rewrite(a_node("a", 1), {}, [text])
    port = network._loopback.known_port("a-node-0-0.a.default", 29500)
    web = network._loopback.known_port("service default/web", 80)
    assert told == expected.format(host=place.ip, port=port, web=web)


async def test_a_pod_finds_the_api_server_and_services_by_variables(tmp_path: Path) -> None:
    facts = Facts()
    network = a_network(tmp_path, facts)
    facts.put(SERVICE, a_service("kubernetes", "10.96.0.1", ports=[{"name": "https", "port": 443}]))
    env, _ = network.rewrite(a_pod("x"), {}, [])
    assert (env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]) == ("127.0.0.1", "6444")


async def test_each_replica_of_a_v1_job_has_a_port_of_its_own(tmp_path: Path) -> None:
    facts = Facts()
    network = a_network(tmp_path, facts)
    pods = []
    for index in range(2):
        name = f"tf-worker-{index}"
        facts.put(SERVICE, a_service(name, selector={"i": str(index)}))
        pod = a_pod(name)
        pod["metadata"]["labels"] = {"i": str(index), "training.kubeflow.org/job-name": "tf"}
        pods.append(pod)
    ips = [(await network.set_up(pod)).ip for pod in pods]
    config = {"cluster": {"worker": [f"tf-worker-{i}.default.svc:2222" for i in range(2)]}}
    env, _ = network.rewrite(pods[0], {"TF_CONFIG": json.dumps(config)}, [])
    workers = json.loads(env["TF_CONFIG"])["cluster"]["worker"]
    assert [worker.partition(":")[0] for worker in workers] == ips
    assert len({worker.partition(":")[2] for worker in workers} - {"2222"}) == 2


async def test_a_service_is_served_on_the_machine(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.read(100))
        writer.close()

    facts = Facts()
    network = a_network(tmp_path, facts)
    pod = a_pod("server")
    place = await network.set_up(pod)
    server = await asyncio.start_server(answer, place.ip, 0)
    facts.put(SERVICE, a_service("web", "10.96.0.20"))
    facts.put(ENDPOINT_SLICE, a_slice("web", place.ip, port=server.sockets[0].getsockname()[1]))
    running = asyncio.create_task(network.run())
    await asyncio.sleep(0)
    env, _ = network.rewrite(a_pod("asker"), {"URL": "http://web:80"}, [])
    host, _, port = env["URL"].removeprefix("http://").partition(":")
    async with server:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"you")
        assert await reader.read() == b"hello you"
        writer.close()
        await writer.wait_closed()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
