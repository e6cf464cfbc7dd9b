"""Objects for the tests."""

from typing import Any

Tree = dict[str, Any]
FOREVER = ["sleep", "100000"]


def deployment(
    name: str = "web", *, replicas: int = 1, command: list[str] | None = None, image: str = "busybox"
) -> Tree:
    labels = {"app": name}
    container = {
        "name": "main",
        "image": image,
        "command": command or FOREVER,
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def config_map(name: str = "settings", **data: str) -> Tree:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def train_job(name: str = "train", *, command: list[str], nodes: int = 1) -> Tree:
    trainer = {"image": "busybox", "command": command, "numNodes": nodes}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer},
    }
