"""What a pipeline means, told once more: a recursive interpreter of documents, written from the specification alone.

It shares nothing with the engine, the plan or the values but the program that leaves run. Only for what the generator
makes: conditions compare one input with a number, constants hold no placeholders.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Tree = dict[str, Any]
Program = Callable[[str, int, dict[str, Any]], dict[str, Any] | str]
GOOD = ("SUCCEEDED", "CACHED")
NOTHING = object()
_COMPARISON = re.compile(r"int\(inputs\.parameter_values\['([^']+)'\]\) == (\d+)")
_SELECTOR = re.compile(r'parseJson\(string_value\)\["(\w+)"\]')


@dataclass
class Ended:
    """How a task ended."""

    state: str
    values: Tree = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    first_failure: str = ""
    """The label of the leaf that failed; of several, any."""


class WrongInput(Exception):
    pass


class Reference:
    """Interprets one document."""

    def __init__(self, spec: Tree, program: Program) -> None:
        self.components = spec["components"]
        self.root = spec["root"]
        self.program = program
        self.executions: dict[str, int] = {}
        self.states: dict[str, str] = {}
        self.inputs: dict[str, Tree] = {}
        """Of the last execution of each leaf."""

    def run(self, parameters: Tree) -> Ended:
        ended = self.dag(self.root, parameters, {}, "root")
        self.states["root"] = ended.state
        return ended

    # ---- tasks -------------------------------------------------------------------------------------------------

    def dag(self, component: Tree, values: Tree, artifacts: dict[str, list[str]], label: str) -> Ended:
        tasks = component["dag"]["tasks"]
        ends: dict[str, Ended] = {}

        def end_of(name: str) -> Ended:
            if name not in ends:
                ends[name] = self.task(name, tasks[name], {up: end_of(up) for up in upstream(tasks[name])}, values,
                                       artifacts, f"{label}.{name}")  # fmt: skip
                self.note(f"{label}.{name}", ends[name])
            return ends[name]

        for name in tasks:
            end_of(name)
        failed = any(end.state == "FAILED" for end in ends.values())
        outputs = component["dag"].get("outputs", {})
        made = Ended("FAILED" if failed else "SUCCEEDED")
        for key, source in outputs.get("parameters", {}).items():
            candidates = source["valueFromOneof"]["parameterSelectors"] if "valueFromOneof" in source else [
                source["valueFromParameter"]]  # fmt: skip
            found = first_good(ends, candidates, lambda end, each: end.values.get(each["outputParameterKey"], NOTHING))
            if found is not NOTHING:
                made.values[key] = found
        for key, source in outputs.get("artifacts", {}).items():
            candidates = source["artifactSelectors"]
            found = first_good(
                ends, candidates, lambda end, each: end.artifacts.get(each["outputArtifactKey"], NOTHING)
            )
            if found is not NOTHING:
                made.artifacts[key] = found
        return made

    def task(
        self, name: str, task: Tree, ups: dict[str, Ended], values: Tree, artifacts: dict[str, list[str]], label: str
    ) -> Ended:
        policy = task.get("triggerPolicy", {})
        whatever = policy.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        if not whatever and any(up.state not in GOOD for up in ups.values()):
            return Ended("OMITTED")
        component = self.components[task["componentRef"]["name"]]
        try:
            given = self.parameters(task, component, ups, values)
            given_artifacts = self.artifacts(task, component, ups, artifacts)
            if policy.get("condition") and not holds(policy["condition"], given):
                return Ended("SKIPPED")
        except WrongInput:
            return Ended("FAILED")
        loop = task.get("parameterIterator") or task.get("artifactIterator")
        if loop is None:
            return self.tries(task, component, given, given_artifacts, label)
        return self.loop(task, component, loop, given, given_artifacts, label)

    def loop(
        self, task: Tree, component: Tree, loop: Tree, given: Tree, artifacts: dict[str, list[str]], label: str
    ) -> Ended:
        over_artifacts = "artifactIterator" in task
        if over_artifacts:
            items: Any = artifacts.get(loop["items"]["inputArtifact"], [])
        else:
            items = json.loads(loop["items"]["raw"]) if "raw" in loop["items"] else given.get(
                loop["items"]["inputParameter"])  # fmt: skip
            items = json.loads(items) if isinstance(items, str) else items
        if not isinstance(items, list):
            return Ended("FAILED")
        ends = []
        for at, item in enumerate(items):
            if over_artifacts:
                end = self.tries(task, component, given, {**artifacts, loop["itemInput"]: [item]}, f"{label}[{at}]")
            else:
                declared = component["inputDefinitions"]["parameters"][loop["itemInput"]]
                try:
                    value = converted(item, declared)
                    end = self.tries(task, component, {**given, loop["itemInput"]: value}, artifacts, f"{label}[{at}]")
                except WrongInput:
                    end = Ended("FAILED")
            self.note(f"{label}[{at}]", end)
            ends.append(end)
        if any(end.state == "FAILED" for end in ends):
            return Ended("FAILED")
        made = Ended("SUCCEEDED")
        outputs = component.get("outputDefinitions", {})
        for key in outputs.get("parameters", {}):
            made.values[key] = [end.values[key] for end in ends if key in end.values]
        for key in outputs.get("artifacts", {}):
            made.artifacts[key] = [each for end in ends for each in end.artifacts.get(key, [])]
        return made

    def tries(self, task: Tree, component: Tree, given: Tree, artifacts: dict[str, list[str]], label: str) -> Ended:
        """With `maxRetryCount: 2`, three times at most."""
        for _ in range(task.get("retryPolicy", {}).get("maxRetryCount", 0) + 1):
            if "dag" in component:
                self.forget_inside(label)
                end = self.dag(component, given, artifacts, label)
            else:
                end = self.leaf(component, given, artifacts, label)
            if end.state != "FAILED":
                break
        return end

    def leaf(self, component: Tree, given: Tree, artifacts: dict[str, list[str]], label: str) -> Ended:
        inputs: Tree = {}
        if given:
            inputs["parameterValues"] = given
        self.inputs[label] = {**inputs, "artifactUris": {key: list(found) for key, found in artifacts.items()}}
        execution = self.executions.get(label, 0)
        self.executions[label] = execution + 1
        result = self.program(label, execution, inputs)
        if isinstance(result, str):
            return Ended("FAILED", first_failure=label)
        outputs = component.get("outputDefinitions", {})
        return Ended("SUCCEEDED", result, {key: [f"{label}/{key}"] for key in outputs.get("artifacts", {})})

    def note(self, label: str, end: Ended) -> None:
        self.states[label] = end.state

    def forget_inside(self, label: str) -> None:
        for known in [each for each in self.states if each.startswith((f"{label}.", f"{label}["))]:
            del self.states[known]

    # ---- inputs ------------------------------------------------------------------------------------------------

    def parameters(self, task: Tree, component: Tree, ups: dict[str, Ended], values: Tree) -> Tree:
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        iterator = task.get("parameterIterator", {})
        found: Tree = {}
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            value = self.value(source, ups, values)
            if value is not NOTHING and value is not None:
                found[name] = converted(value, declared[name]) if name in declared else value
        for name, wanted in declared.items():
            if name in found or name == iterator.get("itemInput"):
                continue
            if "defaultValue" in wanted:
                found[name] = wanted["defaultValue"]
            elif not wanted.get("isOptional"):
                raise WrongInput(name)
        return found

    def value(self, source: Tree, ups: dict[str, Ended], values: Tree) -> Any:
        if "taskFinalStatus" in source:
            name = source["taskFinalStatus"]["producerTask"]
            state = {"SUCCEEDED": "COMPLETE", "OMITTED": "SKIPPED"}.get(ups[name].state, ups[name].state)
            code = 2 if state == "FAILED" else 0
            return {"state": state, "error": {"code": code}, "pipelineTaskName": name,
                    "pipelineJobResourceName": "pipe-abcde"}  # fmt: skip
        if "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            value = ups[output["producerTask"]].values.get(output["outputParameterKey"], NOTHING)
        elif "componentInputParameter" in source:
            value = values.get(source["componentInputParameter"], NOTHING)
        else:
            value = source["runtimeValue"]["constant"]
        if (selector := source.get("parameterExpressionSelector")) and value is not NOTHING:
            key = _SELECTOR.fullmatch(selector)
            assert key is not None
            tree = json.loads(value) if isinstance(value, str) else value
            if key[1] not in tree:
                raise WrongInput(selector)
            return tree[key[1]]
        return value

    def artifacts(
        self, task: Tree, component: Tree, ups: dict[str, Ended], outer: dict[str, list[str]]
    ) -> dict[str, list[str]]:
        declared = component.get("inputDefinitions", {}).get("artifacts", {})
        found = {}
        for name, source in task.get("inputs", {}).get("artifacts", {}).items():
            if "taskOutputArtifact" in source:
                output = source["taskOutputArtifact"]
                artifacts = ups[output["producerTask"]].artifacts.get(output["outputArtifactKey"])
            else:
                artifacts = outer.get(source["componentInputArtifact"])
            wanted = declared.get(name, {"isOptional": True, "isArtifactList": True})
            if artifacts is not None and (artifacts or wanted.get("isArtifactList")):
                found[name] = artifacts
            elif not wanted.get("isOptional"):
                raise WrongInput(name)
        return found


def upstream(task: Tree) -> list[str]:
    """`dependentTasks`, and the producers that the inputs name."""
    names = list(task.get("dependentTasks", []))
    inputs = task.get("inputs", {})
    for source in inputs.get("parameters", {}).values():
        for kind in ("taskOutputParameter", "taskFinalStatus"):
            if kind in source:
                names.append(source[kind]["producerTask"])
    for source in inputs.get("artifacts", {}).values():
        if "taskOutputArtifact" in source:
            names.append(source["taskOutputArtifact"]["producerTask"])
    return names


def first_good(ends: dict[str, Ended], candidates: list[Tree], pick: Callable[[Ended, Tree], Any]) -> Any:
    for each in candidates:
        if ends[each["producerSubtask"]].state in GOOD:
            return pick(ends[each["producerSubtask"]], each)
    return NOTHING


def converted(value: Any, declared: Tree) -> Any:
    """Anything becomes text for a STRING; other types are strict."""
    kind = declared["parameterType"]
    if kind == "STRING":
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    fits = {
        "NUMBER_INTEGER": isinstance(value, int) and not isinstance(value, bool),
        "BOOLEAN": isinstance(value, bool),
        "LIST": isinstance(value, list),
        "STRUCT": isinstance(value, dict),
        "TASK_FINAL_STATUS": isinstance(value, dict),
    }
    if not fits[kind]:
        raise WrongInput(kind)
    return value


def holds(condition: str, given: Tree) -> bool:
    """`A`, `!(A) && B`, `!(A) && !(B)`."""
    result = True
    for part in condition.split(" && "):
        negated = part.startswith("!(")
        match = _COMPARISON.fullmatch(part[2:-1] if negated else part)
        assert match is not None, condition
        if match[1] not in given:
            raise WrongInput(condition)
        result = result and ((int(given[match[1]]) == int(match[2])) != negated)
    return result
