"""Makers for tests of built-in and custom kinds: an object shows only what matters to its case."""

from typing import Any

from flowdeck.kube.objects import Tree


def a_container(name: str = "main", **fields: Any) -> Tree:
    return {"name": name, "image": "image:1", **fields}


def a_pod(*containers: Tree, name: str = "pod", **spec: Any) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": list(containers) or [a_container()], **spec},
    }


def a_template(*containers: Tree, labels: Tree | None = None, **spec: Any) -> Tree:
    return {
        "metadata": {"labels": labels if labels is not None else {"app": "x"}},
        "spec": {"containers": list(containers) or [a_container()], **spec},
    }


def a_deployment(name: str = "web", *, template: Tree | None = None, **spec: Any) -> Tree:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template or a_template(), **spec},
    }


def a_job(name: str = "job", *, template: Tree | None = None, **spec: Any) -> Tree:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"template": template or a_template(labels={}, restartPolicy="Never"), **spec},
    }


def a_service(name: str = "web", **spec: Any) -> Tree:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": 80}], **spec},
    }


def a_definition(
    plural: str = "foos", *, group: str = "example.com", schema: Tree | None = None, **version: Any
) -> Tree:
    kind = plural.removesuffix("s").capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema or {"type": "object"}},
                    **version,
                }
            ],
        },
    }
