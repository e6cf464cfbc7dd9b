"""A package that is installed brings a component by an entry point; options and the platform know it by its name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowdeck.plugins import PluginError, components, registered, with_needs

MODULE = """
from types import SimpleNamespace


def a_crd():
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Greeting", "plural": "greetings"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "greetings.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }


COMPONENT = SimpleNamespace(
    name="greetings",
    needs=(),
    custom_resource_definitions=lambda: [a_crd()],
    admission=lambda: [],
    controllers=lambda ctx: [],
    servers=lambda ctx: [],
    objects=lambda: [],
    rights=lambda: [],
    fronts=lambda: [],
)
"""


def install(folder: Path, name: str, value: str) -> None:
    """What an installer leaves of a package: its code, and a dist-info with its entry points."""
    (folder / "greetings_for_flowdeck.py").write_text(MODULE)
    info = folder / f"{name}_for_flowdeck-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-for-flowdeck\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[flowdeck.components]\n{name} = {value}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def names() -> list[str]:
    return [component.name for component in components()]


def test_our_components_come_without_being_registered() -> None:
    assert list(registered())[:3] == ["jobset", "pipelines", "training"]
    assert names()[:3] == ["jobset", "pipelines", "training"]


def test_what_a_component_needs_comes_along() -> None:
    assert with_needs(["training"]) == {"training", "jobset"}
    assert with_needs(["jobset"]) == {"jobset"}


def test_a_component_of_an_installed_package_comes_after_ours_and_can_be_left_out(site: Path) -> None:
    install(site, "greetings", "greetings_for_flowdeck:COMPONENT")
    assert names() == [*registered()]
    assert names()[-1] == "greetings"
    assert "greetings" not in [component.name for component in components(disabled={"greetings"})]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        pytest.param("greetings", "no_such_module:COMPONENT", "No module named 'no_such_module'", id="no-module"),
        pytest.param("greetings", "greetings_for_flowdeck:NOTHING", "no attribute 'NOTHING'", id="no-object"),
        pytest.param("training", "greetings_for_flowdeck:COMPONENT", "two components 'training'", id="name-is-taken"),
    ],
)
def test_a_component_that_cannot_be_used_is_told_of_in_words(site: Path, name: str, value: str, why: str) -> None:
    install(site, name, value)
    with pytest.raises(PluginError, match=why):
        components()


@pytest.mark.timeout(120)
def test_a_platform_serves_the_kinds_of_an_installed_component(site: Path, tmp_path: Path) -> None:
    install(site, "greetings", "greetings_for_flowdeck:COMPONENT")
    data = ["--data", str(tmp_path / "data")]
    flowdeck("up", *data, "--port", "0", "--no-node", "--detach", "--enable", "greetings", site=site)
    try:
        assert json.loads(flowdeck("status", *data, "-o", "json", site=site))["components"] == ["greetings"]
        assert "No resources found" in flowdeck("get", "greetings", *data, site=site)
    finally:
        flowdeck("down", *data, site=site)


def test_a_component_that_nobody_brings_is_refused_with_those_there_are(site: Path, tmp_path: Path) -> None:
    install(site, "greetings", "greetings_for_flowdeck:COMPONENT")
    told = flowdeck("up", "--data", str(tmp_path), "--disable", "nonsense", site=site, code=1)
    assert "there is no component 'nonsense'" in told
    assert "greetings" in told


def test_a_component_that_others_need_is_not_left_out_alone(tmp_path: Path) -> None:
    told = flowdeck("up", "--data", str(tmp_path), "--disable", "jobset", site=tmp_path, code=1)
    assert "component training needs jobset: disable training as well, or leave jobset on" in told


def flowdeck(*arguments: str, site: Path, code: int = 0) -> str:
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "flowdeck.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
