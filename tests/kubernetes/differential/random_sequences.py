"""Sequences of requests by chance: every verb, patch type and option over a handful of kinds, from a seed."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from flowdeck.kube.objects import Tree
from tests.kubernetes.differential.random_objects import FOO_SCHEMA, KINDS, NAMES, an_object_of, word
from tests.kubernetes.differential.scenario import (
    Scenario,
    Step,
    apply,
    create,
    delete,
    events,
    get,
    json_patch,
    merge,
    scenario,
    strategic,
    table,
    update,
    watch,
)
from tests.kubernetes.differential.scenes import FOOS, served

LENGTH = 40
"""Steps of one sequence: each has a namespace of its own, and is short enough to be understood."""
_SELECTORS = ("a=x", "a!=x", "a in (x,y)", "!b", "a,b", "c notin (z)")


def sequences(seed: int, steps: int) -> Sequence[Scenario]:
    """As many steps as wanted, cut into sequences; the same seed gives the same ones."""
    return [_sequence(Random(f"{seed}-{at}"), f"random/{seed}-{at}") for at in range(-(-steps // LENGTH))]


def _sequence(chance: Random, name: str) -> Scenario:
    paths = chance.sample(list(KINDS), 2)
    scene = [step.unseen() for step in served(FOO_SCHEMA)] if FOOS in paths else []
    steps: list[Step] = []
    while len(steps) < LENGTH:
        steps += _next(chance, chance.choice(paths), steps)
    return scenario(name, scene, steps)


def _next(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    makers: dict[Callable[[Random, str, Sequence[Step]], Sequence[Step]], int] = {
        _create: 20,
        _update: 12,
        _merge: 10,
        _strategic: 10,
        _json: 10,
        _apply: 20,
        _delete: 8,
        _delete_many: 2,
        _get: 5,
        _list: 8,
        _watch: 1,
    }
    (make,) = chance.choices(list(makers), list(makers.values()))
    return make(chance, path, before)


def _one(chance: Random, path: str) -> str:
    return f"{path}/{chance.choice(NAMES)}"


def _options(chance: Random, path: str) -> dict[str, Any]:
    """How it is written. Services are not tried dry: the address that is shown then is nobody's."""
    found: dict[str, Any] = {}
    if chance.random() < 0.1 and path != "services":
        found["dryRun"] = "All"
    if chance.random() < 0.2:
        found["fieldManager"] = chance.choice(("m", "n"))
    if chance.random() < 0.2:
        found["fieldValidation"] = chance.choice(("Strict", "Warn", "Ignore"))
    return found


def _revision(chance: Random, before: Sequence[Step]) -> str | None:
    """The revision of an earlier answer, which may be old."""
    labels = [step.label for step in before if step.label.startswith("r")]
    return f"{{{chance.choice(labels[-4:])}:metadata.resourceVersion}}" if labels else None


def _kept(step: Any, before: Sequence[Step]) -> Sequence[Step]:
    return (step.kept(f"r{len(before)}"),)


def _create(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    obj = an_object_of(chance, path, chance.choice(NAMES))
    return _kept(create(path, obj, **_options(chance, path)), before)


def _update(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    name = chance.choice(NAMES)
    obj = an_object_of(chance, path, name)
    if chance.random() < 0.3 and (revision := _revision(chance, before)):
        obj["metadata"]["resourceVersion"] = revision
    return _kept(update(f"{path}/{name}", obj, **_options(chance, path)), before)


def _patch(chance: Random, path: str) -> Tree:
    """A part of an object, some of it to be taken away."""
    obj = an_object_of(chance, path, "a")
    obj["metadata"].pop("name")
    found: Tree = _thinned(chance, {name: obj[name] for name in obj if name not in ("apiVersion", "kind")})
    return found


def _thinned(chance: Random, value: Any) -> Any:
    if not isinstance(value, dict):
        return value if chance.random() < 0.9 else None
    return {name: _thinned(chance, item) for name, item in value.items() if chance.random() < 0.7}


def _merge(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    return _kept(merge(_one(chance, path), _patch(chance, path), **_options(chance, path)), before)


def _strategic(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    patch = _patch(chance, path)
    spec = patch.get("spec")
    if isinstance(spec, dict) and chance.random() < 0.2:
        for name, key in (("ports", "port"), ("containers", "name")):
            if isinstance(spec.get(name), list) and spec[name]:
                spec[name][0] = {key: spec[name][0].get(key), "$patch": "delete"}
    return _kept(strategic(_one(chance, path), patch, **_options(chance, path)), before)


def _pointers(value: Any, above: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        inner = [(f"{above}/{name}", item) for name, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{above}/{at}", item) for at, item in enumerate(value)]
    else:
        return []
    return inner + [found for pointer, item in inner for found in _pointers(item, pointer)]


def _json(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    obj = an_object_of(chance, path, "a")
    obj["metadata"].pop("name")
    places = [place for place in _pointers(obj) if place[0] not in ("/apiVersion", "/kind", "/metadata")]
    if not places:
        return ()
    operations: list[Any] = []
    for _ in range(chance.randint(1, 2)):
        pointer, value = chance.choice(places)
        # of the same type: patches that break types are scenarios, and told in many ways
        other = chance.choice([place for place, its in places if type(its) is type(value)])
        if isinstance(value, dict | list):
            other = pointer
        operations.append(
            chance.choice(
                [
                    ("add", pointer, value),
                    ("replace", pointer, value),
                    ("remove", pointer),
                    ("test", pointer, value),
                    ("copy", pointer, other),
                    ("move", pointer, other),
                ]
            )
        )
    return _kept(json_patch(_one(chance, path), *operations, **_options(chance, path)), before)


def _apply(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    name = chance.choice(NAMES)
    obj = an_object_of(chance, path, name)
    options: dict[str, Any] = {"force": "true"} if chance.random() < 0.3 else {}
    if chance.random() < 0.1 and path != "services":
        options["dryRun"] = "All"
    return _kept(apply(f"{path}/{name}", obj, chance.choice(("m", "n", "differential")), **options), before)


def _delete(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    options: Tree = {}
    if chance.random() < 0.4:
        options["propagationPolicy"] = chance.choice(("Background", "Foreground", "Orphan"))
    if chance.random() < 0.2:
        options["gracePeriodSeconds"] = chance.choice((0, 5))
    if chance.random() < 0.2 and (revision := _revision(chance, before)):
        options["preconditions"] = {"resourceVersion": revision}
    if chance.random() < 0.1:
        options["dryRun"] = ["All"]
    return (delete(_one(chance, path), options or None),)


def _delete_many(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    return (delete(path, labelSelector=chance.choice(_SELECTORS)),)


def _get(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    return (chance.choice((get, table))(_one(chance, path)),)


def _list(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    query: dict[str, Any] = {}
    if chance.random() < 0.5:
        query["labelSelector"] = chance.choice(_SELECTORS)
    if chance.random() < 0.2:
        query["fieldSelector"] = f"metadata.name{chance.choice(('=', '!='))}{chance.choice(NAMES)}"
    if chance.random() < 0.4:
        query["limit"] = chance.randint(1, 2)
    step = chance.choice((get, get, table))(path, **query)
    label = f"l{len(before)}"
    if "limit" in query and chance.random() < 0.5:
        return step.kept(label), get(path, **{**query, "continue_": f"{{{label}:metadata.continue}}"})
    return (step,)


def _watch(chance: Random, path: str, before: Sequence[Step]) -> Sequence[Step]:
    """What happened since an earlier answer; the server ends it after a second."""
    label = f"w{len(before)}"
    query: dict[str, Any] = {"timeoutSeconds": 1}
    if revision := _revision(chance, before):
        query["resourceVersion"] = revision
    if chance.random() < 0.3:
        query["labelSelector"] = f"a={word(chance)}"
    return watch(path, label, **query), events(0, label)
