"""Pods that show only what matters."""

from typing import Any

from flowdeck.kube.objects import Tree


def a_container(*command: str, name: str = "main", **fields: Any) -> Tree:
    return {"name": name, "image": "python:3.11", "command": list(command), **fields}


def a_pod(*command: str, name: str = "p", containers: list[Tree] | None = None, **spec: Any) -> Tree:
    """A pod that runs `command` once in its container `main`, or the containers that are given."""
    meta = {"name": name, "namespace": "default", "uid": "3a0f"}
    made = containers or [a_container(*command)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in meta.items() if key != "uid"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "containers": made,
            **spec,
        },
    }


def a_shell(script: str, **fields: Any) -> Tree:
    """A container that runs a script."""
    return a_container("sh", "-c", script, **fields)


def a_script(script: str, **fields: Any) -> Tree:
    """A pod that runs a script once."""
    return a_pod("sh", "-c", script, **fields)
