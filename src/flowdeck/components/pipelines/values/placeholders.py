"""`{{$...}}` in constants, variables, commands and arguments.

Everything is replaced in one pass, so a value that looks like a placeholder stays what it is. Three users: constants of
a task's inputs (`resolved`), texts of a pod that are known before it exists (`resolved`), and commands and arguments,
which also know artifacts, outputs, `IfPresent` and `Concat` (`resolved_command`).

Source: kubeflow/pipelines (backend/src/v2/component/launcher_v2.go, backend/src/v2/compiler).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flowdeck.components.pipelines.values.texts import json_text, to_text
from flowdeck.kube.objects import Tree

WORKSPACE_PATH: Final = "/kfp-workspace"
_PLACEHOLDER = re.compile(r"\{\{\$([^{}]*)\}\}")
_KEY = r"""\[(?:'([^']*)'|"([^"]*)")\]"""
_PARAMETER = re.compile(rf"\.inputs\.parameters{_KEY}")
_OUTPUT_FILE = re.compile(rf"\.outputs\.parameters{_KEY}\.output_file")
_ARTIFACT = re.compile(rf"\.(inputs|outputs)\.artifacts{_KEY}(?:\.(uri|path|name|metadata)(?:{_KEY})?)?")
_STRUCTURED = re.compile(r"""\s*\{\s*"(?:IfPresent|Concat)"\s*:""")

Constants = Mapping[str, str]
"""Values of the placeholders of a run and task, by name: `pipeline_job_name`, `workspace_path`, ..."""


def mentioned_parameters(text: str) -> set[str]:
    """The input parameters that a text asks for."""
    return {match[1] or match[2] for match in _PARAMETER.finditer(text)}


def resolved(value: Any, constants: Constants, parameters: Mapping[str, Any]) -> Any:
    """A JSON value with the placeholders in its texts replaced.

    A text that is nothing but the placeholder of an input becomes that input, with its type; inside longer text it
    is written as `to_text` says. An absent input is empty text; an unknown placeholder stays.
    """
    match value:
        case str():
            return _resolved_text(value, constants, parameters) if "{{$" in value else value
        case list():
            return [resolved(inner, constants, parameters) for inner in value]
        case dict():
            return {name: resolved(inner, constants, parameters) for name, inner in value.items()}
    return value


def _resolved_text(text: str, constants: Constants, parameters: Mapping[str, Any]) -> Any:
    whole = _PLACEHOLDER.fullmatch(text)
    wanted = _PARAMETER.fullmatch(whole[1]) if whole else None
    if wanted is not None:
        return parameters.get(wanted[1] or wanted[2], "")

    def found(match: re.Match[str]) -> str:
        inner = match[1]
        if (parameter := _PARAMETER.fullmatch(inner)) is not None:
            return to_text(parameters.get(parameter[1] or parameter[2]))
        return constants.get(inner[1:], match[0]) if inner else match[0]

    return _PLACEHOLDER.sub(found, text)


@dataclass(frozen=True)
class Execution:
    """What the command of one execution may ask for."""

    executor_input: Tree
    """ExecutorInput, as the program will see it."""
    constants: Constants
    path_of: Callable[[str], str]
    """Where the artifact of a URI lies for the program."""

    def resolved_command(self, texts: Sequence[str]) -> list[str]:
        """Command or arguments of a container, ready to start."""
        return [found for text in texts for found in self._element(text)]

    def _element(self, text: str) -> list[str]:
        if _STRUCTURED.match(text) is None:
            return [self._text(text)]
        try:
            return self._structured(msgspec.json.decode(text))
        except msgspec.DecodeError:
            return [self._text(text)]

    def _structured(self, value: Any) -> list[str]:
        """A part of a structured element: none, one or several texts."""
        match value:
            case None:
                return []
            case str():
                return [self._text(value)]
            case list():
                return [found for inner in value for found in self._structured(inner)]
            case {"IfPresent": {"InputName": str(name), **branches}}:
                return self._structured(branches.get("Then" if self._has_input(name) else "Else"))
            case {"Concat": list(parts)}:
                return ["".join(found for part in parts for found in self._structured(part))]
        return [json_text(value)]

    def _has_input(self, name: str) -> bool:
        inputs = self.executor_input.get("inputs", {})
        artifacts = inputs.get("artifacts", {}).get(name, {}).get("artifacts")
        return inputs.get("parameterValues", {}).get(name) is not None or bool(artifacts)

    def _text(self, text: str) -> str:
        return _PLACEHOLDER.sub(self._found, text) if "{{$" in text else text

    def _found(self, match: re.Match[str]) -> str:
        inner = match[1]
        if inner == "":
            return msgspec.json.encode(self.executor_input).decode()
        if inner == ".outputs.output_file":
            return str(self.executor_input["outputs"]["outputFile"])
        if (parameter := _PARAMETER.fullmatch(inner)) is not None:
            values = self.executor_input["inputs"].get("parameterValues", {})
            return to_text(values.get(parameter[1] or parameter[2]))
        if (file := _OUTPUT_FILE.fullmatch(inner)) is not None:
            outputs = self.executor_input["outputs"].get("parameters", {})
            return str(outputs.get(file[1] or file[2], {}).get("outputFile", match[0]))
        if (artifact := _ARTIFACT.fullmatch(inner)) is not None:
            return self._artifact(artifact)
        return self.constants.get(inner[1:], match[0])

    def _artifact(self, match: re.Match[str]) -> str:
        side, key, wanted = match[1], match[2] or match[3], match[4]
        artifacts = self.executor_input[side].get("artifacts", {}).get(key, {}).get("artifacts")
        if wanted is None:
            return json_text(artifacts or [])
        if not artifacts:
            return ""
        artifact = artifacts[0]
        if wanted == "path":
            return str(artifact.get("customPath") or self.path_of(artifact["uri"]))
        if wanted == "metadata":
            metadata = artifact.get("metadata") or {}
            key_wanted = match[5] or match[6]
            return to_text(metadata.get(key_wanted) if key_wanted else metadata)
        return str(artifact.get(wanted, ""))
