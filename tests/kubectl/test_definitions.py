"""Custom resource definitions of one's own."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.kubectl.kubectl import Kubectl, rows

Tree = dict[str, Any]


def definition() -> Tree:
    spec = {
        "type": "object",
        "description": "What is wanted.",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "description": "How big."},
            "colour": {"type": "string", "default": "blue"},
        },
        "x-kubernetes-validations": [{"rule": "self.size < 100", "message": "too big"}],
    }
    schema = {
        "type": "object",
        "properties": {"spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Colour", "type": "string", "jsonPath": ".spec.colour", "priority": 1},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "selectableFields": [{"jsonPath": ".spec.colour"}],
    }
    names = {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "shortNames": ["gd"], "categories": ["gear"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


def gadget(name: str = "one", **spec: Any) -> Tree:
    return {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(autouse=True)
def gadgets(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(definition())
    kubectl("wait --for=condition=Established crd/gadgets.example.com --timeout=30s")
    yield
    kubectl("delete crd gadgets.example.com")


def test_objects_are_listed_with_columns_of_their_own(kubectl: Kubectl) -> None:
    assert kubectl.apply(gadget(size=2)) == "gadget.example.com/one created\n"
    assert [row[:2] for row in rows(kubectl("get gd"))] == [["NAME", "SIZE"], ["one", "2"]]
    assert rows(kubectl("get gadgets -o wide"))[0] == ["NAME", "SIZE", "COLOUR", "AGE"]
    assert "gadget.example.com/one" in kubectl("get gear -o name")
    assert kubectl("get gd --field-selector=spec.colour=blue -o name") == "gadget.example.com/one\n"
    assert kubectl("get gd --field-selector=spec.colour=red -o name") == ""
    assert ["gadgets", "gd", "example.com/v1", "true", "Gadget"] in rows(
        kubectl("api-resources --api-group=example.com")
    )


def test_the_schema_is_explained_and_enforced(kubectl: Kubectl) -> None:
    explained = kubectl("explain gadget.spec")
    assert "What is wanted." in explained
    assert "size\t<integer> -required-\n    How big.\n" in explained
    assert 'Gadget in version "v1" cannot be handled as a Gadget: strict decoding error: unknown field "spec.nope"' in (
        kubectl.fails("apply -f -", stdin=yaml.safe_dump(gadget(size=1, nope=1)))
    )
    assert 'The Gadget "one" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than' in (
        kubectl.fails("apply -f -", stdin=yaml.safe_dump(gadget(size=0)))
    )
    assert "too big" in kubectl.fails("apply -f -", stdin=yaml.safe_dump(gadget(size=100)))


def test_subresources_patches_and_waiting(kubectl: Kubectl) -> None:
    kubectl.apply(gadget(size=2))
    assert kubectl("scale gadget one --replicas=5") == "gadget.example.com/one scaled\n"
    kubectl("patch gd one --type=merge --subresource=status -p", '{"status":{"size":4},"spec":{"size":9}}')
    assert kubectl("wait --for=jsonpath={.status.size}=4 gd/one") == "gadget.example.com/one condition met\n"
    assert kubectl("get gd one -o jsonpath={.spec.size}") == "5"
    assert "application/strategic-merge-patch+json" in kubectl.fails("patch gd one -p", '{"spec":{"size":4}}')
    kubectl("label gd one a=b")
    assert "Size:    5" in kubectl("describe gd one")
    kubectl.apply(gadget(size=3), options="--server-side --force-conflicts")
    assert kubectl("delete gd -l a=b") == 'gadget.example.com "one" deleted\n'
