"""Our node in a real cluster: what its administrator, the scheduler and kubectl see of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flowdeck.kube.kinds import LEASE, NODE
from flowdeck.kube.objects import ObjectKey
from tests.kubectl.kubectl import Kubectl
from tests.kubernetes.joined_node import joined
from tests.kubernetes.rig.control_plane import RealCluster

NAME = "node-a"
TOLERATION = {"key": "flowdeck.dev/sandbox", "operator": "Exists"}


@pytest.fixture(scope="module")
def log(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The node joins, with a taint and the rights of a kubelet and a kube-proxy, and no more."""
    with joined(real_cluster, NAME, tmp_path_factory.mktemp("joined")) as log:
        yield log
    assert "Traceback" not in log.read_text()


@pytest.fixture
def kubectl(real_cluster: RealCluster, log: Path, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:60].strip("-")
    kubectl = Kubectl(real_cluster.kubeconfig, name, real_cluster.env)
    kubectl(f"create namespace {name}")
    yield kubectl
    kubectl(f"delete namespace {name} --wait=false")


def a_pod(name: str, *command: str, tolerates: bool = True) -> dict[str, object]:
    spec: dict[str, object] = {
        "containers": [{"name": "main", "image": "busybox", "command": list(command)}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
    }
    if tolerates:
        spec["tolerations"] = [TOLERATION]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def test_the_cluster_sees_a_node_with_a_lease_its_capacity_and_a_taint(
    real_cluster: RealCluster, log: Path
) -> None:
    async with real_cluster.client() as client:
        node = await client.get(NODE, ObjectKey("", NAME))
        lease = await client.get(LEASE, ObjectKey("kube-node-lease", NAME))
    ready = {each["type"]: each["status"] for each in node["status"]["conditions"]}
    assert ready == {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    assert node["status"]["capacity"]["cpu"] == str(os.cpu_count())
    assert node["status"]["addresses"][0] == {"type": "InternalIP", "address": "127.0.0.1"}
    taint = {"key": "flowdeck.dev/sandbox", "value": "auto", "effect": "NoSchedule"}
    assert taint in node["spec"]["taints"]
    assert lease["spec"]["holderIdentity"] == NAME
    assert lease["metadata"]["ownerReferences"][0]["name"] == NAME


def test_only_pods_come_that_tolerate_the_taint(kubectl: Kubectl) -> None:
    kubectl.apply(a_pod("guest", "sleep", "1000"), a_pod("stranger", "sleep", "1000", tolerates=False))
    kubectl("wait --for=condition=Ready pod/guest --timeout=60s")
    kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "pod/stranger", "--timeout=60s")
    assert kubectl("get pod guest -o", "jsonpath={.spec.nodeName}") == NAME
    assert "untolerated taint" in kubectl("get events --field-selector involvedObject.name=stranger")


def test_a_job_of_the_clusters_own_controller_completes(kubectl: Kubectl) -> None:
    pod = a_pod("unused", "sh", "-c", "echo done by $HOSTNAME")["spec"]
    spec = {"completions": 3, "parallelism": 3, "template": {"spec": pod}}
    kubectl.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": spec})
    kubectl("wait --for=condition=Complete job/job --timeout=60s")
    assert kubectl("logs -l job-name=job").count("done by job-") == 3


def test_logs_exec_attach_and_port_forward_go_through_the_real_api_server(kubectl: Kubectl) -> None:
    kubectl.apply(a_pod("talker", "sh", "-c", "echo started; sleep 1000"))
    kubectl("wait --for=condition=Ready pod/talker --timeout=60s")
    assert kubectl("logs talker") == "started\n"
    assert kubectl("exec -i talker -- cat", stdin="to and fro\n") == "to and fro\n"
    assert kubectl.run("exec talker -- sh -c", "exit 7").returncode == 7
    with kubectl.on_terminal("exec -it talker -- sh") as terminal:
        terminal.type("stty size; exit 3\n")
        terminal.expect("24 80")
        assert terminal.code() == 3
    server = a_pod("server", "python3", "-m", "http.server", "8000")
    server["spec"]["containers"][0]["image"] = "python"  # type: ignore[index]
    kubectl.apply(server)
    kubectl("wait --for=condition=Ready pod/server --timeout=60s")
    kubectl("exec talker -- sh -c", UNTIL_UP.format(kubectl("get pod server -o", "jsonpath={.status.podIP}")))
    with kubectl.started("port-forward server :8000") as forwarding:
        port = re.search(r"127.0.0.1:(\d+) -> 8000", forwarding.stdout.readline()).group(1)  # type: ignore[union-attr]
        assert "Directory listing" in httpx.get(f"http://127.0.0.1:{port}/").text


UNTIL_UP = "for i in $(seq 100); do curl -s http://{0}:8000/ >/dev/null && exit 0; sleep 0.1; done; exit 1"
"""A loop of the pod's own: the server's container is ready before the program in it listens."""


WHO_AM_I = """
cat /etc/settings/color /etc/keys/pass; echo
cd /var/run/secrets/kubernetes.io/serviceaccount
curl -s --cacert ca.crt -H "Authorization: Bearer $(cat token)" -H "Content-Type: application/json" \\
  -d '{"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}' \\
  https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews
"""


def test_pods_get_configuration_and_a_token_that_the_cluster_takes(kubectl: Kubectl) -> None:
    kubectl("create configmap settings --from-literal=color=blue")
    kubectl("create secret generic keys --from-literal=pass=word")
    pod = a_pod("reader", "sh", "-c", WHO_AM_I)
    spec = pod["spec"]
    assert isinstance(spec, dict)
    configured = {"name": "s", "configMap": {"name": "settings"}}
    spec["volumes"] = [configured, {"name": "k", "secret": {"secretName": "keys"}}]
    mounts = [{"name": "s", "mountPath": "/etc/settings"}, {"name": "k", "mountPath": "/etc/keys"}]
    spec["containers"][0]["volumeMounts"] = mounts
    kubectl.apply(pod)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/reader", "--timeout=60s")
    said = kubectl("logs reader")
    assert said.startswith("blueword\n")
    assert f'"username": "system:serviceaccount:{kubectl.namespace}:default"' in said


def test_pods_reach_services_by_name(kubectl: Kubectl) -> None:
    server = a_pod("server", "python3", "-m", "http.server", "8000")
    server["metadata"]["labels"] = {"app": "server"}  # type: ignore[index]
    server["spec"]["containers"][0]["image"] = "python"  # type: ignore[index]
    kubectl.apply(server, a_pod("client", "sleep", "1000"))
    kubectl("expose pod server --port 8000")
    kubectl("wait --for=condition=Ready pod/server pod/client --timeout=60s")
    kubectl("exec client -- sh -c", UNTIL_UP.format(f"server.{kubectl.namespace}.svc.cluster.local"))


async def test_usage_is_told_to_who_may_ask(real_cluster: RealCluster, kubectl: Kubectl) -> None:
    async with kubelet(kubectl, real_cluster.token) as client:
        assert (await client.get("/stats/summary")).json()["node"]["nodeName"] == NAME
        assert "node_cpu_usage_seconds_total" in (await client.get("/metrics/resource")).text


def kubelet(kubectl: Kubectl, token: str) -> httpx.AsyncClient:
    """The node's own API, asked past the API server (which leads nobody to nodes on loopback)."""
    port = kubectl.json(f"get node {NAME}")["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(verify=False, headers=headers, base_url=f"https://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("user", "code"),
    [
        pytest.param("admin", 200, id="the-administrator"),
        pytest.param("system:kube-scheduler", 403, id="somebody-without-the-right"),
        pytest.param("system:node:node-b", 403, id="another-node"),
        pytest.param(None, 401, id="somebody-with-a-wrong-token"),
        pytest.param("", 401, id="nobody"),
    ],
)
async def test_the_nodes_own_api_asks_the_cluster_who_may(
    real_cluster: RealCluster, kubectl: Kubectl, user: str | None, code: int
) -> None:
    token = "wrong" if user is None else real_cluster.tokens.get(user, "")
    async with kubelet(kubectl, token) as client:
        answer = await client.get("/pods")
    assert answer.status_code == code, answer.text


def test_pods_outlive_the_node_process(real_cluster: RealCluster, tmp_path: Path, kubectl: Kubectl) -> None:
    data = tmp_path / "second"
    with joined(real_cluster, "node-b", data, "--no-taint"):
        kubectl.apply(a_pod("patient", "sh", "-c", "sleep 3; echo survived", tolerates=False))
        kubectl("wait --for=condition=Ready pod/patient --timeout=60s")
        real_cluster.processes.kill("node-b")
        with joined(real_cluster, "node-b", data, "--no-taint"):
            kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/patient", "--timeout=60s")
            assert kubectl("logs patient") == "survived\n"
