"""The least object of every kind, through all verbs: what is filled in, whose fields are whose, what verbs answer."""

from collections.abc import Sequence

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.makers import smallest
from tests.kubernetes.differential.scenario import (
    Scenario,
    create,
    delete,
    get,
    merge,
    scenario,
    until,
    until_gone,
    update,
)


def _life(plural: str, obj: Tree) -> Scenario:
    one = f"{plural}/{obj['metadata']['name']}"
    ready = [until(one, "status.conditions.1.status", "True").unseen()] if plural == "customresourcedefinitions" else []
    return scenario(
        plural,
        create(plural, obj).kept("a"),
        ready,
        create(plural, obj),
        merge(one, {"metadata": {"annotations": {"noted": "yes"}}}),
        update(one, obj),
        get(one),
        merge(one, {"metadata": {"labels": {"bad key!": "x"}}}),
        delete(one),
        until_gone(one) if plural == "customresourcedefinitions" else get(one),
    )


SCENARIOS: Sequence[Scenario] = [_life(plural, obj) for plural, obj in smallest().items()]
