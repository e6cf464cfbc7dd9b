"""`cache://<schema>/<table>`: a distributed cache of a table, which training reads over Arrow Flight.

Creates, owned by the TrainJob: ServiceAccount `<job>-cache`, LeaderWorkerSet `<job>-cache` (a head and its workers) and
Service `<job>-cache-service`; then waits until the LeaderWorkerSet is available. Needs a cluster with LeaderWorkerSet
(`leaderworkerset.x-k8s.io/v1`) and a service account that may create these.

Source: kubeflow/trainer (pkg/initializers/dataset/cache.py)
"""

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowdeck.components.training.initializers.report import say
from flowdeck.components.training.initializers.settings import InitializerError, Source

Tree = dict[str, Any]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
FLIGHT_PORT = 50051
HEALTH_PORT = 8080
TIMEOUT_S = 30
WAIT_S = 3600
PAUSE_S = 5

_LWS = "leaderworkerset.x-k8s.io/v1"


@dataclass(frozen=True)
class Cluster:
    """The API server as a pod sees it."""

    url: str
    namespace: str
    account: Path = ACCOUNT

    def request(self, method: str, path: str, body: Tree | None = None) -> Tree:
        """One request; raises `InitializerError`, but for an object that is there already."""
        token = (self.account / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        tls = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=tls) as answer:
                tree: Tree = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 409:
                return {}
            raise InitializerError(f"{method} {path}: {_message(error)}") from error
        except urllib.error.URLError as error:
            raise InitializerError(f"{method} {path}: {error.reason}") from error
        return tree


def fetch(source: Source) -> None:
    """Brings the cache up and waits for it."""
    env = source.env
    cluster = _cluster(env)
    name = env.get("TRAIN_JOB_NAME", "")
    jobs = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{cluster.namespace}/trainjobs"
    if not name:
        raise InitializerError("TRAIN_JOB_NAME is not set: whose cache is it?")
    owner = cluster.request("GET", f"{jobs}/{name}")
    for collection, obj in cache_objects(source, owner):
        say(f"Creating {obj['kind']} {obj['metadata']['name']}")
        cluster.request("POST", collection, obj)
    _wait(cluster, f"/apis/{_LWS}/namespaces/{cluster.namespace}/leaderworkersets/{name}-cache")


def cache_objects(source: Source, owner: Tree) -> list[tuple[str, Tree]]:
    """`(collection's path, object)` of everything that the cache is made of."""
    job, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    metadata = {"namespace": namespace, "ownerReferences": [_owner_reference(owner)]}
    annotations = {"eks.amazonaws.com/role-arn": role} if (role := source.env.get("IAM_ROLE")) else {}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata | {"name": f"{job}-cache"} | ({"annotations": annotations} if annotations else {}),
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata | {"name": f"{job}-cache-service"},
        "spec": {
            "selector": {"leaderworkerset.sigs.k8s.io/name": f"{job}-cache", "role": "head"},
            "ports": [{"name": "flight", "port": FLIGHT_PORT, "targetPort": FLIGHT_PORT, "protocol": "TCP"}],
        },
    }
    workers = {
        "apiVersion": _LWS,
        "kind": "LeaderWorkerSet",
        "metadata": metadata | {"name": f"{job}-cache"},
        "spec": {"replicas": 1, "leaderWorkerTemplate": _template(source, job)},
    }
    return [
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", account),
        (f"/apis/{_LWS}/namespaces/{namespace}/leaderworkersets", workers),
        (f"/api/v1/namespaces/{namespace}/services", service),
    ]


def _template(source: Source, job: str) -> Tree:
    env = source.env
    return {
        "size": int(env.get("CLUSTER_SIZE") or 3),
        "leaderTemplate": {
            "metadata": {"labels": {"role": "head"}},
            "spec": _pod(source, job, "head", env.get("HEAD_CPU") or "1", env.get("HEAD_MEM") or "1Gi"),
        },
        "workerTemplate": {
            "spec": _pod(source, job, "worker", env.get("WORKER_CPU") or "2", env.get("WORKER_MEM") or "2Gi")
        },
    }


def _pod(source: Source, job: str, role: str, cpu: str, memory: str) -> Tree:
    schema, _, table = source.path.partition("/")
    if not schema or not table:
        raise InitializerError("the URI names no table: cache://<schema>/<table>")
    amounts = {"cpu": cpu, "memory": memory}
    container = {
        "name": role,
        "image": source.env.get("CACHE_IMAGE") or "ghcr.io/kubeflow/trainer/data-cache",
        "command": [role],
        "args": ["0.0.0.0", str(FLIGHT_PORT)],
        "env": [
            {"name": "METADATA_LOC", "value": source.env.get("METADATA_LOC", "")},
            {"name": "SCHEMA_NAME", "value": schema},
            {"name": "TABLE_NAME", "value": table},
        ],
        "ports": [{"containerPort": FLIGHT_PORT}],
        "resources": {"limits": amounts, "requests": amounts},
    }
    if role == "head":
        container["readinessProbe"] = {
            "httpGet": {"path": "/ready", "port": HEALTH_PORT},
            "initialDelaySeconds": int(source.env.get("READINESS_INITIAL_DELAY_SECONDS") or 10),
            "periodSeconds": int(source.env.get("READINESS_PERIOD_SECONDS") or 5),
            "timeoutSeconds": int(source.env.get("READINESS_TIMEOUT_SECONDS") or 5),
            "failureThreshold": int(source.env.get("READINESS_FAILURE_THRESHOLD") or 60),
        }
    return {"serviceAccountName": f"{job}-cache", "containers": [container]}


def _owner_reference(owner: Tree) -> Tree:
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _cluster(env: Mapping[str, str]) -> Cluster:
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not ACCOUNT.exists():
        raise InitializerError("cache:// works inside a cluster only: there is no service account here")
    shown = f"[{host}]" if ":" in host else host
    return Cluster(f"https://{shown}:{port}", (ACCOUNT / "namespace").read_text().strip())


def _wait(cluster: Cluster, path: str) -> None:
    for _ in range(WAIT_S // PAUSE_S):
        conditions = (cluster.request("GET", path).get("status") or {}).get("conditions") or []
        if any(item["type"] == "Available" and item["status"] == "True" for item in conditions):
            return
        time.sleep(PAUSE_S)
    raise InitializerError(f"the cache was not available within {WAIT_S} s")


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error).get("message") or error)
    except ValueError:
        return str(error)
