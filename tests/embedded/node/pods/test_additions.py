"""What a pod may say that its program will install: names and versions, nothing that an installer could be led by."""

import json
from typing import Any

import pytest

from flowdeck.embedded.node.contract import NONE_ADDED, Additions
from flowdeck.embedded.node.pods.additions import additions_of


def said(value: Any) -> Additions:
    text = value if isinstance(value, str) else json.dumps(value)
    return additions_of({"metadata": {"annotations": {"packages.flowdeck.dev/main": text}}}, "main")


@pytest.mark.parametrize(
    "requirement", ["kfp", "kfp==2.17.3", "nbclient>=0.10,<1", "a[b, c] >= 1 , < 2", "x~=1.0", "y==1.*", "z===1+cpu"]
)
def test_names_with_versions_are_taken(requirement: str) -> None:
    assert said({"packages": [requirement], "bare": ["kfp"]}) == Additions((requirement,), ("kfp",))


@pytest.mark.parametrize(
    "requirement",
    ["-r/etc/shadow", "--index-url=x", "a @ https://host/a.whl", "./a", "/a.whl", "git+https://host/a", "", "a; b",
     "a b", "a>=1 --hash=x"],
)  # fmt: skip
def test_all_else_is_passed_over(requirement: str) -> None:
    assert said({"packages": [requirement]}) == NONE_ADDED


@pytest.mark.parametrize("value", ["", "[]", "{", '{"packages": 1}', {"packages": ["a"] * 101}])
def test_nonsense_is_passed_over(value: Any) -> None:
    assert said(value) == NONE_ADDED


def test_it_is_said_of_one_container() -> None:
    pod = {"metadata": {"annotations": {"packages.flowdeck.dev/other": '{"packages": ["a"]}'}}}
    assert additions_of(pod, "main") == NONE_ADDED
