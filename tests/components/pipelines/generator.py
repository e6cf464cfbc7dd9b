"""Random pipelines: nested loops, conditions, branches, exit handlers, sub-pipelines, retries, optional inputs."""

import hashlib
import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

from flowdeck.kube.objects import Tree
from tests.components.pipelines.makers import (
    COMPLETED,
    Maker,
    artifact,
    artifact_of,
    constant,
    given,
    given_artifact,
    of,
    one_of,
    parameter,
    status_of,
    use,
    value_from,
)

INT, TEXT, LIST, STRUCT = "NUMBER_INTEGER", "STRING", "LIST", "STRUCT"
TYPES = (INT, INT, TEXT, LIST, STRUCT)
_ITERATION = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Known:
    """Something that an input may be taken from."""

    source: Tree
    type: str
    task: str = ""
    key: str = ""
    sure: bool = True
    """Whether there is always a value."""


@dataclass
class Scope:
    """What is known inside one dag."""

    values: list[Known] = field(default_factory=list)
    artifacts: list[Known] = field(default_factory=list)
    """`type` is LIST for lists of artifacts, else empty."""
    tasks: dict[str, Tree] = field(default_factory=dict)

    def of_type(self, *types: str) -> list[Known]:
        return [known for known in self.values if known.type in types]


class Generator:
    """Makes one document; what leaves give is a function of their inputs."""

    def __init__(self, seed: int, *, caching: bool = False) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.maker = Maker()
        self.caching = caching
        self.outputs: dict[str, dict[str, str]] = {}
        """Of leaves, by task name."""
        self.count = 0
        self.failure_rate = self.rng.choice([0.0, 0.05, 0.2])

    def document(self) -> Tree:
        scope = Scope()
        inputs = {}
        for name, kind in (("n", INT), ("xs", LIST), ("s", STRUCT), ("maybe", TEXT)):
            inputs[name] = parameter(kind, isOptional=True) if name == "maybe" else parameter(kind)
            scope.values.append(Known(given(name), kind, sure=name != "maybe"))
        self.fill(scope, depth=3, size=self.rng.randint(2, 5))
        return self.maker.document(scope.tasks, inputs)

    def parameters(self) -> Tree:
        return {"n": self.rng.randint(0, 2), "xs": [1, 2, 0][: self.rng.randint(0, 3)], "s": {"k": 1, "t": "x"}}

    def program(self, label: str, execution: int, inputs: dict[str, Any]) -> dict[str, Any] | str:
        """What a leaf does: the same for the same label, execution and inputs."""
        if self.failure_rate > _digest(self.seed, label, execution) % 1000 / 1000:
            return f"failed at execution {execution}"
        name = _ITERATION.sub("", label.rsplit(".", 1)[-1])
        number = _digest(name, json.dumps(inputs.get("parameterValues", {}), sort_keys=True))
        return {key: _value(kind, number) for key, kind in self.outputs[name].items()}

    # ---- tasks -------------------------------------------------------------------------------------------------

    def fill(self, scope: Scope, depth: int, size: int) -> None:
        """Adds tasks to a dag."""
        for _ in range(size):
            kinds = [self.leaf] * 5
            if depth > 0:
                kinds += [self.loop, self.loop, self.branches, self.exit_handler, self.condition, self.pipeline]
            self.rng.choice(kinds)(scope, depth - 1)

    def leaf(self, scope: Scope, depth: int) -> None:
        name = self.name("leaf")
        component, parameters, artifacts = self.container(name, scope)
        self.add(scope, name, use(component, parameters, artifacts=artifacts))

    def container(self, name: str, scope: Scope) -> tuple[str, Tree, Tree]:
        """A component that is a leaf, and the inputs of a use of it."""
        inputs: Tree = {}
        parameters: Tree = {}
        for at in range(self.rng.randint(0, 3)):
            declared, source = self.input(scope)
            inputs[f"in{at}"] = declared
            if source is not None:
                parameters[f"in{at}"] = source
        artifacts_in, artifacts = self.artifact_inputs(scope)
        outputs = {f"out{at}": self.rng.choice(TYPES) for at in range(self.rng.randint(0, 3))}
        artifacts_out = {"data": artifact()} if self.chance(0.3) else {}
        self.outputs[name] = outputs
        component = self.maker.leaf(name, inputs, outputs, artifacts_in=artifacts_in, artifacts_out=artifacts_out)
        return component, parameters, artifacts

    def input(self, scope: Scope) -> tuple[Tree, Tree | None]:
        """A declaration, and a source for it or none."""
        known = self.rng.choice(scope.values) if scope.values and self.chance(0.8) else None
        kind = known.type if known else self.rng.choice(TYPES)
        declared = parameter(TEXT if self.chance(0.3) else kind)
        if self.chance(0.03):
            declared = parameter(self.rng.choice(TYPES))
        sure = known is None or known.sure
        if self.chance(0.3 if sure else 0.8):
            declared["isOptional"] = True
        if self.chance(0.2 if sure else 0.5):
            declared["defaultValue"] = _value(declared["parameterType"], 7)
        if known is not None:
            return declared, known.source
        if self.chance(0.2) and ("isOptional" in declared or "defaultValue" in declared):
            return declared, None
        return declared, constant(_value(kind, self.rng.randint(0, 99)))

    def artifact_inputs(self, scope: Scope) -> tuple[Tree, Tree]:
        if not scope.artifacts or not self.chance(0.4):
            return {}, {}
        known = self.rng.choice(scope.artifacts)
        more = {"isOptional": True} if self.chance(0.3) else {}
        return {"a": artifact(isArtifactList=known.type == LIST, **more)}, {"a": known.source}

    def pipeline(self, scope: Scope, depth: int) -> None:
        self.nest(scope, self.name("sub"), depth, {})

    def condition(self, scope: Scope, depth: int) -> None:
        if numbers := scope.of_type(INT):
            known = self.rng.choice(numbers)
            wanted = f"int(inputs.parameter_values['c']) == {self.rng.randint(0, 2)}"
            policy = {"triggerPolicy": {"condition": wanted}}
            self.nest(scope, self.name("condition"), depth, policy, extra={"c": known})

    def branches(self, scope: Scope, depth: int) -> None:
        """If, elif, else, with one of their outputs."""
        numbers = scope.of_type(INT)
        if not numbers:
            return
        test = "int(inputs.parameter_values['c']) == "
        conditions = [f"{test}0", f"!({test}0) && {test}1", f"!({test}0) && !({test}1)"]
        name = self.name("condition-branches")
        inner = Scope([Known(given("c"), INT)])
        results = []
        for text in conditions:
            branch = self.name("condition")
            inside = Scope([Known(given("c"), INT)])
            self.fill(inside, min(depth - 1, 0), self.rng.randint(0, 1))
            leaf = self.name("result")
            self.outputs[leaf] = {"value": INT}
            made = self.maker.leaf(leaf, {"c": parameter(INT)}, {"value": INT})
            inside.tasks[leaf] = use(made, {"c": given("c")}, cachingOptions={"enableCache": self.caching})
            component = self.maker.dag(
                branch, inside.tasks, {"c": parameter(INT)}, {"value": (INT, value_from(leaf, "value"))}
            )
            inner.tasks[branch] = use(component, {"c": given("c")}, triggerPolicy={"condition": text})
            results.append((branch, "value"))
        component = self.maker.dag(name, inner.tasks, {"c": parameter(INT)}, {"value": (INT, one_of(*results))})
        self.add(scope, name, use(component, {"c": self.rng.choice(numbers).source}))

    def exit_handler(self, scope: Scope, depth: int) -> None:
        body = self.name("exit-handler")
        self.nest(scope, body, depth, {})
        exit_task = self.name("exit")
        self.outputs[exit_task] = {}
        component = self.maker.leaf(exit_task, {"status": parameter("TASK_FINAL_STATUS", isOptional=True)})
        policy = {"triggerPolicy": {"strategy": COMPLETED}}
        self.add(scope, exit_task, use(component, {"status": status_of(body)}, after=[body], **policy), plain=True)

    def loop(self, scope: Scope, depth: int) -> None:
        lists = [known for known in scope.artifacts if known.type == LIST]
        if lists and self.chance(0.5):
            self.artifact_loop(scope, depth, self.rng.choice(lists))
            return
        name = self.name("for-loop")
        policy: Tree = {"iteratorPolicy": {"parallelismLimit": self.rng.randint(0, 2)}} if self.chance(0.5) else {}
        known = scope.of_type(LIST)
        extra: dict[str, Known] = {}
        if known and self.chance(0.7):
            extra["items"] = self.rng.choice(known)
            items: Tree = {"inputParameter": "items"}
            kind = TEXT
        else:
            kind = self.rng.choice([INT, STRUCT, TEXT])
            items = {"raw": json.dumps([_value(kind, each) for each in range(self.rng.randint(0, 3))])}
        policy["parameterIterator"] = {"itemInput": "item", "items": items}
        self.nest(scope, name, depth, policy, extra=extra, item=kind)

    def artifact_loop(self, scope: Scope, depth: int, known: Known) -> None:
        name = self.name("for-loop")
        self.outputs[name] = {"out": INT}
        component = self.maker.leaf(name, {}, {"out": INT}, artifacts_in={"one": artifact()})
        iterator = {"itemInput": "one", "items": {"inputArtifact": "all"}}
        self.add(scope, name, use(component, artifacts={"all": known.source}, artifactIterator=iterator))

    def nest(
        self,
        scope: Scope,
        name: str,
        depth: int,
        policy: Tree,
        *,
        extra: dict[str, Known] | None = None,
        item: str = "",
    ) -> None:
        """A task that is a dag: some of what is known goes in, some of what is made inside comes out."""
        inner = Scope()
        inputs: Tree = {}
        parameters: Tree = {}
        for key, known in (extra or {}).items():
            self.pass_in(inner, inputs, parameters, key, known)
        for at, known in enumerate(self.some(scope.values)):
            self.pass_in(inner, inputs, parameters, f"p{at}", known)
        if self.chance(0.2):
            inputs["absent"] = parameter(TEXT, isOptional=True)
            inner.values.append(Known(given("absent"), TEXT, sure=False))
        if item:
            inputs["item"] = parameter(item)
            inner.values.append(Known(given("item"), item))
            if item == STRUCT:
                inner.values.append(Known(given("item", 'parseJson(string_value)["k"]'), INT))
        artifacts_in: Tree = {}
        artifacts: Tree = {}
        for at, known in enumerate(self.some(scope.artifacts)):
            artifacts_in[f"a{at}"] = artifact(isArtifactList=known.type == LIST, isOptional=self.chance(0.5))
            artifacts[f"a{at}"] = known.source
            inner.artifacts.append(Known(given_artifact(f"a{at}"), known.type))
        self.fill(inner, depth, self.rng.randint(1, 3))
        outputs = {
            f"o{at}": (known.type, value_from(known.task, known.key))
            for at, known in enumerate(self.some(inner.values))
            if known.task
        }
        made = {
            f"d{at}": (artifact(isArtifactList=bool(known.type)), [(known.task, known.key)])
            for at, known in enumerate(self.some(inner.artifacts))
            if known.task
        }
        component = self.maker.dag(name, inner.tasks, inputs, outputs, artifacts_in=artifacts_in, artifacts_out=made)
        self.add(scope, name, use(component, parameters, artifacts=artifacts, **policy))

    def pass_in(self, inner: Scope, inputs: Tree, parameters: Tree, key: str, known: Known) -> None:
        optional = self.chance(0.5 if known.sure else 0.97)
        inputs[key] = parameter(known.type, **({"isOptional": True} if optional else {}))
        parameters[key] = known.source
        inner.values.append(Known(given(key), known.type, sure=known.sure))

    def add(self, scope: Scope, name: str, task: Tree, *, plain: bool = False) -> None:
        """Adds a task, with some policies, and makes its outputs known."""
        if not plain:
            if scope.tasks and self.chance(0.2):
                task.setdefault("dependentTasks", []).append(self.rng.choice(list(scope.tasks)))
            if self.chance(0.12):
                task.setdefault("triggerPolicy", {})["strategy"] = COMPLETED
            if self.chance(0.15):
                task["retryPolicy"] = {"maxRetryCount": self.rng.randint(1, 2)}
                if self.chance(0.5):
                    task["retryPolicy"] |= {"backoffDuration": "3s", "backoffFactor": 2}
        if self.caching:
            task["cachingOptions"] = {"enableCache": True}
        scope.tasks[name] = task
        component = self.maker.components[task["componentRef"]["name"]]
        is_loop = "parameterIterator" in task or "artifactIterator" in task
        made = component.get("outputDefinitions", {})
        for key, declared in made.get("parameters", {}).items():
            kind = LIST if is_loop else declared["parameterType"]
            scope.values.append(Known(of(name, key), kind, name, key))
            if kind == STRUCT:
                scope.values.append(Known(of(name, key, 'parseJson(string_value)["k"]'), INT))
        for key, declared in made.get("artifacts", {}).items():
            kind = LIST if is_loop or declared.get("isArtifactList") else ""
            scope.artifacts.append(Known(artifact_of(name, key), kind, name, key))

    # ---- small things ------------------------------------------------------------------------------------------

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.count}"

    def chance(self, rate: float) -> bool:
        return self.rng.random() < rate

    def some(self, known: list[Known]) -> list[Known]:
        return self.rng.sample(known, self.rng.randint(0, min(len(known), 3)))


def _value(kind: str, number: int) -> Any:
    """A value of a type; lists are short, and of numbers."""
    return {
        INT: number % 3,
        TEXT: f"t{number % 1000}",
        LIST: [(number + each) % 3 for each in range(number % 4)],
        STRUCT: {"k": number % 3, "t": f"x{number % 10}"},
    }[kind]


def _digest(*parts: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest(), "big")
