"""Steps with which several themes begin: they make the scene, and are not compared."""

from collections.abc import Sequence

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.scenario import Step, create, until


def made(plural: str, obj: Tree) -> Sequence[Step]:
    """An object; a definition is served as well when the steps are over."""
    steps: list[Step] = [create(plural, obj).unseen()]
    if plural == "customresourcedefinitions":
        steps.append(until(f"{plural}/{obj['metadata']['name']}", "status.conditions.1.status", "True").unseen())
    return steps
