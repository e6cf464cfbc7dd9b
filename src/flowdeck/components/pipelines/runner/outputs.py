"""What a pod made: the files that its launcher left, read as what the task promised. Pure.

Source: kubeflow/pipelines (backend/src/v2/component/launcher_v2.go)
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from flowdeck.components.pipelines.engine.events import Outputs
from flowdeck.components.pipelines.plan.types import Component
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.components.pipelines.values.parameter_types import ParameterType
from flowdeck.kube.objects import Tree

_TRUE, _FALSE = ("true", "1"), ("false", "0")


class BadOutput(ValueError):
    """What the program wrote is not what its component declares."""


class Collected(msgspec.Struct, frozen=True):
    """`.outputs.json`; see `launcher`."""

    output: Any = None
    parameters: dict[str, str] = {}


def outputs_of(component: Component, executor_input: Tree, collected: Collected) -> Outputs:
    """The outputs of a pod that ended well. Raises `BadOutput`."""
    output = collected.output if isinstance(collected.output, dict) else {}
    values = output.get("parameterValues") or {}
    parameters = {
        name: values[name] if name in values else _read(name, type, collected.parameters)
        for name, type in component.output_parameters.items()
    }
    announced = executor_input["outputs"].get("artifacts") or {}
    written = output.get("artifacts") or {}
    artifacts = {
        name: _artifacts(entry["artifacts"], (written.get(name) or {}).get("artifacts"))
        for name, entry in announced.items()
    }
    return Outputs(parameters, artifacts)


def _read(name: str, type: ParameterType, texts: Mapping[str, str]) -> Any:
    if name not in texts:
        raise BadOutput(f'failed to read output parameter "{name}": the program wrote no value for it')
    text = texts[name]
    try:
        match type:
            case ParameterType.STRING:
                return text
            case ParameterType.BOOLEAN:
                return _boolean(text)
            case ParameterType.NUMBER_INTEGER:
                return int(text)
            case ParameterType.NUMBER_DOUBLE:
                return float(text)
        return msgspec.json.decode(text)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadOutput(
            f'failed to read output parameter "{name}": {text[:100]!r} is no {type.name}; write a value of that type'
        ) from error


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return word in _TRUE


def _artifacts(announced: list[Tree], written: list[Tree] | None) -> list[Artifact]:
    """What was announced, with what the program says of it; a longer list that it wrote replaces it."""
    if written is None:
        return [_artifact(entry, {}) for entry in announced]
    base = announced[0] if announced else {}
    pairs = [(announced[at] if at < len(announced) else {**base, "name": ""}, own) for at, own in enumerate(written)]
    return [_artifact(entry, own) for entry, own in pairs]


def _artifact(announced: Tree, own: Tree) -> Artifact:
    metadata = {**(announced.get("metadata") or {}), **(own.get("metadata") or {})}
    tree = {
        "id": announced.get("name", ""),
        "uri": own.get("uri") or announced["uri"],
        "type": announced.get("type") or {},
        "name": str(metadata.get("display_name") or ""),
        "metadata": metadata,
        "customPath": own.get("custom_path") or own.get("customPath") or "",
    }
    return msgspec.convert(tree, Artifact)
