"""What a pod made: the files that its launcher left, read as what the task promised. Pure.

Source: kubeflow/pipelines (backend/src/v2/component/launcher_v2.go)
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from flowdeck.components.pipelines.engine.events import Outputs
from flowdeck.components.pipelines.plan.types import Component
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.components.pipelines.values.parameter_types import ParameterType, TypeMismatch, from_text


class BadOutput(ValueError):
    """What the program wrote is not what its component declares."""


class WrittenArtifact(msgspec.Struct, frozen=True):
    """What the program itself says of an artifact. SDKs spell the path either way."""

    uri: str | None = None
    metadata: dict[str, Any] | None = None
    custom_path: str | None = None
    customPath: str | None = None


class WrittenArtifacts(msgspec.Struct, frozen=True):
    artifacts: list[WrittenArtifact] | None = None


class Written(msgspec.Struct, frozen=True, rename="camel"):
    """What the program wrote to `outputFile`: an ExecutorOutput."""

    parameter_values: dict[str, Any] | None = None
    artifacts: dict[str, WrittenArtifacts] | None = None


class Collected(msgspec.Struct, frozen=True):
    """What a program left: its ExecutorOutput, and the texts of its parameters' files."""

    output: Written | None = None
    parameters: dict[str, str] = {}


def outputs_of(component: Component, announced: Mapping[str, list[Artifact]], collected: Collected) -> Outputs:
    """The outputs of a pod that ended well; `announced` are the artifacts that it was told to make.

    Raises `BadOutput`.
    """
    output = collected.output or Written()
    values, written = output.parameter_values or {}, output.artifacts or {}
    parameters = {
        name: values[name] if name in values else _read(name, type, collected.parameters)
        for name, type in component.output_parameters.items()
    }
    artifacts = {
        name: _artifacts(name, found, written[name].artifacts if name in written else None)
        for name, found in announced.items()
    }
    return Outputs(parameters, artifacts)


def _read(name: str, type: ParameterType, texts: Mapping[str, str]) -> Any:
    if name not in texts:
        raise BadOutput(f'failed to read output parameter "{name}": the program wrote no value for it')
    try:
        return from_text(texts[name], type)
    except TypeMismatch as error:
        raise BadOutput(f'failed to read output parameter "{name}": {error}') from error


def _artifacts(name: str, announced: list[Artifact], written: Sequence[WrittenArtifact] | None) -> list[Artifact]:
    """What was announced, with what the program says of it; a longer list that it wrote replaces it."""
    if written is None:
        return [_artifact(name, artifact, WrittenArtifact()) for artifact in announced]
    further = msgspec.structs.replace(announced[0], id="") if announced else Artifact(id="", uri="")
    return [_artifact(name, announced[at] if at < len(announced) else further, own) for at, own in enumerate(written)]


def _artifact(name: str, announced: Artifact, own: WrittenArtifact) -> Artifact:
    metadata = {**announced.metadata, **(own.metadata or {})}
    uri = own.uri or announced.uri
    if not uri:
        raise BadOutput(f'failed to read output artifact "{name}": the program wrote one without a uri')
    return Artifact(
        id=announced.id,
        uri=uri,
        type=announced.type,
        name=str(metadata.get("display_name") or ""),
        metadata=metadata,
        custom_path=own.custom_path or own.customPath or "",
    )
