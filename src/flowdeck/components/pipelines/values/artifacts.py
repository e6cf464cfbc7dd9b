"""Artifacts as tasks hand them on."""

from typing import Any

import msgspec

from flowdeck.kube.objects import Tree


class ArtifactType(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What an artifact is: a schema's title (`system.Model`) and version, or the schema itself."""

    schema_title: str = ""
    schema_version: str = ""
    instance_schema: str = ""


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One artifact that exists, or that a task is about to make."""

    id: str
    """Its identity in the store, and the name that user code sees."""
    uri: str
    """Canonical: never a path of the machine that a task runs on."""
    type: ArtifactType = ArtifactType()
    name: str = ""
    """What people see; empty: the key of the output."""
    metadata: dict[str, Any] = {}
    custom_path: str = ""

    def to_runtime(self) -> Tree:
        """A RuntimeArtifact of the executor input."""
        tree: Tree = {"name": self.id, "type": msgspec.to_builtins(self.type), "uri": self.uri}
        tree["metadata"] = self.metadata
        if self.custom_path:
            tree["customPath"] = self.custom_path
        return tree
