"""No object whose fields have the right types breaks a strategy or a printer, however odd it is."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from flowdeck.clock import FakeClock
from flowdeck.embedded.apiserver.builtin.addresses import ServiceAddresses
from flowdeck.embedded.apiserver.builtin.resources import builtin_resources
from flowdeck.embedded.apiserver.builtin.rules import Dependencies
from flowdeck.embedded.apiserver.contract import Resource, T
from flowdeck.embedded.apiserver.table import builtin_printer
from flowdeck.kube.errors import ApiError
from flowdeck.kube.objects import Kind, ObjectKey, Tree, copy_of
from flowdeck.kube.schema import Schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("", "a", "b", "http", "kubernetes.io/x", "A_B", "1.2.3.4")
QUANTITIES = ("1", "500m", "0", "-1", "2Gi")


class Nothing:
    """A store without objects."""

    def get(self, kind: Kind, key: ObjectKey) -> Tree | None:
        return None

    def list(self, kind: Kind, namespace: str = "") -> Sequence[Tree]:
        return ()

    def facts(self, kind: Kind, of: Callable[[Tree], T], namespace: str = "") -> Sequence[T]:
        return ()

    def revision(self, kind: Kind) -> int:
        return 0


def resources() -> Sequence[Resource]:
    dependencies = Dependencies(addresses=ServiceAddresses(Nothing()), storage=Nothing(), clock=FakeClock())
    found = builtin_resources(dependencies)
    return [resource for resource in found if "create" in resource.verbs]


def an_odd(schema: Schema | None, random: Random, depth: int = 0) -> Any:
    """Some value of the type that a schema tells."""
    if schema is None:
        return {}
    if schema.is_quantity:
        return random.choice(QUANTITIES)
    if schema.is_int_or_string:
        return random.choice([0, 1, "50%", "http"])
    match schema.type:
        case "object":
            return an_odd_object(schema, random, depth)
        case "array":
            count = 0 if depth > 7 else random.randint(0, 2)
            return [an_odd(schema.items, random, depth + 1) for _ in range(count)]
        case "string":
            return an_odd_text(schema, random)
        case "integer":
            return random.choice([0, 1, -1, 80, 70000])
        case "boolean":
            return random.random() < 0.5
        case "number":
            return 1.5
    return {}


def an_odd_object(schema: Schema, random: Random, depth: int) -> Tree:
    if depth > 7:
        return {}
    share = 0.5 if depth < 3 else 0.3
    names = [name for name in schema.tree.get("properties", ()) if name != "managedFields" and random.random() < share]
    found = {name: an_odd(schema.property(name), random, depth + 1) for name in names}
    if schema.values is not None:
        keys = random.sample(["a", "b/c", "A B", ""], random.randint(0, 2))
        found |= {key: an_odd(schema.values, random, depth + 1) for key in keys}
    return found


def an_odd_text(schema: Schema, random: Random) -> str:
    if schema.tree.get("enum") and random.random() < 0.7:
        return str(random.choice(schema.tree["enum"]))
    return {"date-time": "2026-01-01T00:00:00Z", "byte": "eA=="}.get(schema.format) or random.choice(WORDS)


def an_object(resource: Resource, random: Random) -> Tree:
    obj = an_odd_object(resource.schema, random, 0)
    obj["metadata"] = {**(obj.get("metadata") or {}), "name": "a", "uid": "u"}
    if resource.kind.namespaced:
        obj["metadata"]["namespace"] = "d"
    resource.schema.prune(obj)
    return obj


@pytest.mark.parametrize(
    "resource", resources(), ids=lambda resource: f"{resource.kind.resource}-{resource.kind.version}"
)
def test_odd_objects_are_taken_or_refused(resource: Resource) -> None:
    random = Random(7)
    strategy, printer = resource.strategy, builtin_printer(resource.kind)
    for _ in range(60):
        old, new = an_object(resource, random), an_object(resource, random)
        try:
            strategy.default(old)
            strategy.prepare_create(old)
            strategy.validate(old)
            strategy.default(new)
            strategy.prepare_update(new, old)
            strategy.validate_update(new, old)
        except ApiError:
            continue
        strategy.warnings(new, old)
        strategy.prepare_status(copy_of(new), old)
        assert len(printer.cells(new, NOW)) == len(printer.columns)
