"""Steps with which several themes begin: they make the scene, and are not compared."""

from collections.abc import Sequence
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import definition
from tests.kubernetes.differential.scenario import Step, create, get, until, until_status


def made(plural: str, obj: Tree) -> Sequence[Step]:
    """An object; a definition is served as well when the steps are over."""
    steps: list[Step] = [create(plural, obj).unseen()]
    if plural == "customresourcedefinitions":
        steps.append(until(f"{plural}/{obj['metadata']['name']}", "status.conditions.1.status", "True").unseen())
    return steps


FOOS = "/apis/{ns}.example.com/v1/namespaces/{ns}/foos"
FOO_DEFINITION = "customresourcedefinitions/foos.{ns}.example.com"


def served(schema: Tree | None = None, **version: Any) -> Sequence[Step]:
    """`Foo` as `definition()` has it, and its objects can be asked for at `FOOS`."""
    return [
        create("customresourcedefinitions", definition(schema=schema, **version)),
        until(FOO_DEFINITION, "status.conditions.1.status", "True").unseen(),
        until_status(200, get(FOOS)).unseen(),
    ]
