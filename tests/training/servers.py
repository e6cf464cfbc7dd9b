"""Pods that serve what initializers fetch: an S3 server (moto), and a hub that speaks Hugging Face's API."""

from flowdeck.kube.objects import Tree
from tests.training.jobs import PROGRAMS

KEYS = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret"}
PORT = 8480


def a_server(name: str, image: str) -> tuple[Tree, Tree]:
    """Pod and Service that run `programs/<name>_server.py` on `PORT`."""
    meta = {"name": name, "namespace": "default", "labels": {"app": name}}
    container = {
        "name": "main",
        "image": image,
        "command": ["python", "-c", (PROGRAMS / f"{name}_server.py").read_text()],
        "env": [
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "PORT", "value": str(PORT)},
            {"name": "S3_IGNORE_SUBDOMAIN_BUCKETNAME", "value": "true"},
        ],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}
    spec = {"selector": {"app": name}, "ports": [{"port": PORT}]}
    return pod, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
