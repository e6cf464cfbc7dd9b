"""What of a container's spec, and of its image, is run."""

from pathlib import Path

import pytest

from flowdeck.embedded.node.contract import Image
from flowdeck.embedded.node.environment import ConfigError
from flowdeck.embedded.node.pods.build import _argv, _user
from flowdeck.kube.objects import Tree
from tests.embedded.node.makers import a_pod

IMAGE = Image(reference="x", digest="", entrypoint=["entry"], command=["default"], user="1000:100", root=Path("/"))


@pytest.mark.parametrize(
    ("container", "argv"),
    [
        ({}, ["entry", "default"]),
        ({"args": ["a"]}, ["entry", "a"]),
        ({"command": ["c"]}, ["c"]),
        ({"command": ["c"], "args": ["a", "$(X)"]}, ["c", "a", "1"]),
    ],
)
def test_command_and_args_against_those_of_the_image(container: Tree, argv: list[str]) -> None:
    assert _argv(container, IMAGE, {"X": "1"}) == argv


def test_no_command_anywhere_is_told() -> None:
    with pytest.raises(ConfigError, match="no command specified"):
        _argv({}, Image(reference="x", digest=""), {})


@pytest.mark.parametrize(
    ("of_pod", "of_container", "user"),
    [
        ({}, {}, (1000, 100)),
        ({"runAsUser": 5}, {}, (5, None)),
        ({"runAsUser": 5, "runAsGroup": 6}, {"runAsUser": 0}, (0, 6)),
        ({"runAsNonRoot": True}, {}, (1000, 100)),
    ],
)
def test_the_user(of_pod: Tree, of_container: Tree, user: tuple[int | None, int | None]) -> None:
    pod = a_pod("true", securityContext=of_pod)
    assert _user(pod, {"name": "main", "securityContext": of_container}, IMAGE) == user


def test_who_must_not_be_root_is_not() -> None:
    pod = a_pod("true", securityContext={"runAsNonRoot": True, "runAsUser": 0})
    pod["metadata"]["uid"] = "1"
    with pytest.raises(ConfigError, match="runAsUser breaks non-root policy"):
        _user(pod, {"name": "main"}, IMAGE)
