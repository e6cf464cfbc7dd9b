"""The containers that carry artifacts between a pod and object stores: of our image, so the user's may have nothing.

    kfp-stager    an init container: fetches what the task reads, and makes the folders that it writes to
    kfp-bringer   a sidecar: is told to end when the program has ended, and then brings what that made to the store

Nothing of their credentials is seen by the user's container. Pure; `carrier` is their program.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowdeck.components.pipelines.runner.providers import Provider
from flowdeck.kube.objects import Tree

CARRIED: Final = "kfp-carried"
"""The volume."""
CARRIED_FOLDER: Final = "/kfp-carried"
STAGER: Final = "kfp-stager"
BRINGER: Final = "kfp-bringer"
PROVIDERS: Final = "KFP_PROVIDERS"
"""The variable with `{bucket: {option: value}}`; options that are secret are variables of their own."""
FOLDER: Final = "KFP_CARRIED"
"""The variable with the folder where what is carried lies."""
READY: Final = ".ready"
"""A file there: the bringer listens."""
_MODULE: Final = "flowdeck.components.pipelines.runner.carrier"


@dataclass(frozen=True)
class Carrying:
    """What is carried from and to where."""

    image: str
    """Our own."""
    root: str
    """URI of the task's root."""
    brings: bool
    """Whether that is in an object store; else only inputs are."""
    providers: Mapping[str, Provider]
    """By `scheme://bucket`."""
    folders: tuple[str, ...]
    """First folders of what is carried besides, as its paths have them: `s3`, `gcs`."""
    grace_s: int = 3600
    """How long bringing may take."""
    security: Mapping[str, Any] = field(default_factory=dict)
    """The security context of the user's container: files of one are readable to the other."""


def stager(carrying: Carrying, mounts: list[Tree]) -> Tree:
    """`mounts` has the task's folder, if that is files."""
    return _container(STAGER, "stage", carrying, mounts)


def bringer(carrying: Carrying) -> Tree:
    """The user's program starts when this listens: it may end at once."""
    wait = f'while [ ! -e "${FOLDER}/{READY}" ]; do sleep 0.05; done'
    container = _container(BRINGER, "bring", carrying, [])
    container["env"].append({"name": FOLDER, "value": CARRIED_FOLDER})
    return container | {
        "restartPolicy": "Always",
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", wait]}}},
    }


def secret_variable(bucket: int, option: str) -> str:
    """The variable that has a secret option of a bucket; they are numbered as they stand in `PROVIDERS`."""
    return f"KFP_PROVIDER_{bucket}_{option.upper()}"


def _container(name: str, verb: str, carrying: Carrying, mounts: list[Tree]) -> Tree:
    shown = {bucket: dict(provider.options) for bucket, provider in carrying.providers.items()}
    secrets = [
        {
            "name": secret_variable(number, option),
            "valueFrom": {"secretKeyRef": {"name": provider.secret, "key": key}},
        }
        for number, provider in enumerate(carrying.providers.values())
        for option, key in provider.secret_keys.items()
    ]
    paths = [mount["mountPath"] for mount in mounts]
    return {
        "name": name,
        "image": carrying.image,
        "command": ["python", "-m", _MODULE, verb, carrying.root, CARRIED_FOLDER, *paths],
        "env": [{"name": PROVIDERS, "value": json.dumps(shown)}, *secrets],
        "volumeMounts": [{"name": CARRIED, "mountPath": CARRIED_FOLDER}, *mounts],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        **({"securityContext": dict(carrying.security)} if carrying.security else {}),
    }
