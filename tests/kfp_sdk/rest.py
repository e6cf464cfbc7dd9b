"""The REST surface of pipelines as its users reach it: embedded through the API server's proxy, as the kubeconfig's
user; on a cluster through `kubectl port-forward`, with the token of an account that may use it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flowdeck.client.kubeconfig import load_kubeconfig
from flowdeck.cluster.names import NAMESPACE as OPERATOR_NAMESPACE
from flowdeck.components.pipelines.settings import AUDIENCE, NAMESPACE, SERVICE, SERVICE_PORT
from flowdeck.kube.objects import Tree
from flowdeck.kube.yaml_text import load_all
from flowdeck.testing.platform import RunningPlatform
from tests.kubectl.kubectl import Kubectl, expect_line
from tests.kubernetes.rig.control_plane import RealCluster

PROXY = f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}:http/proxy"
FINISHED = ("SUCCEEDED", "FAILED")
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Rest:
    """Requests to `/apis/v2beta1`. What is no good answer fails the test, but for `http` itself."""

    http: httpx.Client

    def get(self, path: str, **params: Any) -> Tree:
        return _good(self.http.get(f"/apis/v2beta1/{path}", params=params))

    def post(self, path: str, body: Tree | None = None) -> Tree:
        return _good(self.http.post(f"/apis/v2beta1/{path}", json=body or {}))

    def delete(self, path: str, **params: Any) -> Tree:
        return _good(self.http.delete(f"/apis/v2beta1/{path}", params=params))

    def upload(self, path: Path, name: str) -> httpx.Response:
        """Whatever the answer is."""
        files = {"uploadfile": (path.name, path.read_bytes())}
        return self.http.post("/apis/v2beta1/pipelines/upload", params={"name": name}, files=files)

    def start(self, document: Tree, parameters: Mapping[str, Any] = {}, **more: Any) -> str:
        """Starts a run of a document; gives its id."""
        name = (document.get("pipeline_spec") or document)["pipelineInfo"]["name"]
        config = {"parameters": dict(parameters)}
        run = {"display_name": f"run of {name}", "pipeline_spec": document, "runtime_config": config, **more}
        return str(self.post("runs", run)["run_id"])

    def finished(self, run_id: str) -> Tree:
        """The run, when it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while (run := self.get(f"runs/{run_id}", view="FULL"))["state"] not in FINISHED:
            assert time.monotonic() < deadline, f"run {run_id} has not ended: {run}"
            time.sleep(0.05)
        return run


def document_in(path: Path) -> Tree:
    """A compiled pipeline as `pipeline_spec` of the API."""
    spec, *platform = [part for part in load_all(path.read_text()) if part]
    return {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec


@contextmanager
def rest_on(cluster: RealCluster) -> Iterator[Rest]:
    """Of the platform that is installed on a cluster."""
    kubectl = Kubectl(cluster.kubeconfig, NAMESPACE, cluster.env)
    kubectl("create serviceaccount tester")
    kubectl(f"create rolebinding tester --clusterrole=kubeflow-pipelines-edit --serviceaccount={NAMESPACE}:tester")
    token = kubectl(f"create token tester --audience {AUDIENCE} --duration 10h")
    forward = f"port-forward --namespace {OPERATOR_NAMESPACE} service/{SERVICE} :{SERVICE_PORT}"
    with kubectl.started(forward) as process:
        address = expect_line(process.stdout, "Forwarding from 127.0.0.1").split()[2]
        with httpx.Client(base_url=f"http://{address}", headers=authorized(token), timeout=60) as http:
            yield Rest(http)


def authorized(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.strip()}"}


@contextmanager
def rest_of(platform: RunningPlatform) -> Iterator[Rest]:
    config = load_kubeconfig(platform.kubeconfig)
    context = config.ssl_context()
    assert context is not None
    with httpx.Client(base_url=config.server + PROXY, verify=context, timeout=60) as http:
        yield Rest(http)


def _good(answer: httpx.Response) -> Tree:
    assert answer.status_code == 200, f"{answer.request.method} {answer.request.url}: {answer.text}"
    tree: Tree = answer.json()
    return tree
