"""What the cache knows an execution by.

Source: kubeflow/pipelines (backend/src/v2/cacheutils/cache.go).
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from flowdeck.components.pipelines.plan.types import Component, Container
from flowdeck.components.pipelines.values.artifacts import Artifact
from flowdeck.kube.objects import Tree


def key_fingerprint(component: str, key: str) -> str:
    """With `cachingOptions.cacheKey`, inputs do not count."""
    return hashlib.sha256(f"{component}\0{key}".encode()).hexdigest()


def fingerprint(
    component: Component,
    parameters: Mapping[str, Any],
    artifacts: Mapping[str, list[Artifact]],
    platform: Tree,
    image: str,
) -> str:
    """Equal executions have equal fingerprints: inputs (artifacts by identity), declared outputs, program, volumes.

    The command is taken with its placeholders; variables, resources, names and the pipeline's root do not count.
    """
    body = component.body
    command = [*body.command, *body.args] if isinstance(body, Container) else []
    tree = {
        "inputArtifactNames": {name: [artifact.id for artifact in found] for name, found in artifacts.items()},
        "inputParameterValues": dict(parameters),
        "outputArtifactsSpec": {name: _output(name, component) for name in component.output_artifacts},
        "outputParametersSpec": {name: kind.name for name, kind in component.output_parameters.items()},
        "containerSpec": {
            "image": image,
            "cmdArgs": command,
            "pvcNames": sorted(mount["pvcName"] for mount in platform.get("pvcMount", ())),
        },
    }
    return hashlib.sha256(orjson.dumps(tree, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _output(name: str, component: Component) -> Tree:
    output = component.output_artifacts[name]
    return {"name": name, "type": [output.type.schema_title, output.type.instance_schema], "metadata": output.metadata}
