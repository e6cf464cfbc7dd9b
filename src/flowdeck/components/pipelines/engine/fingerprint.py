"""What the cache knows an execution by, and why two of them differ.

Source: kubeflow/pipelines (backend/src/v2/cacheutils/cache.go).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from flowdeck.components.pipelines.plan.types import Component, Container
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.kube.objects import Tree

_ENCODER = msgspec.json.Encoder(order="deterministic")


class Fingerprint(msgspec.Struct, frozen=True):
    """Equal executions have equal digests."""

    digest: str
    """SHA-256 of the parts."""
    parts: dict[str, str]
    """What counts, each with its own digest: `image`, `command`, `parameter x`, `artifact d`, `outputs`, `claims`,
    or `key` alone."""


def key_fingerprint(component: str, key: str) -> Fingerprint:
    """With `cachingOptions.cacheKey`, inputs do not count."""
    return _of_parts({"key": f"{component}\0{key}"})


def fingerprint(
    component: Component,
    parameters: Mapping[str, Any],
    artifacts: Mapping[str, list[Artifact]],
    platform: Tree,
    image: str,
) -> Fingerprint:
    """Of an execution: inputs (artifacts by identity), declared outputs, program, volumes.

    The command is taken with its placeholders; variables, resources, names and the pipeline's root do not count.
    """
    body = component.body
    outputs = {name: [o.type, o.metadata] for name, o in component.output_artifacts.items()}
    return _of_parts(
        {
            "image": image,
            "command": [*body.command, *body.args] if isinstance(body, Container) else [],
            "outputs": [{name: kind.name for name, kind in component.output_parameters.items()}, outputs],
            "claims": sorted(mount["pvcName"] for mount in platform.get("pvcMount", ())),
            **{f"parameter {name}": value for name, value in parameters.items()},
            **{f"artifact {name}": [artifact.id for artifact in found] for name, found in artifacts.items()},
        }
    )


def differences(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """The parts in which two executions differ, by name: why one does not stand for the other."""
    return sorted(part for part in {*now, *then} if now.get(part) != then.get(part))


def _of_parts(parts: Mapping[str, Any]) -> Fingerprint:
    digests = {name: hashlib.blake2b(_ENCODER.encode(part), digest_size=16).hexdigest() for name, part in parts.items()}
    return Fingerprint(hashlib.sha256(_ENCODER.encode(digests)).hexdigest(), digests)
