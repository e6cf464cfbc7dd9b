"""Ephemeral containers: what they may say, and that they are only added.

Source: k8s.io/kubernetes (pkg/apis/core/validation/validation.go validateEphemeralContainers,
ValidatePodEphemeralContainersUpdate).
"""

from collections.abc import Collection

from flowdeck.embedded.apiserver.builtin.validation.single_values import Errors
from flowdeck.kube.errors import FieldError, forbidden
from flowdeck.kube.objects import Tree

_NOT_THEIRS = (
    "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy",
    "restartPolicy", "restartPolicyRules",
)  # fmt: skip
_NOT_SET = "cannot be set for an Ephemeral Container"


def ephemeral_errors(container: Tree, others: Collection[str], path: str) -> Errors:
    """Of one ephemeral container; `others` are the names of the pod's init and main containers."""
    errors: Errors = [forbidden(f"{path}.{name}", _NOT_SET) for name in _NOT_THEIRS if container.get(name)]
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at = f"{path}.volumeMounts[{index}]"
        errors += [forbidden(f"{at}.{name}", _NOT_SET) for name in ("subPath", "subPathExpr") if mount.get(name)]
    target = container.get("targetContainerName")
    if target and target not in others:
        errors.append(FieldError("FieldValueNotFound", f"{path}.targetContainerName", f'Not found: "{target}"'))
    return errors


def validate_ephemeral_update(pod: Tree, old: Tree) -> Errors:
    """Those that are there stay as they are."""
    path = "spec.ephemeralContainers"
    now = {container.get("name"): container for container in pod["spec"].get("ephemeralContainers") or ()}
    errors: Errors = []
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container["name"]
        if name not in now:
            errors.append(forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif now[name] != container:
            errors.append(forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n'))
    return errors
